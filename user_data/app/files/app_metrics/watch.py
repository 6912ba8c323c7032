"""A service that is asked each second, in a thread of its own: however slow it is, nothing else waits for it.

Shortly before a period ends there is a look at what the service counts. When the collector wants to tell of the period,
it gets what is there by then; a look that has no answer yet is one without an answer.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from expressway_metrics.model import PERIOD, Reading

from .services import TIMEOUT, ServiceError, Session, SlowError

LOOK_AT = PERIOD - 3
"""The second of a period in which there is a look."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries to connect: doubled from one second on."""

Seen = TypeVar("Seen")
Tell = Callable[[Seen | None, Seen | None, list[float]], Reading]
"""What is told of this look, which is None without an answer, of the last one, and of the milliseconds of each trip."""


class Watch(Generic[Seen]):
    """Keeps one connection to a service, and what was seen of it last."""

    def __init__(self, name: str, connect: Callable[[], Session[Seen] | None], tell: Tell[Seen]) -> None:
        """`connect` is None where there is no such service; it raises ServiceError when that can't be asked."""
        self._name = name
        self._connect = connect
        self._tell = tell
        self._session: Session[Seen] | None = None
        self._there = False
        """Whether the app has such a service."""
        self._lock = threading.Lock()
        """Held for the next four, which the collector's thread takes."""
        self._trips: list[float] = []
        self._seen: Seen | None = None
        self._looked = 0.0
        """When the period began that `_seen` is of."""
        self._before: Seen | None = None
        self._pause = 0.0
        self._again_at = 0.0
        self._problem = ""

    def start(self) -> None:
        """Begin; the thread ends with the process."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def told(self, now: float) -> Reading:
        """What there is to tell of the period that has just ended, once; in seconds since the epoch."""
        began = (now - PERIOD / 2) // PERIOD * PERIOD
        with self._lock:
            trips, self._trips = self._trips, []
            seen = self._seen if self._looked == began else None
            before, self._before = self._before, seen
        return self._tell(seen, before, trips) if self._there else Reading([], [])

    def second(self, now: float) -> None:
        """Ask once; in seconds since the epoch."""
        began = now // PERIOD * PERIOD
        try:
            if self._session is None and now >= self._again_at:
                self._session = self._connect()
                self._there = self._session is not None
                self._again_at = now + LONGEST_PAUSE if self._session is None else now
            if self._session is not None:
                self._ask(self._session)
                if now - began >= LOOK_AT and self._looked != began:
                    seen = self._session.look()
                    with self._lock:
                        self._seen, self._looked = seen, began
                self._succeeded()
        except ServiceError as error:
            self._failed(error, now)

    def _ask(self, session: Session[Any]) -> None:
        began = time.perf_counter()
        session.round_trip()
        self._took(1000 * (time.perf_counter() - began))
        session.sample()

    def _took(self, milliseconds: float) -> None:
        with self._lock:
            self._trips.append(milliseconds)

    def _succeeded(self) -> None:
        self._pause = 0.0
        if self._problem:
            print(f"expressway: {self._name} can be measured again", flush=True)
        self._problem = ""

    def _failed(self, error: ServiceError, now: float) -> None:
        self._there = True
        if isinstance(error, SlowError):
            self._took(1000 * TIMEOUT)
        if self._session is not None:
            self._session.close()
            self._session = None
        self._pause = min(max(1.0, 2 * self._pause), LONGEST_PAUSE)
        self._again_at = now + self._pause
        if not self._problem:
            print(f"expressway: {self._name} can't be measured: {error}", flush=True)
        self._problem = str(error)

    def _run(self) -> None:
        while True:
            time.sleep(1 - time.time() % 1)
            try:
                self.second(time.time())
            except Exception as error:
                # An answer that nobody has thought of must not end the measuring.
                self._failed(ServiceError(type(error).__name__), time.time())
