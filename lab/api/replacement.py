"""Which machines of a group are launched and which end, when some have to be replaced. Pure.

One rule for an instance refresh, for unhealthy machines under an instance maintenance policy, and for balance between
zones: there are never fewer ready ones than `floor`, and never more in all than `ceiling`.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-overview.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-maintenance-policy-overview-and-considerations.html
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """A machine that counts for the desired capacity. `ready`: in service, healthy and warmed up; `due`: has to go."""

    id: str
    ready: bool
    due: bool = False


@dataclass(frozen=True)
class Replacement:
    """How many to launch, and which of those that are due to end now."""

    launch: int
    terminate: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """Between how many machines a replacement moves."""

    floor: int
    ceiling: int


def limits(desired: int, least: int, most: int) -> Limits:
    """From percentages of the desired capacity: both are rounded up, so that more than 100 is always one more."""
    return Limits(math.ceil(desired * least / 100), max(desired, math.ceil(desired * most / 100)))


def plan(desired: int, bounds: Limits, standing: Sequence[Standing]) -> Replacement:
    """The next step. Those due end in the order in which they stand.

    Where neither bound leaves room, such as 100 and 100 percent or one machine at 90, one at a time ends first: AWS
    does so.
    """
    kept = [machine for machine in standing if not machine.due]
    due = [machine for machine in standing if machine.due]
    launch = max(0, min(desired - len(kept), max(bounds.ceiling, desired) - len(standing)))
    ready = sum(machine.ready for machine in standing)
    ending: list[str] = []
    for machine in due:
        if ready - machine.ready < bounds.floor:
            break
        ready -= machine.ready
        ending.append(machine.id)
    underway = launch > 0 or not all(machine.ready for machine in kept) or len(standing) < desired
    if due and not ending and not underway and len(standing) >= bounds.ceiling:
        ending.append(due[0].id)
    return Replacement(launch, tuple(ending))
