"""Prometheus' text format at http://<machine>:9464/metrics, from what was measured last: a scrape measures nothing."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

PORT = 9464


class Latest(Collector):
    """The last look's families."""

    def __init__(self) -> None:
        self.families: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """What there is; nothing before the first look."""
        return self.families


def serve(latest: Latest, *, scraped: bool) -> None:
    """Answer from now on, in threads: on this machine alone, or to whom the security group lets in as well.

    What this program takes itself is told too, as process_cpu_seconds_total and process_resident_memory_bytes.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(latest)
    ProcessCollector(registry=registry)
    start_http_server(PORT, "0.0.0.0" if scraped else "127.0.0.1", registry)  # noqa: S104
