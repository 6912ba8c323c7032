"""One machine after the other is replaced: a new one serves before an old one goes. Pure.

Level-triggered: each look at the group leads to the same next step, whoever takes it and whatever happened before. So a
deploy that was killed is just a group that is half-way.
"""

from dataclasses import dataclass
from math import ceil

from operate.deploy.goal import Goal, Standing
from operate.fleet import Group, Machine


@dataclass(frozen=True)
class Termination:
    """A machine to be terminated."""

    id: str
    smaller: bool
    """Whether the group wants one machine less afterwards; else it starts another in its place."""


@dataclass(frozen=True)
class Step:
    """What to do now: terminations first, then the capacity. Nothing, while something is waited for."""

    terminations: tuple[Termination, ...] = ()
    desired: int | None = None


def surge(wanted: int) -> int:
    """How many machines there may be beyond `wanted`: a quarter, and one at least.

    All at once would be done sooner, and double what the fleet takes of quotas and of the database's connections.
    """
    return max(1, ceil(wanted / 4))


def next_step(group: Group, goal: Goal, wanted: int, *, trusted: bool, gone: frozenset[str] = frozenset()) -> Step:
    """The next step towards `wanted` machines of `goal`.

    Until the goal is `trusted`, one machine of it is started and nothing is taken away. `gone`: whose termination was
    asked for already, since Auto Scaling may show it a moment longer.
    """
    there = [each for each in group.machines if not each.leaving and each.id not in gone]
    old = [each for each in there if goal.standing(each) is Standing.OLD]
    new = [each for each in there if goal.standing(each) is not Standing.OLD]
    ending = _to_end(there, old, new, goal, wanted) if trusted else []
    left = len(there) - len(ending)
    missing = (wanted if trusted else min(wanted, 1)) - len(new)
    room = wanted + surge(wanted) - left
    added = max(0, min(missing, room))
    terminations: list[Termination] = []
    size = len(there)
    for each in ending:
        smaller = size > wanted and size > group.minimum
        terminations.append(Termination(each.id, smaller))
        size -= smaller
    desired = max(left + added, size)
    grows = desired > (group.desired - sum(each.smaller for each in terminations))
    return Step(tuple(terminations), desired if added and grows else None)


def _to_end(there: list[Machine], old: list[Machine], new: list[Machine], goal: Goal, wanted: int) -> list[Machine]:
    """Old machines that nothing is lost with: those that don't serve, and as many as more than `wanted` serve."""
    useless = [each for each in old if not each.serving]
    serving_old = [each for each in old if each.serving]
    ready = sum(goal.ready(each) for each in new)
    spare = max(0, len(serving_old) + ready - wanted)
    return [*useless, *serving_old[:spare]]
