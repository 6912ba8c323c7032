"""How many machines a target tracking policy wants. Plain values, no API and no clock.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-default-instance-warmup.html
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

HIGH_PERIODS, LOW_PERIODS = 3, 15
"""How many periods in a row an alarm is raised by: load is followed at once, and its end with patience."""
LOW_SHARE = 0.9
"""The low alarm's threshold, as a share of the target: between both nothing changes."""


@dataclass(frozen=True)
class Policy:
    """What a policy aims at. `scales_in`: DisableScaleIn is not set."""

    name: str
    target: float
    scales_in: bool = True


@dataclass(frozen=True)
class Size:
    """The group: `warm` instances are in service and have warmed up, of `desired`; `launching` others have not."""

    desired: int
    low: int
    high: int
    warm: int
    launching: int


@dataclass(frozen=True)
class Vote:
    """What one policy wants: `alarm` is AlarmHigh, AlarmLow or, when it leaves the group as it is, None."""

    policy: str
    wanted: int
    alarm: str | None


def vote(policy: Policy, points: Sequence[float | None], size: Size) -> Vote:
    """`points`: the metric's value in each complete period, the newest last; None where there is no datum."""
    if _all_true([point is not None and point > policy.target for point in points], HIGH_PERIODS):
        # What is being launched is not counted again: it is on its way to carry the very load that is seen.
        wanted = min(math.ceil(size.warm * (points[-1] or 0) / policy.target), size.high)
        return Vote(policy.name, max(wanted, size.desired), "AlarmHigh")
    below = [point is not None and point < LOW_SHARE * policy.target for point in points]
    if policy.scales_in and _all_true(below, LOW_PERIODS) and size.launching == 0:
        needed = math.ceil(size.desired * (points[-1] or 0) / policy.target)
        wanted = max(needed, size.desired - 1, size.low)  # one at a time
        return Vote(policy.name, min(wanted, size.desired), "AlarmLow")
    return Vote(policy.name, size.desired, None)


def decide(votes: Sequence[tuple[Policy, Vote]], size: Size) -> Vote | None:
    """The vote that counts: the largest that scales out; in, only when every policy that scales in wants to."""
    out = [each for _, each in votes if each.wanted > size.desired]
    if out:
        return max(out, key=lambda each: each.wanted)
    inward = [each for policy, each in votes if policy.scales_in]
    if not inward or any(each.alarm == "AlarmHigh" for _, each in votes):
        return None
    largest = max(inward, key=lambda each: each.wanted)
    return largest if largest.wanted < size.desired else None


def _all_true(breaching: Sequence[bool], count: int) -> bool:
    return len(breaching) >= count and all(breaching[-count:])
