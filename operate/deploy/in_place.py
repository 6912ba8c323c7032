"""One machine after the other gets the new release where it is: out of service, installed, back in service. Pure.

Where each machine is shows in its tags and reports, so that a deploy that was killed goes on at that very point.
"""

from dataclasses import dataclass
from enum import Enum

from operate.deploy.goal import Goal, Standing
from operate.fleet import DEPLOY, DRAIN, Group, Machine

OURS = "deploy"
"""The drain tag's value while a deploy has a machine out of service. One with another value is somebody else's."""


class Act(Enum):
    """What to do with a machine."""

    DRAIN = "drain"
    INSTALL = "install"
    RETURN = "return"


@dataclass(frozen=True)
class Step:
    """What to do now; nothing, while something is waited for. `problem`: why it can't go on."""

    act: Act | None = None
    machine: str = ""
    problem: str | None = None


WAIT = Step()


def next_step(group: Group, goal: Goal, tag: str, *, trusted: bool) -> Step:
    """The next step towards `goal` on every machine. `tag` is the deploy, as machines are told of it.

    Until the goal is `trusted`, one machine gets it and no more.
    """
    there = [each for each in group.machines if not each.leaving]
    for each in there:
        if each.tags.get(DRAIN) == OURS:
            return _under_way(each, goal, tag)
    if any(goal.standing(each) is Standing.UNKNOWN for each in there):
        return WAIT
    current = [each for each in there if goal.standing(each) is Standing.CURRENT]
    if any(not goal.ready(each) for each in current if DRAIN not in each.tags) or (current and not trusted):
        return WAIT
    old = [each for each in there if goal.standing(each) is Standing.OLD]
    if not old:
        return WAIT
    # First those that nobody misses.
    chosen = min(old, key=lambda each: (each.serving, each.id))
    if not chosen.serving:
        return _under_way(chosen, goal, tag)
    if sum(each.serving for each in there) < 2:
        return Step(problem="in place takes a second machine that serves meanwhile: leave out --in-place, or scale up")
    return Step(Act.DRAIN, chosen.id)


def _under_way(machine: Machine, goal: Goal, tag: str) -> Step:
    told = machine.tags.get(DEPLOY) == tag
    if told and goal.standing(machine) is Standing.CURRENT and machine.report and machine.report.deploy == tag:
        done = machine.report.state == "ready"
        return Step(Act.RETURN, machine.id) if done and machine.tags.get(DRAIN) == OURS else WAIT
    if not told and (machine.out or (not machine.serving and DRAIN not in machine.tags)):
        return Step(Act.INSTALL, machine.id)
    return WAIT
