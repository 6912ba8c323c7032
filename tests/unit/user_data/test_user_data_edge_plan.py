"""The reconciler's decisions: examples first, then what must hold for anything that may be seen."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reconciler.model import Completion, Member, Memory, Observation, Plan, Server
from reconciler.plan import DRAIN_SECONDS, FAILURES_TO_REMOVE, SERVING_STATES, plan

HOOKS = (("launch",), ("terminate",))


def server(number: int) -> Server:
    return Server(f"i-{number}", f"10.0.0.{number}")


def servers(*numbers: int) -> tuple[Server, ...]:
    return tuple(server(each) for each in numbers)


def group(**states: str) -> Observation:
    """An observation from `i1="InService"` and the like."""
    members = tuple(Member(f"i-{name[1:]}", state, f"10.0.0.{name[1:]}") for name, state in states.items())
    return Observation(members, *HOOKS)


def ready(*numbers: int) -> dict[str, bool]:
    return {f"i-{each}": True for each in numbers}


def run(observation: Observation | None, current: tuple[Server, ...], probes: dict[str, bool], passes: int) -> Plan:
    """Several passes in a row, two seconds apart, in which the same is seen."""
    decided = Plan(current, (), Memory(), ())
    for each in range(passes):
        decided = plan(observation, decided.servers, probes, decided.memory, 2.0 * each)
    return decided


def test_a_machine_that_answers_joins_and_its_launch_goes_on() -> None:
    decided = plan(group(i1="InService", i2="Pending:Wait"), servers(1), ready(1, 2), Memory(), 0)
    assert decided.servers == servers(1, 2)
    assert decided.completions == (Completion("i-2", "launch"),)
    assert decided.log == ("i-2 (10.0.0.2) added: ready",)


def test_a_machine_that_does_not_answer_yet_waits() -> None:
    decided = plan(group(i1="InService", i2="Pending:Wait"), servers(1), ready(1), Memory(), 0)
    assert (decided.servers, decided.completions) == (servers(1), ())


def test_a_machine_that_waits_for_somebody_elses_hook_gets_no_traffic_yet() -> None:
    """It may answer while it is still being filled; once in service it is as good as any."""
    observation = Observation((Member("i-1", "InService", "10.0.0.1"), Member("i-2", "Pending:Wait", "10.0.0.2")))
    assert plan(observation, servers(1), ready(1, 2), Memory(), 0).servers == servers(1)


def test_a_group_without_hooks_joins_by_its_answer_and_leaves_by_its_state() -> None:
    observation = Observation(
        (
            Member("i-1", "InService", "10.0.0.1"),
            Member("i-2", "InService", "10.0.0.2"),
            Member("i-3", "Terminating", "10.0.0.3"),
        )
    )
    decided = plan(observation, servers(1, 3), ready(1, 2, 3), Memory(), 0)
    assert (decided.servers, decided.completions) == (servers(1, 2), ())


def test_a_machine_without_an_address_waits() -> None:
    observation = Observation((Member("i-1", "Pending:Wait", None),), *HOOKS)
    decided = plan(observation, (), ready(1), Memory(), 0)
    assert (decided.servers, decided.completions) == ((), ())


def test_a_machine_that_leaves_is_out_first_and_let_go_after_its_drain() -> None:
    observation = group(i1="InService", i2="Terminating:Wait")
    out = plan(observation, servers(1, 2), ready(1, 2), Memory(), 100)
    assert (out.servers, out.completions) == (servers(1), ()), "no new requests, and time for those under way"
    assert out.log == ("i-2 (10.0.0.2) removed: Terminating:Wait",)
    early = plan(observation, out.servers, ready(1, 2), out.memory, 100 + DRAIN_SECONDS - 0.1)
    assert early.completions == (), "still draining"
    late = plan(observation, early.servers, ready(1, 2), early.memory, 100 + DRAIN_SECONDS)
    assert late.completions == (Completion("i-2", "terminate"),)


def test_the_last_server_leaves_only_when_another_has_come() -> None:
    alone = run(group(i1="Terminating:Wait", i2="Pending:Wait"), servers(1), {}, passes=100)
    assert (alone.servers, alone.completions) == (servers(1), ()), "it is all that Nginx has"
    relieved = plan(group(i1="Terminating:Wait", i2="Pending:Wait"), alone.servers, ready(2), alone.memory, 300)
    assert relieved.servers == servers(2)
    assert relieved.completions == (Completion("i-2", "launch"),), "the drain of the other begins now"


def test_a_group_that_shrinks_to_nothing_is_not_held_up() -> None:
    decided = run(group(i1="Terminating:Wait"), servers(1), {}, passes=20)
    assert decided.servers == servers(1), "the list is kept, and Nginx's stand-in answers"
    assert decided.completions == (Completion("i-1", "terminate"),), "no other is to come"


def test_no_good_answer_changes_nothing() -> None:
    memory = Memory({"i-1": 2}, {"i-9": 1.0})
    assert plan(None, servers(1, 2), {}, memory, 5) == Plan(servers(1, 2), (), memory, ())


def test_an_empty_group_leaves_the_last_good_list() -> None:
    assert plan(Observation(()), servers(1, 2), {}, Memory(), 0).servers == servers(1, 2)


def test_a_server_that_fails_its_probes_comes_out_and_back_in() -> None:
    observation = group(i1="InService", i2="InService", i3="InService")
    assert run(observation, servers(1, 2, 3), ready(1, 2), FAILURES_TO_REMOVE - 1).servers == servers(1, 2, 3), "a blip"
    out = run(observation, servers(1, 2, 3), ready(1, 2), FAILURES_TO_REMOVE)
    assert out.servers == servers(1, 2)
    assert out.log == ("i-3 (10.0.0.3) removed: 3 probes failed",)
    assert plan(observation, out.servers, ready(1, 2, 3), out.memory, 99).servers == servers(1, 2, 3), "it's well again"


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_half_of_the_servers_stay_whatever_their_probes_say(size: int, kept: int) -> None:
    everyone = tuple(range(1, size + 1))
    observation = group(**{f"i{each}": "InService" for each in everyone})
    decided = run(observation, servers(*everyone), {}, passes=50)
    assert len(decided.servers) == kept, "and that doesn't wear off with time"


def test_the_one_that_failed_last_is_the_one_that_stays() -> None:
    observation = group(i1="InService", i2="InService")
    memory = Memory({"i-1": 9, "i-2": 4})
    assert plan(observation, servers(1, 2), {}, memory, 0).servers == servers(2)


def test_standby_and_detached_machines_get_no_traffic() -> None:
    for state in ("Standby", "EnteringStandby", "Detaching", "Warmed:Stopped", "Quarantined", "Terminating:Proceed"):
        decided = plan(group(i1="InService", i2=state), servers(1, 2), ready(1, 2), Memory(), 0)
        assert decided.servers == servers(1), state


def test_a_new_machine_with_an_old_ones_address_is_another_server() -> None:
    observation = Observation((Member("i-9", "InService", "10.0.0.1"), Member("i-2", "InService", "10.0.0.2")), *HOOKS)
    decided = plan(observation, servers(1, 2), {"i-9": True, "i-2": True}, Memory(), 0)
    assert decided.servers == (server(2), Server("i-9", "10.0.0.1"))


STATES = st.sampled_from(
    [*SERVING_STATES, "Pending", "Terminating", "Terminating:Wait", "Terminating:Proceed", "Standby", "Detached"]
)
NUMBERS = st.lists(st.integers(1, 8), unique=True)
OBSERVATIONS = st.dictionaries(st.integers(1, 8), STATES).map(
    lambda states: group(**{f"i{number}": state for number, state in states.items()})
)
CURRENT = NUMBERS.map(lambda numbers: servers(*sorted(numbers)))
PROBES = NUMBERS.map(lambda numbers: ready(*numbers))
MEMORY = st.builds(
    Memory,
    st.dictionaries(st.integers(1, 8).map("i-{}".format), st.integers(0, 9)),
    st.dictionaries(st.integers(1, 8).map("i-{}".format), st.floats(0, 100)),
)
NOW = st.floats(100, 200)


@given(OBSERVATIONS | st.none(), CURRENT.filter(bool), PROBES, MEMORY, NOW)
def test_a_list_never_becomes_empty(
    observation: Observation | None, current: tuple[Server, ...], probes: dict[str, bool], memory: Memory, now: float
) -> None:
    assert plan(observation, current, probes, memory, now).servers


@given(CURRENT, PROBES, MEMORY, NOW)
def test_no_answer_never_changes_the_list(
    current: tuple[Server, ...], probes: dict[str, bool], memory: Memory, now: float
) -> None:
    assert plan(None, current, probes, memory, now) == Plan(current, (), memory, ())


@given(OBSERVATIONS, CURRENT, PROBES, MEMORY, NOW)
def test_every_ready_member_gets_traffic(
    observation: Observation, current: tuple[Server, ...], probes: dict[str, bool], memory: Memory, now: float
) -> None:
    chosen = {each.instance_id for each in plan(observation, current, probes, memory, now).servers}
    wanted = {each.instance_id for each in observation.members if each.state in SERVING_STATES} & probes.keys()
    assert wanted <= chosen, "no healthy server is held back"


@given(OBSERVATIONS, CURRENT, PROBES, MEMORY, NOW)
def test_a_stranger_or_a_leaving_server_stays_only_if_there_is_no_other(
    observation: Observation, current: tuple[Server, ...], probes: dict[str, bool], memory: Memory, now: float
) -> None:
    chosen = plan(observation, current, probes, memory, now).servers
    serving = {each.instance_id for each in observation.members if each.state in SERVING_STATES}
    strangers = [each for each in chosen if each.instance_id not in serving]
    assert not strangers or chosen == current, "the last good list whole, or nothing of it"


@given(OBSERVATIONS, CURRENT, PROBES, MEMORY, NOW)
def test_at_least_half_of_those_that_serve_stay(
    observation: Observation, current: tuple[Server, ...], probes: dict[str, bool], memory: Memory, now: float
) -> None:
    decided = plan(observation, current, probes, memory, now)
    serving = {each.instance_id for each in observation.members if each.state in SERVING_STATES}
    before = len([each for each in current if each.instance_id in serving])
    after = len([each for each in decided.servers if each.instance_id in serving])
    assert after >= (before + 1) // 2, "probes took out more than half"


@given(OBSERVATIONS, CURRENT, PROBES, MEMORY, NOW)
def test_no_instance_goes_on_before_its_time(
    observation: Observation, current: tuple[Server, ...], probes: dict[str, bool], memory: Memory, now: float
) -> None:
    decided = plan(observation, current, probes, memory, now)
    states = {each.instance_id: each.state for each in observation.members}
    chosen = {each.instance_id for each in decided.servers}
    others = any(state.startswith("Pending") or state == "InService" for state in states.values())
    for each in decided.completions:
        if each.hook == "launch":
            assert states[each.instance_id] == "Pending:Wait", "not waiting to launch"
            assert each.instance_id in chosen & probes.keys(), "launched without being ready and in Nginx"
        else:
            assert states[each.instance_id] == "Terminating:Wait", "not waiting to leave"
            assert each.instance_id not in chosen or not others, "let go while it gets requests that others could take"
            assert now - memory.out_since[each.instance_id] >= DRAIN_SECONDS, "let go before its drain was over"


@given(OBSERVATIONS, CURRENT, PROBES, NOW)
# A floor of half of those that are in would sink with each one that comes out, pass after pass.
@example(
    Observation(tuple(Member(f"i-{n}", "Pending:Wait", f"10.0.0.{n}") for n in range(1, 6)), ("launch",), ()),
    tuple(Server(f"i-{n}", f"10.0.0.{n}") for n in range(1, 6)),
    {},
    100.0,
)
def test_when_nothing_changes_nothing_happens(
    observation: Observation, current: tuple[Server, ...], probes: dict[str, bool], now: float
) -> None:
    settled = run(observation, current, probes, passes=FAILURES_TO_REMOVE + 1)
    again = plan(observation, settled.servers, probes, settled.memory, now)
    assert again.servers == settled.servers, "it goes back and forth"
    assert again.log == (), "it says that it does something"


@given(st.lists(st.tuples(OBSERVATIONS | st.none(), PROBES), min_size=1, max_size=20))
def test_whatever_happens_one_by_one_the_list_stays_sorted_and_unique(
    history: Sequence[tuple[Observation | None, dict[str, bool]]],
) -> None:
    decided = Plan((), (), Memory(), ())
    for number, (observation, probes) in enumerate(history):
        decided = plan(observation, decided.servers, probes, decided.memory, 2.0 * number)
        assert list(decided.servers) == sorted(set(decided.servers)), "the same servers must give the same file"
