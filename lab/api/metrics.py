"""Metrics of the lab's machines, on moto's CloudWatch, where any client finds them, and how policies read them.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from moto.cloudwatch.exceptions import InvalidParameterValue
from moto.cloudwatch.models import (
    CloudWatchBackend,
    Dimension,
    MetricAggregatedDatum,
    MetricDatum,
    Statistics,
    cloudwatch_backends,
)
from moto.cloudwatch.responses import CloudWatchResponse
from moto.ec2.models import ec2_backends

from lab.api import cpu_credits, groups
from lab.api.patching import around

NAMESPACE, CPU, CREDITS = "AWS/EC2", "CPUUtilization", "CPUCreditBalance"
MEASURED_SECONDS: Final = 10.0
"""Between two times that machines are measured."""
LEDGER: Final = cpu_credits.Ledger()
"""All machines' CPU credits, since this API began."""
KEPT: Final = timedelta(hours=3)
"""As long as CloudWatch keeps data of less than a minute's resolution."""

SETTLING: Final = 3.0
"""Seconds after its end that a period is looked at: what was measured in it has been told by then."""
STATISTICS: Final = ("Average", "Sum", "Minimum", "Maximum", "SampleCount")
"""That moto can tell."""
PERCENTILE: Final = re.compile(r"p(100|\d{1,2}(\.\d{1,10})?)")
"""Those of what are called extended statistics that the lab can tell: p95, p99.9, ..."""


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
    around(CloudWatchBackend, "get_metric_data", get)
    around(Statistics, "get_statistics_for_type", _statistic_of)
    around(CloudWatchResponse, "get_metric_statistics", _with_percentiles)


def record(load: Mapping[str, float], at: float, now: float) -> None:
    """Keep the CPU load of machines in percent, in the period that began `at`; `now` is the groups' clock.

    A group's own metric has only machines in service that have warmed up: what a boot costs is no load.
    """
    began = moment(at)
    for group in groups.groups():
        data = cloudwatch_backends[group.account_id][group.region].metric_data
        _forget(data, began - KEPT)
        types = {each.id: each.instance_type for each in ec2_backends[group.account_id][group.region].all_instances()}
        for member in group.instance_states:
            if member.instance_id not in load:
                continue
            value = load[member.instance_id]
            own, whole = (NAMESPACE, "InstanceId"), (NAMESPACE, "AutoScalingGroupName")
            data.append(datum(own, member.instance_id, CPU, value, began, "Percent"))
            if member.ready(now, groups.warm_up(group)):
                data.append(datum(whole, group.name, CPU, value, began, "Percent"))
            if of := cpu_credits.rate(types.get(member.instance_id, "")):
                balance = LEDGER.book(member.instance_id, of, value, MEASURED_SECONDS)
                data.append(datum(own, member.instance_id, CREDITS, balance, began, "Count"))
                data.append(datum(whole, group.name, CREDITS, balance, began, "Count"))


def moment(at: float) -> datetime:
    """A time of day as moto has it."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)


def datum(of: tuple[str, str], named: str, metric: str, value: float, at: datetime, unit: str) -> Any:
    """One value; `of` is the namespace, and the dimension that `named` is of."""
    namespace, dimension = of
    return MetricDatum(namespace, metric, value, [{"Name": dimension, "Value": named}], at, unit)


def put(original: Callable[..., Any], backend: Any, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    """PutMetricData as moto has it, but many values at once are kept as one datum: sum, extremes, how often which.

    moto keeps each of them as a datum of its own, and an edge tells of thousands of requests every ten seconds.
    """
    before = len(backend.metric_data)
    found = [_condensed(each) for each in metric_data]
    original(backend, namespace, [datum for datum, _ in found])
    # One for each set of statistics, in this order.
    kept = [each for each in backend.metric_data[before:] if isinstance(each, MetricAggregatedDatum)]
    counts = [each for datum, each in found if "StatisticValues" in datum]
    for datum, each in zip(kept, counts, strict=True):
        datum.counts = each  # pyright: ignore[reportAttributeAccessIssue]


def get(
    original: Callable[..., list[dict[str, Any]]],
    backend: Any,
    queries: Sequence[Mapping[str, Any]],
    start_time: datetime,
    end_time: datetime,
    scan_by: str = "TimestampAscending",
) -> list[dict[str, Any]]:
    """GetMetricData as moto has it, but each metric's data are looked at once.

    moto looks at all data for every period of every metric: a dashboard's three hours would keep it busy for minutes.
    """
    if any("MetricStat" not in each for each in queries):
        return original(backend, queries, start_time, end_time, scan_by)
    original(backend, [], start_time, end_time, scan_by)  # it says what is wrong with the times
    data = _grouped(backend.get_all_metrics())
    start, end = start_time.replace(microsecond=0), end_time.replace(microsecond=0)
    wanted = [each for each in queries if each.get("ReturnData", True)]
    return [_answer(each, data, start, end, downwards=scan_by == "TimestampDescending") for each in wanted]


def _answer(
    query: Mapping[str, Any],
    data: Mapping[tuple[str, str], Sequence[Any]],
    start: datetime,
    end: datetime,
    *,
    downwards: bool,
) -> dict[str, Any]:
    asked = query["MetricStat"]
    metric, statistic, period = asked["Metric"], asked["Stat"], timedelta(seconds=int(asked["Period"]))
    unit = asked.get("Unit")
    named = _named(Dimension(each["Name"], each["Value"]) for each in metric.get("Dimensions", []))
    periods: dict[int, list[Any]] = defaultdict(list)
    for each in data.get((metric["Namespace"], metric["MetricName"]), ()):
        meant = (not named or _named(each.dimensions) == named) and (not unit or each.unit == unit)
        if meant and start <= each.timestamp < end:
            periods[(each.timestamp - start) // period].append(each)
    told = [(start + number * period, _statistic(statistic, each)) for number, each in sorted(periods.items())]
    if downwards:
        told.reverse()
    return {
        "id": query["Id"],
        "label": query.get("Label") or f"{metric['MetricName']} {statistic}",
        "values": [value for _, value in told],
        "timestamps": [at for at, _ in told],
        "status_code": "Complete",
    }


def _named(dimensions: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((each.name, each.value) for each in dimensions))


def _condensed(datum: dict[str, Any]) -> tuple[dict[str, Any], Mapping[float, float] | None]:
    """The datum, and how often it has each value; None for a set of statistics, which doesn't say."""
    values = [float(each) for each in datum.get("Values") or ()]
    counts = [float(each) for each in datum.get("Counts") or [1] * len(values)]
    if len(values) != len(counts) or sum(counts) <= 1:
        return datum, None
    total = sum(value * count for value, count in zip(values, counts, strict=True))
    statistics = {"Sum": total, "Minimum": min(values), "Maximum": max(values), "SampleCount": sum(counts)}
    told: dict[float, float] = defaultdict(float)
    for value, count in zip(values, counts, strict=True):
        told[value] += count
    others = {key: each for key, each in datum.items() if key not in ("Values", "Counts")}
    return {**others, "StatisticValues": statistics}, told


