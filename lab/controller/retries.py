"""When work that failed is tried again: after a pause that doubles, up to a few seconds. Pure.

What can't be done now mostly can't be half a second later either, and each try costs a command on the host or a call.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 5.0
FORGOTTEN_SECONDS: Final = 3600.0
"""After which what nobody has tried again is forgotten."""


@dataclass(frozen=True)
class Failure:
    """Some work's last failure. It is not tried again before `until`, which is `pause` seconds from then."""

    error: type[Exception]
    pause: float
    until: float
    news: bool
    """Whether it did not fail before, or by another kind of error."""


class Retries:
    """Remembers what failed. `now` is in seconds of a clock that only goes forward.

    Work is the same if it is equal. Other work on the same machine waits for nothing: one that can't be started is
    stopped at once.
    """

    def __init__(self) -> None:
        self._failures: dict[Hashable, Failure] = {}

    def waits(self, work: Hashable, now: float) -> bool:
        """Whether it has failed, and its pause isn't over."""
        last = self._failures.get(work)
        return last is not None and now < last.until

    def failed(self, work: Hashable, error: Exception, now: float) -> Failure:
        """It has failed, once more perhaps."""
        last = self._failures.get(work)
        pause = min(2 * last.pause, LONGEST_SECONDS) if last else FIRST_SECONDS
        failure = Failure(type(error), pause, now + pause, news=last is None or last.error is not type(error))
        self._failures = {what: each for what, each in self._failures.items() if now < each.until + FORGOTTEN_SECONDS}
        self._failures[work] = failure
        return failure

    def succeeded(self, work: Hashable) -> None:
        """Its next failure is a first one."""
        self._failures.pop(work, None)
