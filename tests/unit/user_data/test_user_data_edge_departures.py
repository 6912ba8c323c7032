"""When a machine may go on into its group, and out of it; and what edges tell each other and operators about it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from edge_examples import DOWN, LAUNCH, TERMINATE, group, servers, traffic, well
from hypothesis import given
from hypothesis import strategies as st
from reconciler import departures, edges, report
from reconciler.belief import Belief
from reconciler.departures import DRAIN_SECONDS, SETTLED_SECONDS, STAND_IN_SECONDS, Departures, Memory
from reconciler.health import Health
from reconciler.model import Hook, Traffic

LEAVING = group(i1="InService", i2="Terminating:Wait")


def completed(decided: Departures) -> list[tuple[str, Hook]]:
    return [(each.member.instance_id, each.hook) for each in decided.completions]


def decide(
    belief: Belief,
    in_nginx: tuple[int, ...],
    counted: Traffic | None = None,
    memory: Memory | None = None,
    now: float = 0.0,
    held: Sequence[str] = (),
    health: dict[str, Health] | None = None,
) -> Departures:
    listed = servers(*in_nginx)
    return departures.decide(
        belief, listed, counted or traffic(*in_nginx), health or well(1, 2), held, memory or Memory(), now
    )


def test_a_launch_goes_on_once_the_machine_is_in_nginx_and_answers() -> None:
    belief = group(i1="InService", i2="Pending:Wait")
    assert completed(decide(belief, (1, 2))) == [("i-2", LAUNCH)]
    assert completed(decide(belief, (1,))) == [], "in service without getting requests"
    assert completed(decide(belief, (1, 2), health=well(1) | {"i-2": DOWN})) == []


def test_a_machine_leaves_once_its_last_request_is_answered() -> None:
    busy = decide(LEAVING, (1,), traffic(1, in_flight={2: 3}), now=100)
    assert completed(busy) == []
    still = decide(LEAVING, (1,), traffic(1, in_flight={2: 1}), busy.memory, now=119)
    assert (completed(still), still.out) == ([], frozenset()), "counted, not guessed"
    idle = decide(LEAVING, (1,), traffic(1), still.memory, now=120)
    assert completed(idle) == [], "a worker may just have chosen it by the old list"
    done = decide(LEAVING, (1,), traffic(1), idle.memory, now=120 + SETTLED_SECONDS)
    assert (completed(done), done.out) == ([("i-2", TERMINATE)], {"i-2"})


def test_a_late_request_begins_the_wait_anew() -> None:
    idle = decide(LEAVING, (1,), now=100)
    late = decide(LEAVING, (1,), traffic(1, in_flight={2: 1}), idle.memory, now=100.5)
    assert completed(decide(LEAVING, (1,), traffic(1), late.memory, now=101.2)) == []


def test_a_request_that_never_ends_holds_a_machine_up_to_a_deadline() -> None:
    forever = traffic(1, in_flight={2: 1})
    began = decide(LEAVING, (1,), forever, now=100)
    assert completed(decide(LEAVING, (1,), forever, began.memory, now=99 + DRAIN_SECONDS)) == []
    assert completed(decide(LEAVING, (1,), forever, began.memory, now=100 + DRAIN_SECONDS)) == [("i-2", TERMINATE)]


def test_a_machine_that_another_edge_may_still_use_waits_up_to_the_same_deadline() -> None:
    began = decide(LEAVING, (1,), now=100)
    assert completed(decide(LEAVING, (1,), memory=began.memory, now=110, held=["i-2"])) == []
    late = decide(LEAVING, (1,), memory=began.memory, now=100 + DRAIN_SECONDS, held=["i-2"])
    assert completed(late) == [("i-2", TERMINATE)]


def test_a_machine_that_stands_in_for_another_stays_longer() -> None:
    belief = group(i1="Terminating:Wait", i2="Pending:Wait")
    began = decide(belief, (1,), now=100)
    assert completed(decide(belief, (1,), memory=began.memory, now=100 + DRAIN_SECONDS)) == []
    assert completed(decide(belief, (1,), memory=began.memory, now=100 + STAND_IN_SECONDS)) == [("i-1", TERMINATE)]


def test_aws_is_told_to_wait_on_in_time() -> None:
    busy = traffic(1, in_flight={2: 1})
    memory, beats = Memory(), []
    hook = (Hook("terminate", 30.0),)
    short = replace(
        LEAVING, members=tuple(replace(each, waits_for=each.waits_for and hook) for each in LEAVING.members)
    )
    for now in range(100, 100 + int(DRAIN_SECONDS)):
        decided = decide(short, (1,), busy, memory, float(now))
        memory = decided.memory
        beats += [now for _ in decided.heartbeats]
    assert beats == list(range(110, 220, 10)), "three a time-out: two may be lost"
    calm = decide(LEAVING, (1,), busy, decide(LEAVING, (1,), busy, now=100).memory, 219)
    assert calm.heartbeats == (), "a hook of ten minutes needs none"


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.booleans(), st.sampled_from([0.3, 1.0, 5.0])), max_size=60)
)
def test_no_machine_is_let_go_while_it_has_requests_before_the_deadline(
    history: Sequence[tuple[bool, int, bool, float]],
) -> None:
    memory, now, began = Memory(), 100.0, 100.0
    for listed, in_flight, held, step in history:
        counted = traffic(1, *([2] if listed else []), in_flight={2: in_flight})
        decided = decide(LEAVING, (1, 2) if listed else (1,), counted, memory, now, ["i-2"] if held else [])
        memory = decided.memory
        if completed(decided) and now - began < DRAIN_SECONDS:
            assert not listed, "it gets new requests"
            assert not in_flight, "it answers some"
            assert not held, "another edge sends some"
        now += step


def edge(at: float, **states: str) -> dict[str, Any]:
    return {"at": at, "members": [{"id": f"i-{name[1:]}", "state": state} for name, state in states.items()]}


@pytest.mark.parametrize(
    ("reported", "held"),
    [
        (None, False),
        (edge(101, i2="out"), False),
        (edge(101, i1="serving"), False),
        (edge(101, i2="serving"), True),
        (edge(101, i2="draining"), True),
        (edge(99, i2="out"), True),
        ("garbage", True),
        ({"at": "x", "members": None}, True),
    ],
)
def test_another_edge_holds_a_machine_until_it_reports_it_out(reported: Any, held: bool) -> None:
    assert edges.may_use("i-2", 100, {"i-9": reported}) is held


def test_every_other_edge_has_to_report_it_out() -> None:
    assert edges.may_use("i-2", 100, {"i-8": edge(101, i2="out"), "i-9": edge(101, i2="serving")})
    assert not edges.may_use("i-2", 100, {})


def test_a_report_tells_of_each_machine_where_it_stands_and_what_nginx_counts() -> None:
    belief = group(
        i1="InService", i2="InService", i3="Pending:Wait", i4="Terminating:Wait", i5="InService", drained=(2, 5)
    )
    counted = Traffic(servers(1), {"i-1": {"in_flight": 2, "requests": 7, "statuses": {"2xx": 7}, "address": "x"}})
    parts = report.members(belief, servers(1), counted, well(1, 2, 4, 5), {"i-2": "to be drained"}, {"i-2"})
    assert {each["id"]: each["state"] for each in parts} == {
        "i-1": "serving",
        "i-2": "out",
        "i-3": "joining",
        "i-4": "draining",
        "i-5": "draining",
    }
    assert parts[0] == {
        "id": "i-1",
        "state": "serving",
        "reason": None,
        "in_flight": 2,
        "requests": 7,
        "connect_failures": 0,
        "statuses": {"2xx": 7},
        "seconds": 0.0,
        "buckets": {},
    }
    assert parts[1]["reason"] == "to be drained"


def test_a_server_that_no_group_has_is_reported_too() -> None:
    (part,) = report.members(Belief(), servers(9), traffic(9), {}, {}, ())
    assert (part["id"], part["state"]) == ("i-9", "serving"), "another edge must not think that it is out"


def test_reports_are_rare_while_nothing_happens_and_prompt_when_something_does() -> None:
    assert report.due(None, False, False)
    assert not report.due(9, False, False)
    assert report.due(10, False, False)
    assert report.due(2, False, True)
    assert report.due(0.6, True, False)
    assert not report.due(0.2, True, True), "a bound on what it costs"