def percentile(share: float, counts: Mapping[float, float]) -> float:
    """The smallest of the values that at least `share` percent of them do not exceed; `counts` says how often each is.

    CloudWatch does not say how it chooses between two values; between thousands it makes no difference.
    """
    needed = share / 100 * sum(counts.values())
    below = 0.0
    for value, count in sorted(counts.items()):
        below += count
        if below >= needed:
            return value
    return max(counts)


def by_name(account: str, region: str) -> Mapping[tuple[str, str], Sequence[Any]]:
    """All data of an account's region by namespace and name, for whoever reads many metrics at once."""
    return _grouped(cloudwatch_backends[account][region].metric_data)


def _grouped(data: Iterable[Any]) -> Mapping[tuple[str, str], Sequence[Any]]:
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for datum in data:
        found[datum.namespace, datum.name].append(datum)
    return found


def points(account: str, region: str, metric: Metric, count: int, until: float) -> list[float | None]:
    """The metric's value in each of the last `count` periods that ended before `until`, oldest first."""
    return values(cloudwatch_backends[account][region].metric_data, metric, count, until)


def values(data: Iterable[Any], metric: Metric, count: int, until: float) -> list[float | None]:
    """The same, out of data that other metrics may be among."""
    end = until - until % metric.period
    begin = end - count * metric.period
    found: list[list[Any]] = [[] for _ in range(count)]
    for datum in data:
        if (datum.namespace, datum.name) != (metric.namespace, metric.name):
            continue
        at = datum.timestamp.replace(tzinfo=UTC).timestamp()
        if begin <= at < end and _named(datum.dimensions) == metric.dimensions:
            found[int((at - begin) // metric.period)].append(datum)
    return [_statistic(metric.statistic, each) if each else None for each in found]


def _statistic(name: str, data: list[Any]) -> float | None:
    found = Statistics([name], data[0].timestamp)
    found.metric_data = data
    value = found.get_statistics_for_type(name)
    return None if value is None else float(cast("float", value))


def _statistic_of(original: Callable[..., Any], statistics: Any, name: str) -> Any:
    """moto's own, and percentiles: None where a set of statistics does not say how often it has which value."""
    if not PERCENTILE.fullmatch(name):
        return original(statistics, name)
    counts: dict[float, float] = defaultdict(float)
    for datum in statistics.metric_data:
        if (told := _counts(datum)) is None:
            return None
        for value, count in told.items():
            counts[value] += count
    return percentile(float(name[1:]), counts) if counts else None


def _counts(datum: Any) -> Mapping[float, float] | None:
    if not isinstance(datum, MetricAggregatedDatum):
        return {datum.value: 1.0}
    if datum.min == datum.max:
        return {datum.min: datum.sample_count}
    return getattr(datum, "counts", None)


def _with_percentiles(original: Callable[..., Any], response: Any) -> Any:
    """GetMetricStatistics with ExtendedStatistics, which moto passes over."""
    names = response._get_param("ExtendedStatistics") or []
    for name in names:
        if not PERCENTILE.fullmatch(name):
            raise InvalidParameterValue(f"The lab's extended statistics are percentiles such as p95, not {name}")
    answer = original(response)
    for each in answer.result["Datapoints"] if names else ():
        told = {name: each.get_statistics_for_type(name) for name in names}
        each.extended_statistics = {name: value for name, value in told.items() if value is not None}
    return answer


def _forget(data: list[Any], before: datetime) -> None:
    data[:] = [each for each in data if each.timestamp.replace(tzinfo=None) >= before]
