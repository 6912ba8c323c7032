"""One lock and one counter for the whole API.

moto's backends are plain dictionaries; requests, lifecycle timeouts and the control surface take turns on them.
"""

import threading


class Changes:
    """Counts what changed, so that a caller who polls learns cheaply that nothing did."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._version = 0

    @property
    def version(self) -> int:
        """Grows with every call that may have changed something."""
        return self._version

    def record(self) -> None:
        """Something changed, or may have."""
        with self.lock:
            self._version += 1
