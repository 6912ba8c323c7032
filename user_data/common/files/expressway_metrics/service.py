"""The service's loop: look, publish, wait for the next ten seconds. Beside it a thread tells what was logged."""

import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn, Protocol

from expressway_logs import service as logs
from expressway_logs.shipper import Shipper
from expressway_machine import config, metadata, systemd
from expressway_machine.calls import CLOUDWATCH, Calls

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
    """Do what the machine was told of measuring and logs, until stopped; then tell the last lines."""
    signal.signal(signal.SIGTERM, _stop)
    machine = config.load()
    calls = Calls(machine["region"])
    shipper = logs.shipper(machine, calls)
    if shipper:
        shipper.start()
    try:
        if machine["metrics"]:
            measure(machine, source, shipper, calls)
        else:
            stay()
    finally:
        if shipper:
            shipper.stop(logs.PATIENCE)


def stay() -> NoReturn:
    """Measure nothing."""
    systemd.notify("READY=1")
    while True:
        time.sleep(PERIOD)
        systemd.notify("WATCHDOG=1")


def measure(machine: config.Machine, source: Source, shipper: Shipper | None, calls: Calls) -> NoReturn:
    """Look each ten seconds."""
    backlog, latest = Backlog(), Latest()
    teller = Teller(lambda: connect(calls), backlog)
    serve(latest, scraped=machine["metrics"]["scraped"])
    teller.start()
    systemd.notify("READY=1")
    before = host.read()
    began = time.time()
    while True:
        source.wait(began // PERIOD * PERIOD + PERIOD)
        now, found = time.time(), host.read()
        reading = host.reading(found, before) + source.look(now)
        latest.families = [*reading.families, _dropped(backlog), *(_of_logs(shipper) if shipper else [])]
        if now - began >= FEWEST_SECONDS:
            teller.add(Period(began // PERIOD * PERIOD, reading.values))
        before, began = found, now
        systemd.notify("WATCHDOG=1")


def connect(calls: Calls) -> Tell:
    """Whom to tell, and by which group's name. OSError or botocore's errors when that can't be found out yet."""
    group = metadata.tag(GROUP_TAG)
    if group is None:
        raise OSError("this machine is in no Auto Scaling group")

    def tell(periods: list[Period]) -> None:
        if metrics := data(group, periods):
            calls(CLOUDWATCH, "PutMetricData", {"Namespace": NAMESPACE, "MetricData": metrics})

    return tell


def sleep(until: float) -> None:
    """A source's `wait` that has nothing else to do."""
    time.sleep(max(0.0, until - time.time()))


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _of_logs(shipper: Shipper) -> list[Any]:
    return [
        counter("expressway_logs_sent", "Lines that CloudWatch Logs took.", [({}, shipper.sent)]),
        counter("expressway_logs_dropped", "Lines that it was never told, or refused.", [({}, shipper.dropped)]),
    ]


def _dropped(backlog: Backlog) -> Any:
    return counter("expressway_metrics_dropped", "Metrics that CloudWatch was never told.", [({}, backlog.dropped)])
