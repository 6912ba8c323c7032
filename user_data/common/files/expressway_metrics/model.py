"""What is measured, in the two shapes in which it is told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

PERIOD = 10
"""Seconds, by the clock: all machines of a group have the same periods."""

Labels = Mapping[str, str]
"""A series' labels; every series of a family has the same names, in the same order."""


@dataclass(frozen=True)
class Value:
    """One of CloudWatch's metrics in one period: how often each value was seen. It has no dimension but the group."""

    name: str
    unit: str
    """CloudWatch's name of it."""
    counts: Mapping[float, float]

    @staticmethod
    def of(name: str, unit: str, *values: float) -> "Value":
        """Each of these once; of the same value as often as it is given."""
        counts: dict[float, float] = {}
        for each in values:
            counts[each] = counts.get(each, 0) + 1
        return Value(name, unit, counts)


@dataclass(frozen=True)
class Reading:
    """What was measured at one look."""

    families: list[Metric]
    """Prometheus': everything, by server, route and worker."""
    values: list[Value]
    """CloudWatch's: a few, as each costs money."""

    def __add__(self, other: "Reading") -> "Reading":
        """Both."""
        return Reading(self.families + other.families, self.values + other.values)


def gauge(name: str, text: str, series: Iterable[tuple[Labels, float]]) -> Metric:
    """A family of values that rise and fall."""
    found = list(series)
    family = GaugeMetricFamily(name, text, labels=list(found[0][0]) if found else [])
    for labels, value in found:
        family.add_metric(list(labels.values()), value)
    return family


def counter(name: str, text: str, series: Iterable[tuple[Labels, float]]) -> Metric:
    """A family of values that only grow; `name` without `_total`, which Prometheus' format adds."""
    found = list(series)
    family = CounterMetricFamily(name, text, labels=list(found[0][0]) if found else [])
    for labels, value in found:
        family.add_metric(list(labels.values()), value)
    return family


def since(before: float, now: float) -> float:
    """How much a counter has grown; what it says when it began anew."""
    return now - before if now >= before else now
