"""The dashboard's body: is it well, on top, then a row for each tier, and one for the kit in the app. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .alarms import CLUSTER, DIMENSIONS, ELASTICACHE, EXPRESSWAY, RDS, Alarm
from .watched import Watched

COLUMNS = 24
"""Of CloudWatch's grid."""
HEIGHT = 6
ALARMS_HEIGHT = 4

Widget = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of a graph: a metric of a thing."""

    of: str
    namespace: str
    metric: str
    statistic: str
    label: str
    by: str = ""
    """The dimension, where it isn't its namespace's."""


def dashboard(
    watched: Watched, names: Mapping[str, str], region: str, alarms: Sequence[Alarm], arns: Sequence[str]
) -> dict[str, Any]:
    """The body, to be written as JSON.

    `names` has the AWS name of each thing that a metric is of; `arns` are those of `alarms`, or none without them.
    """
    lines = {(each.of, each.metric): each.threshold for each in alarms}
    widgets: list[Widget] = []
    top = 0
    if arns:
        status = {"title": "Is it well?", "alarms": list(arns)}
        widgets.append(
            {"type": "alarm", "x": 0, "y": 0, "width": COLUMNS, "height": ALARMS_HEIGHT, "properties": status}
        )
        top = ALARMS_HEIGHT
    for row in _rows(watched):
        width = COLUMNS // len(row)
        for place, (title, graph) in enumerate(row.items()):
            properties = _graph(title, graph, names, region, lines)
            box = {"x": place * width, "y": top, "width": width, "height": HEIGHT}
            widgets.append({"type": "metric", **box, "properties": properties})
        top += HEIGHT
    return {"start": "-PT3H", "periodOverride": "inherit", "widgets": widgets}


def _graph(
    title: str, graph: Sequence[Line], names: Mapping[str, str], region: str, lines: Mapping[tuple[str, str], float]
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": title,
        "region": region,
        "view": "timeSeries",
        "stacked": False,
        "period": 10 if graph[0].namespace == EXPRESSWAY else 60,
        "metrics": [
            [
                *(each.namespace, each.metric, each.by or DIMENSIONS[each.namespace], names[each.of]),
                {"stat": each.statistic, "label": each.label},
            ]
            for each in graph
        ],
        "yAxis": {"left": {"min": 0}},
    }
    # Nodes have the same threshold, which is to be drawn once.
    thresholds = sorted({lines[each.of, each.metric] for each in graph if (each.of, each.metric) in lines})
    if thresholds:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": each} for each in thresholds]}
    return properties


def _rows(watched: Watched) -> Iterator[dict[str, list[Line]]]:
    """Titles of graphs, and what is in them."""
    if watched.edge_type is not None:
        yield {
            "Site: answers with 5xx, %": [Line("edge", EXPRESSWAY, "ErrorShare", "Average", "5xx")],
            "Site: time to answer, ms": [Line("edge", EXPRESSWAY, "ResponseTime", each, each) for each in _PERCENTILES],
            "Site: answers in 10 s": [
                Line("edge", EXPRESSWAY, metric, "Sum", label)
                for metric, label in (("Requests", "all"), ("Responses4xx", "4xx"), ("Responses5xx", "5xx"))
            ],
        }
        yield {
            "Edge: used, %": _used("edge"),
            "Edge: app servers": [
                Line("edge", EXPRESSWAY, "Servers", "Minimum", "that get requests"),
                Line("edge", EXPRESSWAY, "UnhealthyServers", "Maximum", "that fail"),
            ],
            "Edge: age of its list, s": [Line("edge", EXPRESSWAY, "ListAge", "Maximum", "oldest")],
            "Edge: connections and retries": [
                Line("edge", EXPRESSWAY, "Connections", "Sum", "connections"),
                Line("edge", EXPRESSWAY, "Retries", "Sum", "retries in 10 s"),
            ],
        }
    if watched.app_type is not None:
        yield {
            "App: used, %": _used("app"),
            "App: delay of the event loop, ms": [
                Line("app", EXPRESSWAY, "EventLoopLag", each, label)
                for each, label in (("Maximum", "worst worker"), ("Average", "average"))
            ],
            "App: workers": [
                Line("app", EXPRESSWAY, "Workers", "Sum", "workers"),
                Line("app", EXPRESSWAY, "WorkerRestarts", "Sum", "restarts in 10 s"),
            ],
            "App: requests in flight": [Line("app", EXPRESSWAY, "RequestsInFlight", "Sum", "all machines")],
        }
    if watched.database_class is not None and watched.aurora:
        yield {
            "Database: CPU of the busiest instance, %": _each_cluster(watched, "CPUUtilization", "Maximum", "CPU"),
            "Database: connections": _each_cluster(watched, "DatabaseConnections", "Maximum", "connections"),
            "Database: storage used, bytes": _each_cluster(watched, "VolumeBytesUsed", "Maximum", "used"),
            **(
                {"Database: capacity, units": _each_cluster(watched, "ServerlessDatabaseCapacity", "Maximum", "most")}
                if watched.capacity
                else {}
            ),
            **(
                {"Database: readers behind, ms": _each_cluster(watched, "AuroraReplicaLagMaximum", "Maximum", "most")}
                if watched.readers
                else {}
            ),
        }
    elif watched.database_class is not None:
        yield {
            "Database: CPU, %": _each_shard(watched, "CPUUtilization", "Average", "CPU"),
            "Database: connections": _each_shard(watched, "DatabaseConnections", "Maximum", "connections"),
            "Database: free storage, bytes": _each_shard(watched, "FreeStorageSpace", "Minimum", "free"),
            **(
                {
                    "Database: replicas behind, s": [
                        Line(f"replica-{name}", RDS, "ReplicaLag", "Maximum", name) for name in watched.replicas
                    ]
                }
                if watched.replicas
                else {}
            ),
        }
    if watched.cache_type is not None:
        nodes = watched.caches
        yield {
            "Cache: memory, %": _each_node(nodes, "DatabaseMemoryUsagePercentage", "Maximum"),
            "Cache: CPU of Redis, %": _each_node(nodes, "EngineCPUUtilization", "Average"),
            "Cache: evictions": _each_node(nodes, "Evictions", "Sum"),
            "Cache: misses": _each_node(nodes, "CacheMisses", "Sum"),
        }
    # Last, as it is empty of an app without the kit.
    if watched.app_type is not None:
        yield {
            "Kit: reads through its caches, %": [
                Line("app", EXPRESSWAY, metric, "Average", label)
                for metric, label in (("KitHitRate", "hits"), ("KitStaleRate", "old"), ("KitBypassRate", "past Redis"))
            ],
            "Kit: breakers and retries": [
                Line("app", EXPRESSWAY, "KitBreakersOpen", "Sum", "breakers open"),
                Line("app", EXPRESSWAY, "KitRetries", "Sum", "retries in 10 s"),
            ],
            **(
                {
                    "Kit: replicas that a worker reads": [
                        Line("app", EXPRESSWAY, "KitReplicasInRotation", "Minimum", "fewest")
                    ],
                    "Kit: replicas behind, ms": [Line("app", EXPRESSWAY, "KitReplicaLag", "Maximum", "worst")],
                }
                if watched.replicas
                else {}
            ),
        }


_PERCENTILES = ("p50", "p95", "p99")


def _used(tier: str) -> list[Line]:
    return [
        Line(tier, EXPRESSWAY, metric, statistic, label)
        for metric, statistic, label in (
            ("CPU", "Average", "CPU"),
            ("Memory", "Maximum", "memory"),
            ("Disk", "Maximum", "disk"),
        )
    ]


def _each_shard(watched: Watched, metric: str, statistic: str, label: str) -> list[Line]:
    shards = [Line(f"database-{name}", RDS, metric, statistic, f"{label}, {name}") for name in watched.shards]
    return [Line("database", RDS, metric, statistic, label), *shards]


def _each_cluster(watched: Watched, metric: str, statistic: str, label: str) -> list[Line]:
    return [replace(each, by=CLUSTER) for each in _each_shard(watched, metric, statistic, label)]


def _each_node(nodes: Sequence[str], metric: str, statistic: str) -> list[Line]:
    return [Line(node, ELASTICACHE, metric, statistic, node) for node in nodes]
