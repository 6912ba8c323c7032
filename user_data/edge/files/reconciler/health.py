"""What the probes of one machine add up to. Pure."""

from dataclasses import dataclass, replace

FAILURES_TO_FALL = 3
"""Probes in a row."""
FALL_SECONDS = 2.0
"""And for so long: a moment's 503 takes nobody out. With a probe a second that waits a second at most, and eager ones
after the first failure (probes.py), a machine that is gone is out in 5 s."""
SUCCESSES_TO_RETURN = 2
"""Probes in a row, for one that fell: what flaps must not come and go with each probe."""


@dataclass(frozen=True)
class Health:
    """How a machine is. Without any probe, nobody knows: `up` is None."""

    up: bool | None = None
    in_a_row: int = 0
    """Probes with the last one's outcome."""
    ok: bool = False
    """The last one's outcome."""
    failing_since: float | None = None
    has_been_up: bool = False
    detail: str = ""
    """What the last one met: `HTTP 503`, `timed out`, ..."""

    @property
    def failures(self) -> int:
        """Probes in a row that failed."""
        return 0 if self.ok else self.in_a_row

    @property
    def answers(self) -> bool:
        """Whether there was an answer at all, if a bad one."""
        return self.detail.startswith("HTTP")


def after(health: Health, ok: bool, detail: str, now: float) -> Health:
    """How it is after one more probe."""
    in_a_row = health.in_a_row + 1 if health.in_a_row and ok == health.ok else 1
    failing_since = None if ok else now if health.failing_since is None else health.failing_since
    fallen = failing_since is not None and in_a_row >= FAILURES_TO_FALL and now - failing_since >= FALL_SECONDS
    up = health.up
    if ok and (not health.has_been_up or up is None or in_a_row >= SUCCESSES_TO_RETURN):
        up = True
    elif fallen:
        up = False
    return replace(
        health,
        up=up,
        in_a_row=in_a_row,
        ok=ok,
        failing_since=failing_since,
        has_been_up=health.has_been_up or up is True,
        detail=detail,
    )
