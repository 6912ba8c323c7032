"""Who gets requests: examples first, then what must hold for anything that may be seen."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from edge_examples import DOWN, STARTING, UNWELL, WELL, down, group, member, numbered, server, servers, well
from hypothesis import given
from hypothesis import strategies as st
from reconciler.belief import Belief
from reconciler.health import Health
from reconciler.model import MISSING, UNKNOWN, Member, Server
from reconciler.plan import changes, plan

SERVING = ("Pending:Wait", "Pending:Proceed", "InService", UNKNOWN)


def test_a_machine_that_answers_joins() -> None:
    decided = plan(group(i1="InService", i2="Pending:Wait"), servers(1), well(1, 2))
    assert decided.servers == servers(1, 2)
    assert changes(servers(1), decided) == ["i-2 (10.0.0.2) added: ready"]


def test_a_machine_that_does_not_answer_yet_waits() -> None:
    decided = plan(group(i1="InService", i2="Pending:Wait"), servers(1), well(1) | {"i-2": STARTING})
    assert decided.servers == servers(1)
    assert decided.reasons["i-2"] == "not ready: Connection refused"


def test_a_machine_that_waits_for_somebody_elses_hook_gets_no_traffic_yet() -> None:
    """It may answer while it is still being filled; once in service it is as good as any."""
    others = replace(member(2, "Pending:Wait"), waits_for=())
    assert plan(Belief((member(1, "InService"), others), 2), servers(1), well(1, 2)).servers == servers(1)


def test_a_machine_without_an_address_waits() -> None:
    nowhere = replace(member(1, "InService"), address=None)
    assert plan(Belief((nowhere,), 1), (), well(1)).servers == ()


def test_who_was_not_probed_yet_stays_as_it_is() -> None:
    """So a reconciler that was just restarted takes nobody out, and puts nobody in."""
    assert plan(group(i1="InService", i2="InService"), servers(1), {}).servers == servers(1)


def test_a_machine_that_leaves_is_out_at_once() -> None:
    decided = plan(group(i1="InService", i2="Terminating:Wait"), servers(1, 2), well(1, 2))
    assert decided.servers == servers(1)
    assert changes(servers(1, 2), decided) == ["i-2 (10.0.0.2) removed: Terminating:Wait"]


def test_the_last_server_leaves_only_when_another_has_come() -> None:
    belief = group(i1="Terminating:Wait", i2="Pending:Wait")
    alone = plan(belief, servers(1), well(1) | {"i-2": STARTING})
    assert alone.servers == servers(1), "it is all that answers"
    assert alone.reasons["i-1"] == "Terminating:Wait, but no other answers"
    assert plan(belief, servers(1), well(1, 2)).servers == servers(2)


def test_a_leaving_machine_that_does_not_answer_stands_in_for_nobody() -> None:
    assert plan(group(i1="Terminating:Wait", i2="Pending:Wait"), servers(1), down(1)).servers == ()


def test_a_group_that_is_to_have_no_machine_gets_an_empty_list() -> None:
    assert plan(group(wanted=0, i1="Terminating:Wait"), servers(1), well(1)).servers == ()


def test_a_server_that_no_group_has_goes_when_another_answers() -> None:
    assert plan(group(i2="InService"), servers(1, 2), well(1, 2)).servers == servers(2)
    assert plan(group(i2="Pending:Wait"), servers(1), well(1)).servers == servers(1), "nothing else answers"


def test_before_the_apis_first_answer_the_list_is_kept_and_probes_decide() -> None:
    belief = Belief(tuple(member(each, UNKNOWN) for each in (1, 2, 3)))
    assert plan(belief, servers(1, 2, 3), {}).servers == servers(1, 2, 3)
    assert plan(belief, servers(1, 2, 3), well(1, 2) | down(3)).servers == servers(1, 2)


def test_who_is_missing_from_the_apis_answer_stays_while_it_answers() -> None:
    belief = Belief((member(1, MISSING), member(2, MISSING)), 0)
    assert plan(belief, servers(1, 2), well(1, 2)).servers == servers(1, 2)
    assert plan(belief, servers(1, 2), well(1) | down(2)).servers == servers(1), "both witnesses say that it is gone"
    assert plan(belief, servers(1, 2), down(1, 2)).servers == ()


def test_a_server_that_fell_comes_out_and_back_in() -> None:
    belief = group(i1="InService", i2="InService", i3="InService")
    out = plan(belief, servers(1, 2, 3), well(1, 2) | down(3))
    assert out.servers == servers(1, 2)
    assert changes(servers(1, 2, 3), out) == ["i-3 (10.0.0.3) removed: 9 probes failed: timed out"]
    assert plan(belief, servers(1, 2), well(1, 2, 3)).servers == servers(1, 2, 3)


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_the_servers_stay_whatever_their_probes_say(size: int, kept: int) -> None:
    everyone = tuple(range(1, size + 1))
    belief = numbered(dict.fromkeys(everyone, "InService"))
    current = servers(*everyone)
    for _ in range(5):
        current = plan(belief, current, down(*everyone)).servers
    assert len(current) == kept, "and that doesn't wear off with time"


def test_the_floor_is_made_of_those_that_answer_at_least_something() -> None:
    decided = plan(group(i1="InService", i2="InService"), servers(1, 2), {"i-1": DOWN, "i-2": UNWELL})
    assert decided.servers == servers(2), "who says 503 is there; who says nothing may be gone"


def test_who_has_yet_to_be_let_in_counts_for_no_floor() -> None:
    belief = numbered(dict.fromkeys(range(1, 5), "Pending:Wait"))
    assert plan(belief, servers(1, 2, 3, 4), down(1, 2, 3, 4)).servers == ()


@pytest.mark.parametrize("state", ["Standby", "EnteringStandby", "Detaching", "Warmed:Stopped", "Terminating:Proceed"])
def test_standby_and_detached_machines_get_no_traffic(state: str) -> None:
    assert plan(group(i1="InService", i2=state), servers(1, 2), well(1, 2)).servers == servers(1)


def test_a_new_machine_with_an_old_ones_address_is_another_server() -> None:
    new = Member("i-9", "InService", "10.0.0.1", 3000)
    decided = plan(Belief((new, member(2, "InService")), 2), servers(1, 2), well(2, 9))
    assert decided.servers == (server(2), Server("i-9", "10.0.0.1", 3000))


def settle(belief: Belief, current: tuple[Server, ...], health: Mapping[str, Health]) -> tuple[Server, ...]:
    for _ in range(10):
        current = plan(belief, current, health).servers
    return current


def test_a_machine_to_be_drained_comes_out() -> None:
    decided = plan(group(i1="InService", i2="InService", drained=(2,)), servers(1, 2), well(1, 2))
    assert decided.servers == servers(1)
    assert decided.reasons == {"i-2": "to be drained"}


def test_a_drain_never_goes_below_the_floor() -> None:
    alone = plan(group(i1="InService", drained=(1,)), servers(1), well(1))
    assert alone.servers == servers(1), "the only one"
    assert alone.reasons == {"i-1": "to be drained, but too few others would be left"}
    three = group(i1="InService", i2="InService", i3="InService", drained=(1, 2, 3))
    assert settle(three, servers(1, 2, 3), well(1, 2, 3)) == servers(2, 3), "one at a time"


def test_a_drained_machine_stays_out_while_others_fail_and_one_answers() -> None:
    belief = group(i1="InService", i2="InService", i3="InService", drained=(1,))
    assert plan(belief, servers(2, 3), well(1, 2) | down(3)).servers == servers(2, 3), "the floor keeps who fails"


def test_a_drained_machine_stands_in_when_no_other_answers() -> None:
    decided = plan(group(i1="InService", i2="InService", drained=(1,)), servers(2), well(1) | down(2))
    assert decided.servers == servers(1)
    assert decided.reasons["i-1"] == "to be drained, but no other answers"


def test_a_drained_machine_returns_when_its_tag_is_gone() -> None:
    assert plan(group(i1="InService", i2="InService"), servers(1), well(1, 2)).servers == servers(1, 2)


STATES = st.sampled_from(
    [*SERVING, MISSING, "Pending", "Terminating", "Terminating:Wait", "Terminating:Proceed", "Standby", "Detached"]
)
NUMBERS = st.lists(st.integers(1, 8), unique=True)
MEMBERS = st.dictionaries(st.integers(1, 8), st.tuples(STATES, st.booleans())).map(
    lambda states: tuple(member(each, state, drain=drain) for each, (state, drain) in states.items())
)
BELIEFS = st.builds(Belief, MEMBERS, st.none() | st.integers(0, 8))
CURRENT = NUMBERS.map(lambda numbers: servers(*sorted(numbers)))
HEALTH = st.dictionaries(st.integers(1, 8).map("i-{}".format), st.sampled_from([WELL, DOWN, UNWELL, STARTING]))


@given(BELIEFS, CURRENT, HEALTH)
def test_the_list_is_never_empty_while_something_answers(
    belief: Belief, current: tuple[Server, ...], health: dict[str, Health]
) -> None:
    may_serve = {each.instance_id for each in belief.members if each.state in (*SERVING, MISSING)}
    could = may_serve | ({each.instance_id for each in current} if belief.wanted != 0 else set())
    if could & {each for each, found in health.items() if found.up}:
        assert plan(belief, current, health).servers


@given(BELIEFS, CURRENT, HEALTH)
def test_every_member_that_answers_gets_traffic_unless_it_is_to_be_drained(
    belief: Belief, current: tuple[Server, ...], health: dict[str, Health]
) -> None:
    chosen = {each.instance_id for each in plan(belief, current, health).servers}
    wanted = {each.instance_id for each in belief.members if each.state in (*SERVING, MISSING) and not each.drain}
    assert wanted & {each for each, found in health.items() if found.up} <= chosen, "no healthy server is held back"


@given(BELIEFS, CURRENT, HEALTH)
def test_a_stranger_or_a_leaving_server_stays_only_if_no_member_answers(
    belief: Belief, current: tuple[Server, ...], health: dict[str, Health]
) -> None:
    chosen = {each.instance_id for each in plan(belief, current, health).servers}
    serving = {each.instance_id for each in belief.members if each.state in (*SERVING, MISSING)}
    if chosen - serving:
        assert not serving & {each for each, found in health.items() if found.up}, "others could take its requests"
        assert chosen - serving <= {each.instance_id for each in current}, "it would get requests anew"
        assert belief.wanted != 0


@given(BELIEFS, CURRENT, HEALTH)
def test_at_least_half_of_those_that_serve_stay(
    belief: Belief, current: tuple[Server, ...], health: dict[str, Health]
) -> None:
    ought = {each.instance_id for each in belief.members if each.state in ("InService", "Pending:Proceed", UNKNOWN)}
    before = ought & {each.instance_id for each in current} - {
        each.instance_id for each in belief.members if each.drain
    }
    after = {each.instance_id for each in plan(belief, current, health).servers}
    assert len(after) >= min(len(before), (len(ought) + 1) // 2), "probes took out more than half"


@given(BELIEFS, CURRENT, HEALTH)
def test_a_drain_leaves_the_floor_of_those_that_answer(
    belief: Belief, current: tuple[Server, ...], health: dict[str, Health]
) -> None:
    plain = Belief(tuple(replace(each, drain=False) for each in belief.members), belief.wanted)
    ought = [each for each in belief.members if each.state in ("InService", "Pending:Proceed", UNKNOWN)]
    without, with_drain = (plan(each, current, health).servers for each in (plain, belief))
    drained_now = {each.instance_id for each in belief.members if each.drain} & {each.instance_id for each in current}
    taken = {each.instance_id for each in without} - {each.instance_id for each in with_drain}
    if taken & drained_now & {each for each, found in health.items() if found.up}:
        assert len(with_drain) >= max(1, (len(ought) + 1) // 2)


@given(BELIEFS, CURRENT, HEALTH)
def test_when_nothing_changes_the_list_settles(
    belief: Belief, current: tuple[Server, ...], health: dict[str, Health]
) -> None:
    settled = settle(belief, current, health)
    again = plan(belief, settled, health)
    assert again.servers == settled, "it goes back and forth"
    assert changes(settled, again) == [], "it says that it does something"
    assert list(settled) == sorted(set(settled)), "the same servers must be the same list"
