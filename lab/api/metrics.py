"""Metrics of the lab's machines, on moto's CloudWatch, where any client finds them, and how policies read them.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from moto.cloudwatch.models import CloudWatchBackend, MetricDatum, Statistics, cloudwatch_backends

from lab.api import groups
from lab.api.patching import around

NAMESPACE, CPU = "AWS/EC2", "CPUUtilization"
KEPT: Final = timedelta(hours=3)
"""As long as CloudWatch keeps data of less than a minute's resolution."""

SETTLING: Final = 3.0
"""Seconds after its end that a period is looked at: what was measured in it has been told by then."""
STATISTICS: Final = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
"""That moto can tell."""


@dataclass(frozen=True)
class Metric:
    """What a policy looks at. `dimensions` are pairs of name and value, sorted."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    period: int


def install() -> None:
    """Let moto's CloudWatch take what machines tell of thousands of requests."""
    around(CloudWatchBackend, "put_metric_data", put)


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


def put(original: Callable[..., Any], backend: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    """PutMetricData as moto has it, but many values at once are kept as their sum, extremes and count.

    moto keeps each of them as a datum of its own, and an edge tells of thousands of requests every ten seconds.
    """
    original(backend, namespace, [_condensed(each) for each in metric_data])


def _condensed(datum: dict[str, Any]) -> dict[str, Any]:
    values = [float(each) for each in datum.get("Values") or ()]
    counts = [float(each) for each in datum.get("Counts") or [1] * len(values)]
    if len(values) != len(counts) or sum(counts) <= 1:
        return datum
    total = sum(value * count for value, count in zip(values, counts, strict=True))
    statistics = {"Sum": total, "Minimum": min(values), "Maximum": max(values), "SampleCount": sum(counts)}
    return {key: each for key, each in datum.items() if key not in ("Values", "Counts")} | {
        "StatisticValues": statistics
    }


def points(account: str, region: str, metric: Metric, count: int, until: float) -> list[float | None]:
    """The metric's value in each of the last `count` periods that ended before `until`, oldest first."""
    data = cloudwatch_backends[account][region].metric_data
    end = until - until % metric.period
    begin = end - count * metric.period
    found: list[list[Any]] = [[] for _ in range(count)]
    for datum in data:
        if (datum.namespace, datum.name) != (metric.namespace, metric.name):
            continue
        at = datum.timestamp.replace(tzinfo=UTC).timestamp()
        named = tuple(sorted((each.name, each.value) for each in datum.dimensions))
        if begin <= at < end and named == metric.dimensions:
            found[int((at - begin) // metric.period)].append(datum)
    return [_statistic(metric.statistic, values) if values else None for values in found]


def _statistic(name: str, data: list[Any]) -> float:
    found = Statistics([name], data[0].timestamp)
    found.metric_data = data
    value = found.get_statistics_for_type(name)
    return float(cast("float", value))


def _datum(value: float, dimension: str, named: str, at: datetime) -> Any:
    return MetricDatum(NAMESPACE, CPU, value, [{"Name": dimension, "Value": named}], at, "Percent")


def _forget(data: list[Any], before: datetime) -> None:
    data[:] = [each for each in data if each.timestamp.replace(tzinfo=None) >= before]
