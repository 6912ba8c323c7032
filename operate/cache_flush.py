"""Emptying the cache, which one app server is asked for.

Only app servers reach Redis, and the token is theirs to read. user_data/app/files/expressway_app/flush.py is the other
side.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from operate import requests
from operate.cache import CacheError, Listener, replication
from operate.stack import Stack

KIND: Final = requests.Kind(
    tag="expressway:flush-cache",
    key="flush-{}.json",
    deed="flush the cache",
    error=CacheError,
    # It answers when it is through.
    heard_seconds=60.0,
)


@dataclass(frozen=True)
class Flushed:
    """A cache that has forgotten what it had."""

    cache: str
    machine: str
    """The app server that asked for it."""
    before: int
    """Keys."""
    after: int
    """Keys: what was stored anew meanwhile."""
    seconds: float
    """That Redis took."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def flush(
    stack: Stack,
    listener: Listener = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> Flushed:
    """Have the cache forget everything. CacheError when it can't be, or nobody answers in time; botocore's errors.

    The tag is taken off again in any case.
    """
    identifier = replication(stack)["ReplicationGroupId"]
    machine = requests.choose(stack, KIND)
    told = requests.ask(stack, KIND, machine, listener=listener, pause=pause).head
    try:
        return Flushed(identifier, machine, int(told["before"]), int(told["after"]), float(told["seconds"]))
    except (KeyError, TypeError, ValueError):
        raise CacheError(f"{machine} answered with what can't be read") from None
