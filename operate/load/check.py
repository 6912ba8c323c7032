"""Whether a stack stops keeping up where a run said it would: at other numbers of app servers, one after the other."""

import contextlib
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operate.fleet import Group, Observer, resize
from operate.load import capacity
from operate.load.capacity import Measured
from operate.load.model import Run, Tier
from operate.stack import Stack

BEGIN: Final = 0.6
"""The first rate at a number of servers is so much of what is predicted there."""
FACTOR: Final = 1.25
"""Each next one is so much higher; with two refinements the knee lies within 6 %."""
POLICIES: Final = "AlarmNotification"
"""The process with which an Auto Scaling group follows its policies."""
TRIES: Final = 5
"""To put a fleet back."""


class CheckError(Exception):
    """The group can't have that many servers; nothing was changed."""


@dataclass(frozen=True)
class Checked:
    """One number of app servers."""

    servers: int
    predicted: float
    """Requests a second at which the stack should stop keeping up."""
    tier: Tier
    """Whose CPU should then be used up."""
    measured: float | None
    """Where it did: between the highest rate that it kept up with and the lowest that it didn't; None without both."""
    found: str
    """The run's own verdict."""

    @property
    def error(self) -> float | None:
        """Percent by which more was predicted than measured."""
        return 100 * (self.predicted / self.measured - 1) if self.measured else None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**vars(self), "error_percent": None if self.error is None else round(self.error, 1)}


def bounds(group: Group, counts: Sequence[int]) -> None:
    """CheckError where the group doesn't take one of the numbers."""
    for count in counts:
        if not group.minimum <= count <= group.maximum:
            setting = "raise expressway:app.maxSize" if count > group.maximum else "lower expressway:app.minSize"
            raise CheckError(
                f"{group.name} takes {group.minimum} to {group.maximum} machines, not {count}: {setting}, and run "
                "pulumi up"
            )


def at_each(
    seen: Measured, counts: Sequence[int], scale: Callable[[int], object], load: Callable[[int], Run]
) -> Generator[Checked]:
    """Have each number of servers, load it from so many requests a second on, and compare."""
    for count in counts:
        scale(count)
        predicted = capacity.predict(seen, count)
        run = load(max(1, round(BEGIN * predicted.rps)))
        verdict = run.bottleneck
        found = f"{verdict.tier}, {verdict.resource}" if verdict.resource else verdict.tier
        yield Checked(count, predicted.rps, predicted.tier, capacity.stops(run.steps), found)
        if run.interrupted:
            raise KeyboardInterrupt


@contextmanager
def put_back(stack: Stack, pause: float = 1.0) -> Generator[Group]:
    """The app servers' group, which has as many as before when the body is left, however it is left.

    Meanwhile its scaling policies are off: a load would have them add servers.
    """
    group = Observer(stack).look().app
    scaling = stack.client("autoscaling")
    told = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])["AutoScalingGroups"][0]
    already = any(each["ProcessName"] == POLICIES for each in told.get("SuspendedProcesses", ()))

    def back() -> None:
        resize(stack, group, group.desired)
        if not already:
            scaling.resume_processes(AutoScalingGroupName=group.name, ScalingProcesses=[POLICIES])

    try:
        if not already:
            scaling.suspend_processes(AutoScalingGroupName=group.name, ScalingProcesses=[POLICIES])
        yield group
    finally:
        _insist(back, pause)


def _insist(work: Callable[[], None], pause: float) -> None:
    """Do it; a Ctrl-C meanwhile, or an API that doesn't answer, is no reason not to."""
    for number in range(TRIES):
        try:
            return work()
        except (ClientError, BotoCoreError, KeyboardInterrupt):
            if number == TRIES - 1:
                raise
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(pause)
    return None


def widest(checked: Sequence[Checked]) -> float | None:
    """The largest error, in percent, whichever its sign; None without one."""
    errors = [abs(each.error) for each in checked if each.error is not None]
    return max(errors) if errors and all(math.isfinite(each) for each in errors) else None
