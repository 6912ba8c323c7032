"""The edge's expressway-metrics.service."""

from expressway_metrics import service
from expressway_metrics.model import Reading
from reconciler.upstream import Balancer

from . import reading
from .observe import Seen, observe


class Edge:
    """Nginx and the reconciler, looked at each time."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._before: Seen | None = None

    def wait(self, until: float) -> None:
        """Sleep."""
        service.sleep(until)

    def look(self, now: float) -> Reading:
        """How the edge is."""
        seen = observe(now, self._balancer)
        found, self._before = reading.reading(seen, self._before), seen.or_last(self._before)
        return found


if __name__ == "__main__":
    service.run(Edge(Balancer()))
