"""A dashboard of the lab's CloudWatch, with what its metrics and alarms say now."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from .page import Points, page
from .widgets import Alarms, BodyError, Graph, Line, start, widgets

MOST: Final = 500
"""Metrics of one GetMetricData."""

Client = Callable[[str], Any]
"""Makes a client of a service of the lab's API."""


class DashboardError(Exception):
    """There is no such dashboard, or it can't be drawn. The text is one line."""


def names(aws: Client) -> list[str]:
    """Of all dashboards."""
    pages = aws("cloudwatch").get_paginator("list_dashboards").paginate()
    return sorted(each["DashboardName"] for page in pages for each in page["DashboardEntries"])


def read(aws: Client, name: str, now: datetime | None = None) -> str:
    """The page of the dashboard `name`. DashboardError."""
    cloudwatch, until = aws("cloudwatch"), now or datetime.now(UTC)
    try:
        body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
        wanted, since = list(widgets(body)), until - start(body)
    except BodyError as error:
        raise DashboardError(f"dashboard {name}: {error}") from error
    lines = list(dict.fromkeys(line for each in wanted if isinstance(each, Graph) for line in each.lines))
    points = _points(cloudwatch, lines, since, until)
    # What was before anything was told is no use to look at.
    first = min((found[0][0] for found in points.values() if found), default=since)
    return page(name, wanted, points, _states(cloudwatch, wanted), (max(since, first), until))


def _points(cloudwatch: Any, lines: Sequence[Line], since: datetime, until: datetime) -> dict[Line, Points]:
    found: dict[Line, Points] = {}
    for begin in range(0, len(lines), MOST):
        part = lines[begin : begin + MOST]
        queries = [
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": line.namespace,
                        "MetricName": line.metric,
                        "Dimensions": [{"Name": key, "Value": value} for key, value in line.dimensions],
                    },
                    "Period": line.period,
                    "Stat": line.statistic,
                },
            }
            for number, line in enumerate(part)
        ]
        told = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=since, EndTime=until, ScanBy="TimestampAscending"
        )
        for page_ in told:
            for each in page_["MetricDataResults"]:
                line = part[int(each["Id"][1:])]
                # A later page goes on where the one before it ended.
                values = zip(each["Timestamps"], each["Values"], strict=True)
                found[line] = sorted([*found.get(line, ()), *values])
    return found


def _states(cloudwatch: Any, wanted: Sequence[Graph | Alarms]) -> dict[str, str]:
    asked = {name for each in wanted if isinstance(each, Alarms) for name in each.names}
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
    alarms = (alarm for page in pages for alarm in page["MetricAlarms"])
    return {each["AlarmName"]: each["StateValue"] for each in alarms if each["AlarmName"] in asked}
