"""Telling CloudWatch, by the group's name alone, so that a metric is that of all its machines, at one price.

What can't be told is kept for five minutes and told then, in one call. Nothing waits for CloudWatch: it has a thread.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine.outage import Outage

from .model import PERIOD, Value

NAMESPACE = "Expressway"
KEPT_PERIODS = 300 // PERIOD
"""Five minutes; with 33 metrics that is 990 in one call, of which CloudWatch takes 1,000."""
MOST_VALUES = 150
"""That CloudWatch takes of one metric at once, told apart."""


@dataclass(frozen=True)
class Period:
    """What is to be told of ten seconds."""

    began: float
    """Seconds since the epoch."""
    values: Sequence[Value]


def data(group: str, periods: Sequence[Period]) -> list[dict[str, Any]]:
    """What PutMetricData takes. Pure."""
    return [
        {
            "MetricName": value.name,
            "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
            "Timestamp": int(period.began),
            "Values": list(value.counts)[:MOST_VALUES],
            "Counts": list(value.counts.values())[:MOST_VALUES],
            "Unit": value.unit,
            "StorageResolution": 1,
        }
        for period in periods
        for value in period.values
        if value.counts
    ]


class Backlog:
    """The periods that are still to be told. When there are too many, the oldest is lost."""

    def __init__(self, most: int = KEPT_PERIODS) -> None:
        self._periods: deque[Period] = deque()
        self._most = most
        self._lock = threading.Lock()
        self.dropped = 0
        """Metrics that were lost."""

    def add(self, period: Period) -> None:
        """Keep it."""
        with self._lock:
            self._periods.append(period)
            while len(self._periods) > self._most:
                self.dropped += len(self._periods.popleft().values)

    def waiting(self) -> list[Period]:
        """What is to be told, oldest first."""
        with self._lock:
            return list(self._periods)

    def told(self, periods: Sequence[Period]) -> None:
        """Forget these. Some may have been lost while they were told."""
        with self._lock:
            for each in periods:
                if self._periods and self._periods[0] is each:
                    self._periods.popleft()


Tell = Callable[[list[Period]], None]
"""Tells CloudWatch; botocore's errors, or OSError, when that fails."""


class Teller:
    """Tells what is added, in a thread of its own."""

    def __init__(self, connect: Callable[[], Tell], backlog: Backlog) -> None:
        """`connect` finds out how to tell, and may fail like it."""
        self._connect = connect
        self._tell: Tell | None = None
        self._backlog = backlog
        self._added = threading.Event()
        self._outage = Outage("CloudWatch can't be told, five minutes are kept", "CloudWatch is told again", "metrics")

    def start(self) -> None:
        """Begin; the thread ends with the process."""
        threading.Thread(target=self._run, name="cloudwatch", daemon=True).start()

    def add(self, period: Period) -> None:
        """To be told as soon as possible. Returns at once."""
        self._backlog.add(period)
        self._added.set()

    def tell(self) -> None:
        """Tell what waits, once. One line says when that begins to fail, and one when it works again."""
        periods = self._backlog.waiting()
        try:
            self._tell = self._tell or self._connect()
            self._tell(periods)
        except (BotoCoreError, ClientError, OSError) as error:
            self._outage.failed(error, self._backlog.dropped)
            return
        self._backlog.told(periods)
        self._outage.worked(self._backlog.dropped)

    def _run(self) -> None:
        while True:
            self._added.wait()
            self._added.clear()
            self.tell()
