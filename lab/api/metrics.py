"""Metrics of the lab's machines, on moto's CloudWatch, where any client finds them, and how policies read them.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moto.cloudwatch.models import MetricDatum, cloudwatch_backends

from lab.api import groups

NAMESPACE, CPU = "AWS/EC2", "CPUUtilization"
KEPT: Final = timedelta(hours=3)
"""As long as CloudWatch keeps data of less than a minute's resolution."""

STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Average": statistics.fmean,
    "Sum": sum,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
}


@dataclass(frozen=True)
class Metric:
    """What a policy looks at. `dimensions` are pairs of name and value, sorted."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    period: int


def record(load: Mapping[str, float], at: float, now: float) -> None:
    """Keep the CPU load of machines in percent, in the period that began `at`; `now` is the groups' clock.

    A group's own metric has only machines in service that have warmed up: what a boot costs is no load.
    """
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    for group in groups.groups():
        data = cloudwatch_backends[group.account_id][group.region].metric_data
        _forget(data, moment - KEPT)
        for member in group.instance_states:
            if member.instance_id not in load:
                continue
            value = load[member.instance_id]
            data.append(_datum(value, "InstanceId", member.instance_id, moment))
            if member.ready(now, groups.warm_up(group)):
                data.append(_datum(value, "AutoScalingGroupName", group.name, moment))


def points(group: Any, metric: Metric, count: int, until: float) -> list[float | None]:
    """The metric's value in each of the last `count` periods that ended before `until`, oldest first."""
    data = cloudwatch_backends[group.account_id][group.region].metric_data
    end = until - until % metric.period
    begin = end - count * metric.period
    found: list[list[float]] = [[] for _ in range(count)]
    for datum in data:
        if not isinstance(datum, MetricDatum) or (datum.namespace, datum.name) != (metric.namespace, metric.name):
            continue
        at = datum.timestamp.replace(tzinfo=UTC).timestamp()
        named = tuple(sorted((each.name, each.value) for each in datum.dimensions))
        if begin <= at < end and named == metric.dimensions:
            found[int((at - begin) // metric.period)].append(datum.value)
    combine = STATISTICS[metric.statistic]
    return [float(combine(values)) if values else None for values in found]


def _datum(value: float, dimension: str, named: str, at: datetime) -> Any:
    return MetricDatum(NAMESPACE, CPU, value, [{"Name": dimension, "Value": named}], at, "Percent")


def _forget(data: list[Any], before: datetime) -> None:
    data[:] = [each for each in data if each.namespace != NAMESPACE or each.timestamp.replace(tzinfo=None) >= before]
