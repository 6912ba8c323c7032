"""How many requests a second each server of a group gets, told to CloudWatch for Auto Scaling to follow.

One value for each ten seconds by the clock, stamped with their beginning: with several edges, CloudWatch's sum of a
period is that of the whole site.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from .model import Traffic

NAMESPACE, METRIC = "Expressway", "RequestsPerServer"
PERIOD = 10
"""Seconds; the shortest that target tracking takes."""
FEWEST_SECONDS = 5.0
"""A stretch that is shorter says little: none is told of the period in which the reconciler was started."""


class Rates:
    """Counts from one period to the next. `tell` gets what CloudWatch's PutMetricData takes, and may fail."""

    def __init__(self, groups: Collection[str], tell: Callable[..., Any]) -> None:
        """`groups` are those that have a policy for it."""
        self.tell = tell
        self._groups = tuple(groups)
        self._counted: tuple[float, Mapping[str, int]] | None = None

    def look(self, traffic: Traffic, members: Mapping[str, str], now: float) -> list[dict[str, Any]]:
        """What to tell now: nothing within a period. `members` are groups by instance id; `now` is of the epoch."""
        counts = {instance: _requests(counted) for instance, counted in traffic.counters.items()}
        if self._counted is None:
            self._counted = now, counts
            return []
        began, before = self._counted
        if now // PERIOD == began // PERIOD:
            return []
        self._counted = now, counts
        seconds = now - began
        if seconds < FEWEST_SECONDS:
            return []
        # Nginx counts from 0 again when it was started anew, and for a server that is new to it.
        new = {each: _since(before.get(each, 0), count) for each, count in counts.items()}
        return [
            _datum(group, sum(new[each] for each in new if members.get(each) == group) / seconds / servers, began)
            for group in self._groups
            if (servers := sum(members.get(each.instance_id) == group for each in traffic.servers))
        ]


def _datum(group: str, value: float, began: float) -> dict[str, Any]:
    return {
        "MetricName": METRIC,
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
        "Timestamp": datetime.fromtimestamp(began // PERIOD * PERIOD, UTC),
        "Value": value,
        "Unit": "Count/Second",
        "StorageResolution": 1,
    }


def _since(before: int, now: int) -> int:
    return now - before if now >= before else now


def _requests(counted: Mapping[str, object]) -> int:
    count = counted.get("requests", 0)
    return count if isinstance(count, int) else 0
