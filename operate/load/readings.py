"""How each tier was used in a span of time, from CloudWatch: one call of GetMetricData, again while some is late."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from operate.database import cluster
from operate.load.metrics import OWN, SECONDS, Instance, Places, Wanted, wanted
from operate.load.model import Reading
from operate.stack import Stack, explain

PATIENCE = 15.0
"""Seconds after a span's end for which its last period is waited for."""
MOST_QUERIES = 500
"""Of one call. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""
PAUSE = 2.0
"""Seconds between two calls."""

Points = Mapping[float, float]
"""Values by when their period began, in seconds since the epoch."""


class Clock(Protocol):
    """time's, or a test's."""

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class Sampler:
    """Reads what the stack's machines, its database and its cache tell CloudWatch."""

    def __init__(self, cloudwatch: Any, places: Places, clock: Clock = time) -> None:
        self._cloudwatch = cloudwatch
        self._wanted = list(wanted(places))
        self._clock = clock
        self.missing: tuple[str, ...] = ()
        """What the last span had no value of, such as `database cpu`; or why there is none at all."""

    @staticmethod
    def of(stack: Stack) -> "Sampler":
        """Of the stack.

        A role that may not ask ElastiCache for a group's nodes has the readings of all but these; one that may not ask
        RDS for the instances of a cluster of Aurora has the cluster's.
        """

        def nodes(group: str) -> Sequence[str]:
            try:
                answer = stack.client("elasticache").describe_replication_groups(ReplicationGroupId=group)
            except (ClientError, BotoCoreError):
                return ()
            return answer["ReplicationGroups"][0]["MemberClusters"]

        def instances(identifier: str) -> Sequence[Instance]:
            try:
                found = cluster.describe(stack, identifier)
                there = cluster.instances(stack, found) if found else []
            except (ClientError, BotoCoreError):
                return ()
            return [Instance(each["DBInstanceIdentifier"], each["DBInstanceClass"]) for each in there]

        return Sampler(stack.client("cloudwatch"), Places.of(stack.outputs, nodes, instances))

    def between(self, began: float, ended: float) -> tuple[Reading, ...]:
        """What was used from `began` to `ended`, in seconds since the epoch. Waits for late values, at most PATIENCE.

        What there is no value of is left out and named in `missing`; nothing is an error, as a run goes on without.
        """
        periods = whole_periods(began, ended)
        deadline = ended + PATIENCE
        while True:
            try:
                found = self._ask(began, ended)
            except (ClientError, BotoCoreError) as error:
                self.missing = (f"all readings: {explain(error)}",)
                return ()
            late = [each for each in self._wanted if not each.optional and not _complete(each, found[each], periods)]
            if not late or self._clock.time() + PAUSE > deadline:
                break
            self._clock.sleep(PAUSE)
        readings = [reading for each in self._wanted if (reading := _reading(each, found[each], began, ended))]
        there = {(each.tier, each.resource, each.who) for each in readings}
        gone = [
            each for each in self._wanted if not each.optional and (each.tier, each.resource, each.who) not in there
        ]
        opened = [each.value for each in readings if each.tier == "database" and each.resource in ("pool", "clients")]
        if limit := min(opened, default=None):
            # Pools are full when all the connections are in use that they have opened: the app's, or PgBouncer's.
            readings = [replace(each, limit=limit) if each.resource == "pool in use" else each for each in readings]
        self.missing = tuple(" ".join(filter(None, (each.tier, each.resource, each.who))) for each in gone)
        return tuple(readings)

    def _ask(self, began: float, ended: float) -> dict[Wanted, dict[int, Points]]:
        asked = [(each, period) for each in self._wanted for period in each.periods]
        queries = [_query(number, *what) for number, what in enumerate(asked)]
        longest = max(period for _, period in asked)
        span = {
            "StartTime": datetime.fromtimestamp(began // longest * longest, UTC),
            "EndTime": datetime.fromtimestamp(math.ceil(ended / SECONDS) * SECONDS, UTC),
        }
        found: dict[Wanted, dict[int, Points]] = {each: {} for each in self._wanted}
        for first in range(0, len(queries), MOST_QUERIES):
            for page in self._pages(MetricDataQueries=queries[first : first + MOST_QUERIES], **span):
                for result in page["MetricDataResults"]:
                    each, period = asked[int(result["Id"].removeprefix("m"))]
                    times = [stamp.timestamp() for stamp in result["Timestamps"]]
                    points = dict(zip(times, result["Values"], strict=True))
                    found[each][period] = {**found[each].get(period, {}), **points}
        return found

    def _pages(self, **asked: Any) -> Iterable[Mapping[str, Any]]:
        page = self._cloudwatch.get_metric_data(**asked)
        yield page
        while token := page.get("NextToken"):
            page = self._cloudwatch.get_metric_data(**asked, NextToken=token)
            yield page


def whole_periods(began: float, ended: float) -> tuple[float, ...]:
    """When the periods begin that lie wholly between. Without one, that which has most of it."""
    first, last = math.ceil(began / SECONDS) * SECONDS, ended // SECONDS * SECONDS
    if first < last:
        return tuple(float(each) for each in range(int(first), int(last), SECONDS))
    return (float((began + ended) / 2 // SECONDS * SECONDS),)


def _query(number: int, each: Wanted, period: int) -> dict[str, Any]:
    name, value = each.dimension
    metric = {
        "Namespace": each.namespace,
        "MetricName": each.name,
        "Dimensions": [{"Name": name, "Value": value}],
    }
    return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": period, "Stat": each.statistic}}


def _complete(each: Wanted, found: Mapping[int, Points], periods: Sequence[float]) -> bool:
    if each.namespace != OWN:
        # AWS's own come once a minute, and minutes late: what there is is taken.
        return True
    return periods[-1] in found.get(SECONDS, {})


def _reading(each: Wanted, found: Mapping[int, Points], began: float, ended: float) -> Reading | None:
    for period in each.periods:
        if period == SECONDS:
            inside = set(whole_periods(began, ended))
            values = [value for at, value in found.get(period, {}).items() if at in inside]
            # A value for each minute shows here, too, in the period that the minute begins with.
            if len(each.periods) > 1 and len(values) <= len(inside) / 2:
                continue
        else:
            values = [value for at, value in found.get(period, {}).items() if at < ended and at + period > began]
        if values:
            value = sum(values) / len(values)
            if each.per_second:
                value /= period
            return Reading(each.tier, each.resource, value, each.unit, each.limit, each.who)
    return None
