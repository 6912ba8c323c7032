"""One instance refresh: what it may replace next, how far it is, and how it ends. Plain values and time, no API.

Times are seconds of a monotonic clock; those that a caller sees are in the record that refreshes.py keeps.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-overview.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-adding-checkpoints-instance-refresh.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-rollback.html,
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RefreshPreferences.html
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PENDING, IN_PROGRESS, BAKING, CANCELLING = "Pending", "InProgress", "Baking", "Cancelling"
ROLLING_BACK = "RollbackInProgress"
SUCCESSFUL, FAILED, CANCELLED = "Successful", "Failed", "Cancelled"
ROLLED_BACK, ROLLBACK_FAILED = "RollbackSuccessful", "RollbackFailed"
FORWARD = (PENDING, IN_PROGRESS, BAKING)
ACTIVE = (*FORWARD, CANCELLING, ROLLING_BACK)

PATIENCE = 3600.0
"""A refresh that gets no further for an hour fails."""


@dataclass(frozen=True)
class Machine:
    """What a refresh sees of an instance. `own`: it was launched from what the group itself says."""

    id: str
    counts: bool
    ready: bool
    moving: bool = False
    standby: bool = False
    protected: bool = False
    own: bool = True


@dataclass(frozen=True)
class Preferences:
    """RefreshPreferences, completed by the defaults of the group."""

    least: int
    most: int
    warm_up: float
    checkpoints: tuple[int, ...] = ()
    checkpoint_delay: float = 3600
    skip_matching: bool = False
    auto_rollback: bool = False
    protected: str = "Wait"
    standby: str = "Wait"
    alarms: tuple[str, ...] = ()
    bake: float = 0

    def described(self) -> dict[str, Any]:
        """As DescribeInstanceRefreshes shows them."""
        shown: dict[str, Any] = {
            "MinHealthyPercentage": self.least,
            "MaxHealthyPercentage": self.most,
            "InstanceWarmup": int(self.warm_up),
            "SkipMatching": self.skip_matching,
            "AutoRollback": self.auto_rollback,
            "ScaleInProtectedInstances": self.protected,
            "StandbyInstances": self.standby,
            "BakeTime": int(self.bake),
        }
        if self.checkpoints:
            shown |= {
                "CheckpointPercentages": list(self.checkpoints),
                "CheckpointDelay": int(self.checkpoint_delay),
            }
        if self.alarms:
            shown["AlarmSpecification"] = {"Alarms": list(self.alarms)}
        return shown


@dataclass
class Refresh:
    """A refresh under way or ended. `old` are the instances that it has to replace."""

    preferences: Preferences
    old: set[str]
    now: float
    reversible: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = PENDING
    reason: str | None = None
    percent: int = 0
    to_update: int = 0
    before_rollback: tuple[str, int, int] | None = None
    """Why it went back, and how far it was then: percent, and instances to update."""
    waits: bool = True
    """Whether a cancellation lets end what is under way."""
    _progressed: float = field(init=False)
    _reached: int = 0
    _resumes: float | None = None
    _baked: float | None = None
    _leaving: bool = False

    def __post_init__(self) -> None:
        self._progressed = self.now

    @property
    def active(self) -> bool:
        """Whether it still does something."""
        return self.status in ACTIVE

    @property
    def forward(self) -> bool:
        """Whether new instances are launched from the refresh's desired configuration."""
        return self.status in FORWARD

    def due(self, desired: int, machines: Sequence[Machine]) -> list[str]:
        """The instances that may be replaced now, in the order of `machines`: none while it waits at a checkpoint."""
        if self.status not in (IN_PROGRESS, ROLLING_BACK) or self._resumes is not None:
            return []
        left = [machine for machine in machines if machine.id in self.old and (machine.counts or machine.standby)]
        total = max(desired, len(left))
        allowed = math.ceil(total * self._goal() / 100) - (total - len(left))
        replaceable = [machine.id for machine in left if machine.counts and self._replaces(machine)]
        return replaceable[: max(0, allowed)]

    def standby_due(self, machines: Sequence[Machine]) -> list[str]:
        """The instances in standby that end now."""
        if self.status not in (IN_PROGRESS, ROLLING_BACK) or self.preferences.standby != "Terminate":
            return []
        return [machine.id for machine in machines if machine.standby and machine.id in self.old]

    def advance(self, desired: int, machines: Sequence[Machine], alarm: str | None, now: float) -> list[str]:
        """Look how far it is; returns the names of what has happened, as EventBridge calls it."""
        happened: list[str] = []
        if self.status == PENDING:
            self.status = IN_PROGRESS
            happened.append(IN_PROGRESS)
        before = self.status
        if self.status in (IN_PROGRESS, ROLLING_BACK, BAKING):
            self._measure(desired, machines, now)
            if alarm and self.status != ROLLING_BACK:
                self._fail(f"CloudWatch alarm {alarm} is in ALARM state", machines, now)
            elif self.status != BAKING and now - self._progressed >= PATIENCE:
                self._fail("No instance was replaced within one hour", machines, now)
        if self.status == CANCELLING and not (self.waits and any(machine.moving for machine in machines)):
            self.status, self.reason = CANCELLED, "Cancelled due to user request."
        elif self.status == BAKING and self._baked is not None and now >= self._baked:
            self.status, self.reason = SUCCESSFUL, None
        elif self.status == ROLLING_BACK and self.percent >= 100 and not self._leaving:
            self.status = ROLLED_BACK
        elif self.status == IN_PROGRESS:
            happened += self._check(now)
        return happened + ([] if self.status == before else [self.status])

    def cancel(self, *, waits: bool) -> None:
        """End it where it is; nothing is undone."""
        self.status, self.waits = CANCELLING, waits

    def roll_back(self, reason: str, machines: Sequence[Machine], now: float) -> None:
        """Replace what is not as the group says."""
        self.before_rollback = (reason, self.percent, self.to_update)
        self.status, self.reason = ROLLING_BACK, reason
        self.old = {machine.id for machine in machines if not machine.own and self._in_scope(machine)}
        self.percent, self._progressed, self._resumes, self._baked = 0, now, None, None

    def _check(self, now: float) -> list[str]:
        """Checkpoints, and the end."""
        points = self.preferences.checkpoints
        if self._resumes is not None:
            if now < self._resumes:
                return []
            self._resumes, self.reason = None, None
            self._progressed = now
            self._reached += 1
        if self.percent >= (points[-1] if points else 100) and not self._leaving:
            self.status = SUCCESSFUL
            if self.preferences.bake:
                self.status, self._baked = BAKING, now + self.preferences.bake
            return ["CheckpointReached"] if points else []
        if self._reached < len(points) - 1 and self.percent >= points[self._reached]:
            # Several may be passed by one batch; the delay comes once.
            self._reached = max(index for index, point in enumerate(points) if point <= self.percent)
            self._resumes = now + self.preferences.checkpoint_delay
            self.reason = f"Waiting for the checkpoint delay at {points[self._reached]} percent."
            return ["CheckpointReached"]
        return []

    def _goal(self) -> int:
        points = self.preferences.checkpoints
        if self.status == ROLLING_BACK or not points:
            return 100
        return points[min(self._reached, len(points) - 1)]

    def _measure(self, desired: int, machines: Sequence[Machine], now: float) -> None:
        left = sum(machine.id in self.old and (machine.counts or machine.standby) for machine in machines)
        self._leaving = any(machine.id in self.old and not machine.counts for machine in machines)
        ready = sum(machine.ready for machine in machines if machine.id not in self.old)
        total = max(desired, left)
        self.to_update = max(left, min(total, desired - ready), 0)
        percent = 100 if total == 0 else 100 * (total - self.to_update) // total
        if percent > self.percent or self._resumes is not None:
            self._progressed = now
        self.percent = percent

    def _fail(self, reason: str, machines: Sequence[Machine], now: float) -> None:
        if self.status == ROLLING_BACK:
            self.status, self.reason = ROLLBACK_FAILED, reason
        elif self.preferences.auto_rollback:
            self.roll_back(reason, machines, now)
        else:
            self.status, self.reason = FAILED, reason

    def _replaces(self, machine: Machine) -> bool:
        return not (machine.protected and self.preferences.protected == "Wait")

    def _in_scope(self, machine: Machine) -> bool:
        return in_scope(machine, self.preferences)


def in_scope(machine: Machine, preferences: Preferences) -> bool:
    """Whether the preferences leave the instance to the refresh at all."""
    if machine.standby:
        return preferences.standby != "Ignore"
    return machine.counts and not (machine.protected and preferences.protected == "Ignore")
