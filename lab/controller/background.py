"""What the controller does in the background: one thing at a time for each machine, until it succeeds."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from .retries import Retries

STARTS_AT_ONCE: Final = 6

log = logging.getLogger("lab.controller")


class Background:
    """Threads, who is busy in them, and what failed there. `clock` is in seconds, and only goes forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(STARTS_AT_ONCE, thread_name_prefix="machine")
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._retries = Retries()

    def busy(self) -> set[str]:
        """The machines, and whatever else was named, of which something is done."""
        with self._lock:
            return set(self._busy)

    def waits(self, work: Hashable) -> bool:
        """Whether this is work that failed a moment ago, and has to wait."""
        with self._lock:
            return self._retries.waits(work, self._clock())

    def queue(self, identifier: str, work: Hashable, do: Callable[[], None]) -> None:
        """Do it as soon as there is a thread for it. Its failures are known by what equals `work`."""
        self._pool.submit(self._task(identifier, work, do))

    def aside(self, identifier: str, work: Hashable, do: Callable[[], None]) -> None:
        """The same of what takes its time, as a shutdown does: no start waits for it, nor does the controller's end."""
        threading.Thread(target=self._task(identifier, work, do), name=f"end {identifier}", daemon=True).start()

    def end(self) -> None:
        """Wait for what is queued."""
        self._pool.shutdown(wait=True)

    def _task(self, identifier: str, work: Hashable, do: Callable[[], None]) -> Callable[[], None]:
        with self._lock:
            self._busy.add(identifier)

        def run() -> None:
            try:
                do()
            except Exception as error:
                self._failed(identifier, work, error)
            else:
                with self._lock:
                    self._retries.succeeded(work)
            finally:
                with self._lock:
                    self._busy.discard(identifier)

        return run

    def _failed(self, identifier: str, work: Hashable, error: Exception) -> None:
        with self._lock:
            failure = self._retries.failed(work, error, self._clock())
        if failure.news:
            log.error("%s: failed; trying again in %g s", identifier, failure.pause, exc_info=error)
        else:
            why = str(error).partition("\n")[0]
            log.warning("%s: failed again, trying again in %g s: %s", identifier, failure.pause, why)
