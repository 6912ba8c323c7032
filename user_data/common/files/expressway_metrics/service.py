"""The service's loop: look, publish, wait for the next ten seconds."""

import time
from typing import Any, Protocol

from expressway_machine import config, metadata, systemd
from expressway_machine.aws import Clients

from . import host
from .cloudwatch import NAMESPACE, Backlog, Period, Tell, Teller, data
from .model import PERIOD, Reading, counter
from .scrape import Latest, serve

GROUP_TAG = "aws:autoscaling:groupName"
"""Auto Scaling puts it on each machine that it launches."""


FEWEST_SECONDS = PERIOD / 2
"""A period that was cut short by a start says little, and its sums are too small."""


class Source(Protocol):
    """What a tier has besides the machine itself."""

    def wait(self, until: float) -> None:
        """Return at that time, in seconds since the epoch."""
        ...

    def look(self, now: float) -> Reading:
        """Measure. What can't be measured is left out, never an error."""
        ...


def run(source: Source) -> None:
    """Measure until stopped."""
    machine = config.load()
    backlog, latest = Backlog(), Latest()
    teller = Teller(lambda: connect(machine["region"]), backlog)
    serve(latest, scraped=machine["metrics"]["scraped"])
    teller.start()
    systemd.notify("READY=1")
    before = host.read()
    began = time.time()
    while True:
        source.wait(began // PERIOD * PERIOD + PERIOD)
        now, found = time.time(), host.read()
        reading = host.reading(found, before) + source.look(now)
        latest.families = [*reading.families, _dropped(backlog)]
        if now - began >= FEWEST_SECONDS:
            teller.add(Period(began // PERIOD * PERIOD, reading.values))
        before, began = found, now
        systemd.notify("WATCHDOG=1")


def connect(region: str) -> Tell:
    """Whom to tell, and by which group's name. OSError or botocore's errors when that can't be found out yet."""
    group = metadata.tag(GROUP_TAG)
    if group is None:
        raise OSError("this machine is in no Auto Scaling group")
    # One try: the next is ten seconds away, with all that was kept.
    client: Any = Clients(region, attempts=1, read_timeout=5).get("cloudwatch")

    def tell(periods: list[Period]) -> None:
        if metrics := data(group, periods):
            client.put_metric_data(Namespace=NAMESPACE, MetricData=metrics)

    return tell


def sleep(until: float) -> None:
    """A source's `wait` that has nothing else to do."""
    time.sleep(max(0.0, until - time.time()))


def _dropped(backlog: Backlog) -> Any:
    return counter("expressway_metrics_dropped", "Metrics that CloudWatch was never told.", [({}, backlog.dropped)])
