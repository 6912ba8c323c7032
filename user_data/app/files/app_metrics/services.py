"""Where the database and the cache are, as the app is told it, and how they are asked."""

import json
from typing import Protocol, TypeVar

from expressway_app import paths

TIMEOUT = 2.0
"""Seconds in which a service answers, or counts as one that doesn't."""


class ServiceError(Exception):
    """A service can't be asked, or answers with an error. Never with an address' password in its message."""


class SlowError(ServiceError):
    """It did not answer in time."""


def address(variable: str) -> str | None:
    """The value of `DATABASE_URL` or `REDIS_URL`, as it is now; None without one."""
    try:
        found = json.loads(paths.SERVICES.read_text()).get(variable)
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None


Seen = TypeVar("Seen", covariant=True)


class Session(Protocol[Seen]):
    """One connection to a service. ServiceError from all of it but `close`."""

    def round_trip(self) -> None:
        """Ask for the least there is, and wait for the answer. The caller has the clock."""
        ...

    def sample(self) -> None:
        """Remember what is only there at a moment, for the next look."""
        ...

    def look(self) -> Seen:
        """What it counts, and what the samples since the last look were."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...
