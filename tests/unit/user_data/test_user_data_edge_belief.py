"""Which answers of the API are believed, what probes add up to, and whom to have replaced."""

from collections.abc import Mapping, Sequence

import pytest
from edge_examples import WELL, group, member, numbered, probed, servers, well
from hypothesis import given
from hypothesis import strategies as st
from reconciler import belief, health, replacements, retry
from reconciler.belief import DOUBT_SECONDS, Belief, after
from reconciler.health import Health
from reconciler.model import MISSING, UNKNOWN, Answer
from reconciler.probes import JITTER, TIMEOUT, Target, pause


def answer(states: Mapping[int, str], wanted: int = 4) -> Answer:
    return Answer(numbered(states).members, wanted)


FOUR: dict[int, str] = dict.fromkeys((1, 2, 3, 4), "InService")


def states(believed: Belief) -> dict[str, str]:
    return {each.instance_id: each.state for each in believed.members}


def test_before_the_first_answer_nginx_is_believed() -> None:
    believed = belief.at_first(servers(1, 2), {3000: "/ready"})
    assert states(believed) == {"i-1": UNKNOWN, "i-2": UNKNOWN}
    assert {each.path for each in believed.members} == {"/ready"}
    assert believed.wanted is None


def test_an_answer_that_is_plausible_is_believed_at_once() -> None:
    seen = answer({1: "InService", 2: "Terminating:Wait", 3: "Pending:Wait"})
    assert after(numbered(FOUR), seen, (), 0).members == seen.members, "one of four is gone"


def test_a_group_that_leaves_state_by_state_is_believed_down_to_nothing() -> None:
    believed = numbered(FOUR)
    believed = after(believed, answer(dict.fromkeys(FOUR, "Terminating:Wait"), 0), (), 0)
    believed = after(believed, answer({}, 0), (), 2)
    assert (believed.members, believed.wanted, believed.missing) == ((), 0, ())


@pytest.mark.parametrize("left", [{}, {1: "InService"}, {1: "InService", 2: "InService"}])
def test_half_of_the_machines_gone_without_leaving_is_in_doubt(left: dict[int, str]) -> None:
    believed = after(numbered(FOUR), answer(left), (), 0)
    assert set(states(believed)) == {"i-1", "i-2", "i-3", "i-4"}
    assert sum(state == MISSING for state in states(believed).values()) == 4 - len(left)


def test_doubt_about_some_does_not_hold_up_who_comes() -> None:
    believed = after(numbered(FOUR), answer({5: "Pending:Wait"}), (), 0)
    assert states(believed)["i-5"] == "Pending:Wait"


def test_the_only_machine_gone_is_in_doubt_and_one_of_two_is_not() -> None:
    assert after(group(i1="InService"), answer({}), (), 0).missing == ("i-1",)
    assert after(group(i1="InService", i2="InService"), answer({1: "InService"}), (), 0).missing == ()


def test_doubt_lasts_while_the_answer_does_and_ends_by_a_better_one() -> None:
    believed = numbered(FOUR)
    for now in range(0, 120, 2):
        believed = after(believed, answer({}), (), float(now))
        assert len(believed.missing) == 4, f"after {now} s"
    again = after(believed, answer(FOUR), (), 120)
    assert again.members == numbered(FOUR).members
    assert again.missing == ()


def test_doubt_ends_where_ec2_says_that_a_machine_ends() -> None:
    believed = after(numbered(FOUR), answer({}), {"i-1", "i-2"}, 0)
    assert believed.missing == ("i-3", "i-4")


def test_doubt_ends_after_a_time() -> None:
    believed = after(numbered(FOUR), answer({}), (), 0)
    believed = after(believed, answer({}), (), DOUBT_SECONDS - 1)
    assert len(believed.missing) == 4
    assert after(believed, answer({}), (), DOUBT_SECONDS).members == ()


@given(
    st.lists(
        st.dictionaries(st.integers(1, 6), st.sampled_from(["InService", "Pending:Wait", "Terminating:Wait"])),
        max_size=12,
    )
)
def test_whatever_the_api_says_no_machine_is_believed_twice_and_every_one_that_it_names(
    history: Sequence[dict[int, str]],
) -> None:
    believed = Belief()
    for number, each in enumerate(history):
        seen = answer(each)
        believed = after(believed, seen, (), 2.0 * number)
        assert len(states(believed)) == len(believed.members), "twice"
        assert {one.instance_id: one.state for one in seen.members}.items() <= states(believed).items()
        assert {key for key, state in states(believed).items() if state == MISSING} == set(believed.missing)


def test_a_new_machine_is_up_at_its_first_answer() -> None:
    assert probed((0, False), (1, False), (2, True)).up is True


def test_a_machine_falls_after_three_failures_and_two_seconds() -> None:
    assert probed((0, True), (1, False), (1.3, False), (1.6, False)).up is True, "a moment's trouble"
    assert probed((0, True), (1, False), (2, False), (3, False)).up is False
    assert probed((0, True), (1, False), (2, True), (3, False), (4, False)).up is True, "not in a row"


def test_a_machine_that_fell_returns_at_its_second_answer() -> None:
    fallen = ((0.0, True), (1.0, False), (2.0, False), (3.0, False))
    assert probed(*fallen, (4, True)).up is False, "what flaps must not come and go with each probe"
    assert probed(*fallen, (4, True), (5, True)).up is True


def test_a_machine_that_nobody_has_seen_well_does_not_count_as_down_until_it_fell() -> None:
    """After a restart of the reconciler: the list stays until there is something to say."""
    assert probed((0, False), (1, False)).up is None
    assert probed((0, False), (1, False), (2, False)).up is False


