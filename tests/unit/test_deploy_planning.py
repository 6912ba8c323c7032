"""The next step of a deploy, from whatever state a fleet is in; and whether a new release is worse than the old one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.counters import Counters, quantile, since
from operate.deploy import in_place, rolling
from operate.deploy.goal import Goal, Standing, failing
from operate.deploy.judgement import judge
from operate.fleet import DEPLOY, DRAIN, Group, Machine, Template
from operate.reports import AppReport, EdgeView

OLD, NEW = "old", "new"
TEMPLATE = Template("lt-1", "3")
GOAL = Goal(NEW, TEMPLATE)
SERVING, OUT = (EdgeView("serving"),), (EdgeView("out"),)


def machine(
    id_: str,
    release: str | None,
    *,
    serves: bool = True,
    lifecycle: str = "InService",
    state: str = "ready",
    deploy: str | None = None,
    tags: dict[str, str] | None = None,
) -> Machine:
    report = AppReport(release, deploy, state) if release else None
    return Machine(id_, lifecycle, True, TEMPLATE, report, SERVING if serves else OUT, 1, tags=tags or {})


def group(*machines: Machine, desired: int | None = None, minimum: int = 0, maximum: int = 99) -> Group:
    return Group("app", len(machines) if desired is None else desired, minimum, maximum, TEMPLATE, machines)


class World:
    """Auto Scaling, in one step after the other: what is launched serves a step later, what is ended is gone."""

    def __init__(self, machines: list[Machine], minimum: int) -> None:
        self.group = group(*machines, minimum=minimum)
        self.made = 0

    def take(self, step: rolling.Step) -> None:
        machines = {each.id: each for each in self.group.machines}
        desired = self.group.desired
        for each in step.terminations:
            del machines[each.id]
            desired -= each.smaller
            assert desired >= self.group.minimum, "AWS refuses that"
        desired = desired if step.desired is None else step.desired
        machines = {
            id_: machine(id_, NEW) if each.lifecycle == "Pending:Wait" else each for id_, each in machines.items()
        }
        while len(machines) < desired:
            self.made += 1
            machines[f"n{self.made}"] = machine(f"n{self.made}", None, serves=False, lifecycle="Pending:Wait")
        self.group = replace(self.group, desired=desired, machines=tuple(machines.values()))

    @property
    def serving(self) -> int:
        return sum(each.serving for each in self.group.machines)


KINDS = st.sampled_from(["old", "old-broken", "new", "old-silent"])


def of_kind(number: int, kind: str) -> Machine:
    id_ = f"i{number}"
    return {
        "old": machine(id_, OLD),
        "old-broken": machine(id_, OLD, serves=False, state="failed"),
        "new": machine(id_, NEW),
        "old-silent": machine(id_, None),
    }[kind]


@given(st.lists(KINDS, min_size=1, max_size=9), st.booleans())
def test_from_any_state_every_machine_ends_on_the_new_release_and_no_step_takes_one_that_is_needed(
    kinds: list[str], fixed_size: bool
) -> None:
    wanted = len(kinds)
    world = World([of_kind(*each) for each in enumerate(kinds)], wanted if fixed_size else 0)
    floor = world.serving
    for _ in range(6 * wanted + 6):
        trusted = any(GOAL.ready(each) for each in world.group.machines)
        world.take(rolling.next_step(world.group, GOAL, wanted, trusted=trusted))
        assert world.serving >= min(floor, wanted), world.group.machines
        assert len(world.group.machines) <= wanted + rolling.surge(wanted)
    assert GOAL.reached(world.group, wanted), world.group.machines
    assert world.group.desired == wanted
    assert rolling.next_step(world.group, GOAL, wanted, trusted=True) == rolling.Step(), "nothing is left to do"


def test_until_it_is_trusted_one_machine_gets_the_release_and_none_is_taken_away() -> None:
    fleet = group(machine("a", OLD), machine("b", OLD))
    assert rolling.next_step(fleet, GOAL, 2, trusted=False) == rolling.Step((), 3)
    started = group(*fleet.machines, machine("c", None, serves=False, lifecycle="Pending:Wait"))
    assert rolling.next_step(started, GOAL, 2, trusted=False) == rolling.Step()
    ready = group(*fleet.machines, machine("c", NEW))
    assert rolling.next_step(ready, GOAL, 2, trusted=False) == rolling.Step()


def test_a_launch_that_was_asked_for_is_not_asked_for_again_while_no_machine_shows() -> None:
    assert rolling.next_step(group(machine("a", OLD), desired=2), GOAL, 1, trusted=False) == rolling.Step()


def test_a_termination_that_was_asked_for_is_not_asked_for_again() -> None:
    fleet = group(machine("a", OLD), machine("b", OLD), machine("c", NEW))
    first = rolling.next_step(fleet, GOAL, 2, trusted=True)
    assert [each.id for each in first.terminations] == ["a"]
    again = replace(fleet, desired=2)
    assert not rolling.next_step(again, GOAL, 2, trusted=True, gone=frozenset({"a"})).terminations


def test_what_a_starting_machine_runs_is_not_guessed() -> None:
    starting = machine("a", None, lifecycle="Pending:Wait")
    assert GOAL.standing(starting) is Standing.UNKNOWN
    assert GOAL.standing(replace(starting, lifecycle="InService")) is Standing.OLD, "it serves, and is of before"
    assert GOAL.standing(replace(starting, template=Template("lt-1", "2"))) is Standing.OLD
    assert replace(GOAL, distrusted=frozenset({"a"})).standing(starting) is Standing.OLD


def test_machines_of_the_release_that_is_wanted_are_replaced_where_their_launch_template_is_of_before() -> None:
    stale = replace(machine("a", NEW), template=Template("lt-1", "2"))
    step = rolling.next_step(group(stale, machine("b", NEW)), GOAL, 2, trusted=True)
    assert (step.desired, step.terminations) == (3, ()), "another one first"
    step = rolling.next_step(group(stale, machine("b", NEW), machine("c", NEW)), GOAL, 2, trusted=True)
    assert [each.id for each in step.terminations] == ["a"]


def test_a_machine_that_was_broken_before_is_no_reason_against_a_release() -> None:
    fleet = group(machine("a", NEW, state="failed"))
    assert failing(fleet, GOAL, "d-1", frozenset()) is not None
    assert failing(fleet, GOAL, "d-1", frozenset({"a"})) is None
    told = group(machine("a", OLD, state="failed", deploy="d-1"))
    assert failing(told, GOAL, "d-1", frozenset({"a"})) is not None, "it went back by itself, and says why"


def test_in_place_goes_through_drain_install_and_return_with_one_machine_at_a_time() -> None:
    def step(first: Machine, *, trusted: bool = True) -> in_place.Step:
        return in_place.next_step(group(first, machine("b", OLD)), GOAL, "d-1", trusted=trusted)

    ours = {DRAIN: in_place.OURS}
    assert step(machine("a", OLD)) == in_place.Step(in_place.Act.DRAIN, "a")
    assert step(machine("a", OLD, tags=ours)) == in_place.WAIT, "it still answers"
    drained = machine("a", OLD, serves=False, tags=ours)
    assert step(drained) == in_place.Step(in_place.Act.INSTALL, "a")
    told = {**ours, DEPLOY: "d-1"}
    assert step(replace(drained, tags=told)) == in_place.WAIT
    done = machine("a", NEW, serves=False, deploy="d-1", tags=told)
    assert step(done) == in_place.Step(in_place.Act.RETURN, "a")
    back = machine("a", NEW, serves=False, deploy="d-1", tags={DEPLOY: "d-1"})
    assert step(back) == in_place.WAIT, "the edges have yet to send it requests"
    serving = machine("a", NEW, deploy="d-1", tags={DEPLOY: "d-1"})
    assert step(serving, trusted=False) == in_place.WAIT, "it bakes"
    assert step(serving) == in_place.Step(in_place.Act.DRAIN, "b")


def test_in_place_never_takes_the_last_machine_that_serves() -> None:
    alone = group(machine("a", OLD), machine("b", OLD, serves=False))
    first = in_place.next_step(alone, GOAL, "d-1", trusted=True)
    assert first == in_place.Step(in_place.Act.INSTALL, "b"), "nobody misses that one"
    assert in_place.next_step(group(machine("a", OLD)), GOAL, "d-1", trusted=True).problem


def test_a_machine_that_somebody_else_drained_is_installed_and_stays_out() -> None:
    tags = {DRAIN: "maintenance"}
    fleet = group(machine("a", OLD, serves=False, tags=tags), machine("b", NEW))
    assert in_place.next_step(fleet, GOAL, "d-1", trusted=True) == in_place.Step(in_place.Act.INSTALL, "a")
    done = group(machine("a", NEW, serves=False, deploy="d-1", tags={**tags, DEPLOY: "d-1"}), machine("b", NEW))
    assert in_place.next_step(done, GOAL, "d-1", trusted=True) == in_place.WAIT


def answers(requests: int, errors: int = 0, slow: int = 0) -> Counters:
    return Counters(requests, errors, {"0.05": requests - slow, "1": requests, "+Inf": requests})


@pytest.mark.parametrize(
    ("first", "others", "worse"),
    [
        (answers(40, 20), answers(80, 0), True),
        (answers(40, 4), answers(80, 0), False),  # fewer than five may be anything
        (answers(1000, 15), answers(1000, 0), False),  # within two percentage points
        (answers(40, 20), answers(80, 38), False),  # what they share fails both
        (Counters(0, 6), answers(80, 0), True),  # nobody gets in
        (answers(40, 0, slow=10), answers(80), True),
        (answers(20, 0, slow=10), answers(80), False),  # too few to tell
        (answers(40, 0, slow=2), answers(80), False),
        (answers(40, 0, slow=10), answers(80, 0, slow=20), False),
        (answers(0), answers(0), False),
        (answers(40), Counters(), False),
    ],
)
def test_a_release_is_worse_by_what_the_others_do_not_show(first: Counters, others: Counters, worse: bool) -> None:
    assert (judge(first, others).reason is not None) is worse


def test_what_an_nginx_that_restarted_counts_is_all_of_it() -> None:
    assert since(answers(100, 3), answers(30, 1)) == answers(30, 1)
    assert since(answers(100, 3), answers(130, 4)) == Counters(30, 1, {"0.05": 30, "1": 30, "+Inf": 30})


def test_a_quantile_is_the_bound_that_so_many_answers_keep() -> None:
    buckets = {"0.1": 50, "0.5": 90, "+Inf": 100}
    assert (quantile(buckets, 0.5), quantile(buckets, 0.9), quantile(buckets, 0.95)) == (0.1, 0.5, float("inf"))
    assert quantile({}, 0.9) is None
    assert quantile({"+Inf": 0}, 0.9) is None
