"""Metrics of RDS and ElastiCache under AWS's own names, out of what the machines behind them were seen to do.

Each ten seconds, where AWS has them each minute, and CPU credits each five.
Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html,
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.Redis.html
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from moto.cloudwatch.models import cloudwatch_backends
from moto.elasticache.models import elasticache_backends

from lab.api import cpu_credits, metrics, rds

RDS: Final = ("AWS/RDS", "DBInstanceIdentifier")
ELASTICACHE: Final = ("AWS/ElastiCache", "CacheClusterId")
UNITS: Final[Mapping[str, str]] = {
    "CPUUtilization": "Percent",
    "DatabaseConnections": "Count",
    "FreeStorageSpace": "Bytes",
    "FreeableMemory": "Bytes",
    "ReplicaLag": "Seconds",
    "EngineCPUUtilization": "Percent",
    "CurrConnections": "Count",
    "Evictions": "Count",
    "CacheHits": "Count",
    "CacheMisses": "Count",
    "DatabaseMemoryUsagePercentage": "Percent",
    "ReplicationLag": "Seconds",
    "IsMaster": "Count",
    metrics.CREDITS: "Count",
}
USED: Final = "StorageUsed"
"""What a database's machine tells in bytes; how much RDS would have, only the API knows."""
GIB: Final = 2**30


def record(told: Mapping[str, Mapping[str, Mapping[str, float]]], at: float) -> None:
    """Keep what was measured in the period that began `at`.

    `told` has, under `database` and `cache`, each instance's or node's metrics by name. Those that are gone are passed
    over.
    """
    moment = metrics.moment(at)
    for database in rds.databases():
        if seen := told.get("database", {}).get(database.db_instance_identifier):
            found = dict(seen)
            if (used := found.pop(USED, None)) is not None:
                found["FreeStorageSpace"] = max(0.0, int(database.allocated_storage) * GIB - used)
            name = database.db_instance_identifier
            _credits(found, f"database {name}", database.db_instance_class)
            data = cloudwatch_backends[database.account_id][database.region].metric_data
            data += [metrics.datum(RDS, name, metric, value, moment, UNITS[metric]) for metric, value in found.items()]
    for account, region, node, kind in _nodes():
        if seen := told.get("cache", {}).get(node):
            found = dict(seen)
            _credits(found, f"cache {node}", kind)
            data = cloudwatch_backends[account][region].metric_data
            data += [
                metrics.datum(ELASTICACHE, node, metric, value, moment, UNITS[metric])
                for metric, value in found.items()
            ]


def _nodes() -> Iterator[tuple[str, str, str, str]]:
    """Account, region, id and type of each node."""
    for account, regions in elasticache_backends.items():
        for region, backend in regions.items():
            for group in backend.replication_groups.values():
                for node in group.member_clusters:
                    yield account, region, node, group.cache_node_type


def _credits(found: dict[str, Any], machine: str, kind: str) -> None:
    if (of := cpu_credits.rate(kind)) and "CPUUtilization" in found:
        found[metrics.CREDITS] = metrics.LEDGER.book(machine, of, found["CPUUtilization"], metrics.MEASURED_SECONDS)
