"""One `lab up` or `lab down` at a time on this machine."""

import contextlib
import fcntl
from collections.abc import Generator

from artifact import cache


class BusyError(Exception):
    """Another one is at work."""


@contextlib.contextmanager
def exclusive() -> Generator[None, None, None]:
    """Keep others out until the body has ended, or this process has. Raises BusyError at once if one is in."""
    directory = cache.root()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lab.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError("another `lab up` or `lab down` is at work on this machine; wait for it to end") from None
        yield
