"""The pure parts of the lab's Auto Scaling: where instances go, which go first, how long a hook waits."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.api.balance import Candidate, Place, first_to_go, out_of_balance, place_next
from lab.api.lifecycle import Action
from lab.api.patching import MotoDriftError, add, around, instead

START = datetime(2026, 1, 1)
PLACES = [Place("a1", "a"), Place("a2", "a"), Place("b1", "b")]


def test_an_empty_group_starts_in_its_first_subnet() -> None:
    assert place_next(PLACES, []) == PLACES[0]


def test_the_zone_with_fewest_wins_before_the_subnet_with_fewest() -> None:
    assert place_next(PLACES, [Place("a1", "a")]) == PLACES[2], "zone b has none"
    assert place_next(PLACES, [Place("a1", "a"), Place("b1", "b")]) == PLACES[1], "in zone a, a2 has none"


@given(st.integers(0, 30))
def test_zones_never_differ_by_more_than_one(count: int) -> None:
    taken: list[Place] = []
    for _ in range(count):
        taken.append(place_next(PLACES, taken))
    zones = Counter(place.zone for place in taken)
    assert abs(zones["a"] - zones["b"]) <= 1, f"{zones} is out of balance"


def _candidate(name: str, zone: str, version: int = 1, age: int = 0) -> Candidate:
    return Candidate(name, zone, version, START - timedelta(days=age))


@pytest.mark.parametrize(
    ("candidates", "first", "why"),
    [
        ([_candidate("1", "a"), _candidate("2", "b", age=9), _candidate("3", "a")], "1", "the fullest zone"),
        ([_candidate("1", "a", 2, 9), _candidate("2", "a", 1)], "2", "then the oldest template"),
        ([_candidate("1", "a", age=1), _candidate("2", "a", age=2)], "2", "then the oldest instance"),
    ],
)
def test_the_default_termination_policy(candidates: list[Candidate], first: str, why: str) -> None:
    assert first_to_go(candidates, 1) == [first], why


def test_scale_in_keeps_the_balance_at_each_step() -> None:
    candidates = [_candidate(f"{zone}{n}", zone) for zone in "ab" for n in range(3)]
    gone = first_to_go(candidates, 4)
    assert Counter(name[0] for name in gone) == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("zones", "moves", "why"),
    [
        ("aab", None, "one more is balance enough"),
        ("aa", "0a", "none in b: the oldest of a"),
        ("aaab", "0a", "two more in a"),
        ("abc", "2c", "the group is not in c any more"),
        ("", None, "nothing to move"),
    ],
)
def test_one_instance_at_a_time_moves_to_a_zone_with_fewer(zones: str, moves: str | None, why: str) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html
    candidates = [_candidate(f"{place}{zone}", zone, age=9 - place) for place, zone in enumerate(zones)]
    assert out_of_balance(candidates, ["a", "b"]) == moves, why


def test_scale_in_ends_with_the_last_candidate() -> None:
    assert first_to_go([_candidate("1", "a")], 5) == ["1"]


def test_an_action_waits_for_a_heartbeat_timeout_from_its_start_or_last_heartbeat() -> None:
    action = Action("hook", heartbeat=30, default="ABANDON", started=100)
    assert not action.expired(129.9)
    assert action.expired(130), "the timeout has passed"
    action.beat(120)
    assert not action.expired(149.9), "a heartbeat starts it again"


@pytest.mark.parametrize(("heartbeat", "longest"), [(30, 3000), (7200, 172_800)])
def test_no_heartbeat_prolongs_an_action_beyond_its_longest_wait(heartbeat: float, longest: float) -> None:
    action = Action("hook", heartbeat=heartbeat, default="CONTINUE", started=0)
    action.beat(longest - 1)
    assert action.expired(longest), "a hundred timeouts, or 48 hours"


def test_what_moto_has_no_more_is_noticed() -> None:
    class Moto:
        def has(self) -> int:
            return 1

    with pytest.raises(MotoDriftError, match="Moto has no gone"):
        instead(Moto, "gone", None)
    with pytest.raises(MotoDriftError, match="Moto has no gone"):
        around(Moto, "gone", lambda original: original)
    with pytest.raises(MotoDriftError, match="of its own now"):
        add(Moto, "has", None)
    around(Moto, "has", lambda original, moto: original(moto) + 1)
    assert Moto().has() == 2, "the wrapper runs around the original"
