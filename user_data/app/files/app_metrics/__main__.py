"""The app server's expressway-metrics.service."""

from expressway_metrics import service
from expressway_metrics.model import Reading

from . import reading, reports
from .listener import Listener


class Workers:
    """The app's workers, as they tell of themselves while this waits."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._restarts: dict[tuple[str, int], int] = {}
        """Of every worker that was ever seen: one that crashed may be away at a look."""

    def wait(self, until: float) -> None:
        """Listen until then."""
        self._listener.wait(until)

    def look(self, now: float) -> Reading:
        """What they have told."""
        workers = reports.workers(self._listener.processes())
        found = reading.reading(workers, self._restarts)
        self._restarts |= {each.key: each.restarts for each in workers}
        return found


if __name__ == "__main__":
    service.run(Workers(Listener()))