def test_a_machine_that_is_gone_is_out_in_five_seconds() -> None:
    """Probes at their slowest, each of which waits its second out. A pass follows at once."""
    target, found, now = Target("10.0.0.1", 3000, "/readyz"), probed((0.0, True)), 0.0
    while found.up:
        now += pause(target, found, 2) * (1 + JITTER) + TIMEOUT
        found = health.after(found, False, "timed out", now)
    assert now <= 4.7


def test_a_joining_machine_is_asked_several_times_a_second_and_a_big_fleet_more_seldom() -> None:
    joining = Target("10.0.0.1", 3000, "/readyz", joining=True)
    assert pause(joining, Health(), 1000) <= 0.3
    assert pause(Target("10.0.0.1", 3000, "/readyz"), WELL, 1000) >= 4.5, "at most about 200 a second"


def test_a_new_machine_is_asked_again_soon_and_one_that_stays_down_at_the_usual_pace() -> None:
    """In a big fleet, one lost answer would keep a new machine out for seconds."""
    target = Target("10.0.0.1", 3000, "/readyz")
    assert pause(target, Health(), 1000) <= 0.3
    assert pause(target, probed((0, False)), 1000) <= 0.3
    assert pause(target, probed(*((each, False) for each in range(20))), 1000) >= 4.5


def failing(*numbers: int, since: float = 0.0) -> dict[str, Health]:
    return {f"i-{each}": Health(False, 60, False, since, True, "timed out") for each in numbers}


def fleet(size: int) -> Belief:
    return numbered(dict.fromkeys(range(1, size + 1), "InService"))


def test_a_machine_that_fails_for_a_minute_is_reported_once() -> None:
    worst, memory = replacements.decide(fleet(2), well(1) | failing(2), replacements.Memory(), 59.0)
    assert worst is None, "not yet"
    worst, memory = replacements.decide(fleet(2), well(1) | failing(2), memory, 60.0)
    assert worst == "i-2"
    assert replacements.decide(fleet(2), well(1) | failing(2), memory, 600.0)[0] is None, "it is known"


def test_nobody_is_reported_when_less_than_half_of_the_fleet_answers() -> None:
    assert replacements.decide(fleet(3), well(1) | failing(2, 3), replacements.Memory(), 900.0)[0] is None
    assert replacements.decide(fleet(1), failing(1), replacements.Memory(), 900.0)[0] is None, "nor the only one"


def test_one_a_minute_is_reported_and_a_quarter_of_the_fleet_at_most() -> None:
    memory, reported = replacements.Memory(), []
    sick = (1, 2, 3, 4)
    for now in range(100, 1100):
        worst, memory = replacements.decide(fleet(8), well(5, 6, 7, 8) | failing(*sick), memory, float(now))
        if worst:
            reported.append((now, worst))
    assert reported == [(100, "i-1"), (160, "i-2")]


def test_a_machine_that_served_before_this_program_began_needs_no_time_to_boot() -> None:
    young = {each: Health(False, 60, False, 0.0, False, "timed out") for each in ("i-2", "i-3")}
    memory = replacements.at_first(servers(1), ["i-2"])
    assert replacements.decide(fleet(8), well(1, 4, 5, 6, 7, 8) | young, memory, 59.0)[0] is None
    worst, memory = replacements.decide(fleet(8), well(1, 4, 5, 6, 7, 8) | young, memory, 60.0)
    assert worst == "i-2"
    assert replacements.decide(fleet(8), well(1, 4, 5, 6, 7, 8) | young, memory, 120.0)[0] is None, "it may boot"
    _, memory = replacements.decide(fleet(1), well(1), memory, 121.0)
    assert memory.served == {"i-1"}, "who has left its group is forgotten"


def test_a_machine_that_starts_or_is_being_drained_is_not_reported() -> None:
    young = {"i-2": Health(False, 60, False, 0.0, False, "Connection refused")}
    memory = replacements.decide(fleet(2), well(1) | young, replacements.Memory(), 0.0)[1]
    assert replacements.decide(fleet(2), well(1) | young, memory, 299.0)[0] is None, "it may still boot"
    assert replacements.decide(fleet(2), well(1) | young, memory, 301.0)[0] == "i-2"
    drained = group(i1="InService", i2="InService", drained=(2,))
    assert replacements.decide(drained, well(1) | failing(2), replacements.Memory(), 900.0)[0] is None
    launching = Belief((member(1, "InService"), member(2, "Pending:Wait")), 2)
    assert replacements.decide(launching, well(1) | failing(2), replacements.Memory(), 900.0)[0] is None


@given(st.lists(st.tuples(st.sets(st.integers(1, 9)), st.integers(1, 9)), max_size=60))
def test_whatever_fails_a_sick_edge_takes_at_most_a_quarter_and_one_a_minute(
    history: Sequence[tuple[set[int], int]],
) -> None:
    memory, reported, now = replacements.Memory(), [], 1000.0
    for fails, step in history:
        everyone = set(range(1, 10))
        found = well(*(everyone - fails)) | failing(*fails)
        worst, memory = replacements.decide(fleet(9), found, memory, now)
        if worst:
            assert 2 * len(everyone - fails) >= len(everyone), "the edge itself may be sick"
            assert worst not in reported, "twice"
            reported.append(worst)
        now += 10.0 * step
    assert len(reported) <= 9 // 4


def test_after_an_error_the_api_is_asked_again_soon_and_when_it_throttles_less_and_less() -> None:
    assert retry.pause(0, False) <= 2.4
    assert retry.pause(0, False, urgent=True) <= 1.2
    assert retry.pause(50, False) <= 9.6, "it may be back at any moment"
    assert 24 <= retry.pause(50, True) <= 36
