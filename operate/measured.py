"""What CloudWatch has of a service's own metrics, by instance or node, of the last minutes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from operate.stack import Stack

WINDOW_MINUTES: Final = 5
"""That what is counted is counted over, and the newest value of the rest is taken from."""

Values = Mapping[str, list[float]]
"""Of a metric by its name, the newest first."""


def ask(
    stack: Stack, namespace: str, dimension: str, those: Sequence[str], metrics: Mapping[str, str]
) -> dict[str, dict[str, list[float]]]:
    """What is there of each of `those`, by metric, of which `metrics` has the statistic. botocore's errors."""
    asked = {f"m{index}": pair for index, pair in enumerate((each, name) for each in those for name in metrics)}
    if not asked:
        return {}
    now = datetime.now(UTC)
    queries = [
        {
            "Id": identifier,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": [{"Name": dimension, "Value": who}],
                },
                "Period": 60,
                "Stat": metrics[name],
            },
        }
        for identifier, (who, name) in asked.items()
    ]
    found: dict[str, dict[str, list[float]]] = {}
    pages = stack.client("cloudwatch").get_paginator("get_metric_data")
    for page in pages.paginate(
        MetricDataQueries=queries,
        StartTime=now - timedelta(minutes=WINDOW_MINUTES),
        # What was told in this second counts too.
        EndTime=now + timedelta(minutes=1),
        ScanBy="TimestampDescending",
    ):
        for result in page["MetricDataResults"]:
            who, name = asked[result["Id"]]
            found.setdefault(who, {}).setdefault(name, []).extend(result["Values"])
    return found


def newest(values: Values, metric: str) -> float | None:
    """The last value of a metric; None where nobody told one."""
    found = values.get(metric)
    return round(found[0], 3) if found else None
