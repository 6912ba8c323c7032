"""Counts calls of the AWS API, so that how often it is asked can be read, and not only promised."""

from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Any


class Calls:
    """Of all clients that it watches, tries again included."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last_minute: deque[tuple[float, str]] = deque()

    def watch(self, client: Any) -> Any:
        """Count this client's from now on; the client."""
        client.meta.events.register("before-send", self._count)
        return client

    def a_minute(self) -> dict[str, int]:
        """By operation, in the last 60 s."""
        while self._last_minute and self._last_minute[0][0] < self._clock() - 60:
            self._last_minute.popleft()
        return dict(sorted(Counter(name for _, name in list(self._last_minute)).items()))

    def _count(self, event_name: str, **_: Any) -> None:
        # before-send.<service>.<operation>
        self._last_minute.append((self._clock(), event_name.partition(".")[2]))
