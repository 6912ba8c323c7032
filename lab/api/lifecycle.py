"""Lifecycle actions of Auto Scaling instances, as the user guide describes them. Plain values and time, no API.

Times are seconds of a monotonic clock.
"""

import uuid
from dataclasses import dataclass, field

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
CONTINUE = "CONTINUE"
ABANDON = "ABANDON"

LONGEST_WAIT = 172_800.0
"""AWS ends an action after 48 hours, or 100 times the heartbeat timeout, however often a heartbeat came."""


@dataclass
class Action:
    """An instance waits for one hook."""

    hook: str
    heartbeat: float
    default: str
    started: float
    metadata: str | None = None
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.beat(self.started)

    def beat(self, now: float) -> None:
        """Wait for another heartbeat timeout, up to the longest wait."""
        limit = self.started + min(LONGEST_WAIT, 100 * self.heartbeat)
        self.deadline = min(now + self.heartbeat, limit)

    def expired(self, now: float) -> bool:
        """Whether the hook's default result applies."""
        return now >= self.deadline
