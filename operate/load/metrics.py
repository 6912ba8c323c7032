"""Which of CloudWatch's metrics say how a tier is used, and what becomes of them. Data, and pure.

Those of `Expressway` are in docs/monitoring.md; RDS's, Aurora's and ElastiCache's own are in
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html,
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html and
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.Redis.html
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from operate.load.model import Tier
from operate.sizes import SERVERLESS

OWN, RDS, ELASTICACHE = "Expressway", "AWS/RDS", "AWS/ElastiCache"
SECONDS = 10
"""Of a period of what the machines tell."""
MINUTE = 60
"""Of a period of what AWS tells; where it is told more often, that is better."""


@dataclass(frozen=True)
class Instance:
    """One of a cluster of Aurora."""

    id: str
    instance_class: str


@dataclass(frozen=True)
class Places:
    """Who is asked about."""

    app_group: str
    edge_group: str
    database: str | None
    """RDS's identifier; with shards, the first one's."""
    shards: tuple[str, ...] = field(default=(), kw_only=True)
    """Those of the other shards."""
    cluster: bool = field(default=False, kw_only=True)
    """Whether that is a cluster's, of Aurora."""
    instances: tuple[Instance, ...] = field(default=(), kw_only=True)
    """Those of all clusters; none where RDS doesn't tell them, and the clusters are asked about themselves."""
    caches: tuple[str, ...]
    """ElastiCache's, of each node."""
    cache_cluster: bool = field(default=False, kw_only=True)
    """Whether these are a cluster's, so that each has a part of the data."""

    @staticmethod
    def of(
        outputs: Mapping[str, Any],
        nodes: Callable[[str], Sequence[str]],
        instances: Callable[[str], Sequence[Instance]],
    ) -> "Places":
        """Those of a stack's outputs. `nodes` says which nodes a replication group has, `instances` which a cluster."""
        database, cache = (str(outputs.get(name) or "") for name in ("databaseEndpoint", "cacheEndpoint"))
        others: Sequence[str] = (outputs.get("databaseEndpoints") or [])[1:]
        first = database_identifier(database)
        shards = tuple(named for each in others if (named := database_identifier(each)))
        clusters = [first, *shards] if first and is_cluster(database) else []
        return Places(
            app_group=outputs["appGroupName"],
            edge_group=outputs["edgeGroupName"],
            database=first,
            shards=shards,
            cluster=bool(clusters),
            instances=tuple(each for cluster in clusters for each in instances(cluster)),
            caches=tuple(nodes(group)) if (group := replication_group(cache)) else (),
            # The first label with TLS, a later one without.
            cache_cluster="clustercfg" in cache.split("."),
        )


def database_identifier(endpoint: str) -> str | None:
    """RDS's identifier, with which the name of an instance's endpoint begins; None without an endpoint."""
    return endpoint.split(".")[0] or None


def is_cluster(endpoint: str) -> bool:
    """Whether it is the endpoint of a cluster of Aurora: `<identifier>.cluster-<random>.<region>.rds.amazonaws.com`."""
    return endpoint.partition(".")[2].startswith("cluster-")


def replication_group(endpoint: str) -> str | None:
    """The replication group's id, which is in the name of its primary or configuration endpoint; None without one."""
    first, _, rest = endpoint.partition(".")
    # With TLS the first label says which of the endpoints it is, without TLS it is the group's.
    return (rest.split(".")[0] if first in ("master", "clustercfg") else first) or None


@dataclass(frozen=True)
class Wanted:
    """One metric, with one statistic, and which reading it becomes."""

    tier: Tier
    resource: str
    unit: str
    namespace: str
    name: str
    dimension: tuple[str, str]
    statistic: str
    limit: float | None = None
    who: str = ""
    per_second: bool = False
    """What is counted in a period becomes what a second had."""
    optional: bool = False
    """Nothing is missing without it: a cache has no limit, or nobody read from it."""
    periods: tuple[int, ...] = (SECONDS,)
    """Seconds, the best first."""


def wanted(places: Places) -> Iterator[Wanted]:
    """All that is asked for."""
    yield from _app(("AutoScalingGroupName", places.app_group))
    yield from _services(("AutoScalingGroupName", places.app_group))
    yield from _edge(("AutoScalingGroupName", places.edge_group))
    by_cluster = places.cluster and not places.instances
    databases = [each.id for each in places.instances] or filter(None, (places.database, *places.shards))
    for database in databases:
        by = ("DBClusterIdentifier" if by_cluster else "DBInstanceIdentifier", database)
        for resource, unit, name, limit in (
            ("cpu", "percent", "CPUUtilization", 100.0),
            ("sessions", "count", "DatabaseConnections", None),
            ("free memory", "bytes", "FreeableMemory", None),
            *([] if places.cluster else [("free storage", "bytes", "FreeStorageSpace", None)]),
        ):
            yield _aws("database", resource, unit, RDS, name, by, limit)
    for each in places.instances:
        if each.instance_class == SERVERLESS:
            by = ("DBInstanceIdentifier", each.id)
            yield _aws("database", "capacity units", "count", RDS, "ServerlessDatabaseCapacity", by, None)
    for node in places.caches:
        for resource, unit, name, limit in (
            ("cpu", "percent", "EngineCPUUtilization", 100.0),
            ("machine cpu", "percent", "CPUUtilization", 100.0),
            ("clients", "count", "CurrConnections", None),
            # What app servers tell of a cluster is all shards together, in which the fullest doesn't show.
            *([("memory", "percent", "DatabaseMemoryUsagePercentage", 100.0)] if places.cache_cluster else []),
        ):
            yield _aws("cache", resource, unit, ELASTICACHE, name, ("CacheClusterId", node), limit)


def _aws(
    tier: Tier, resource: str, unit: str, space: str, name: str, by: tuple[str, str], limit: float | None
) -> Wanted:
    periods = (SECONDS, MINUTE)
    return Wanted(tier, resource, unit, space, name, by, "Average", limit, who=by[1], periods=periods)


def _app(by: tuple[str, str]) -> Iterator[Wanted]:
    # How many machines there are: each tells its CPU once in a period.
    yield Wanted("app", "machines", "count", OWN, "CPU", by, "SampleCount")
    yield Wanted("app", "cpu", "percent", OWN, "CPU", by, "Average", 100)
    yield Wanted("app", "cpu steal", "percent", OWN, "CPUSteal", by, "Average", optional=True)
    yield Wanted("app", "memory", "percent", OWN, "Memory", by, "Maximum", 100)
    yield Wanted("app", "workers", "count", OWN, "Workers", by, "Sum")
    yield Wanted("app", "restarts", "count", OWN, "WorkerRestarts", by, "Sum", optional=True)
    yield Wanted("app", "worker cpu", "percent", OWN, "WorkerCPU", by, "Maximum", 100)
    yield Wanted("app", "worker cpu average", "percent", OWN, "WorkerCPU", by, "Average", 100)
    yield Wanted("app", "garbage collection", "percent", OWN, "GarbageCollection", by, "Maximum", 100)
    yield Wanted("app", "event loop lag", "milliseconds", OWN, "EventLoopLag", by, "Maximum")
    yield Wanted("app", "requests in flight", "count", OWN, "RequestsInFlight", by, "Sum")


def _services(by: tuple[str, str]) -> Iterator[Wanted]:
    """What the app servers measured of the database and of the cache."""
    yield Wanted("database", "round trip", "milliseconds", OWN, "DatabaseRoundTrip", by, "Average")
    yield Wanted("database", "connections", "percent", OWN, "DatabaseConnectionsUsed", by, "Maximum", 100)
    yield Wanted("database", "pool", "count", OWN, "DatabaseSessions", by, "Sum")
    yield Wanted("database", "pool in use", "count", OWN, "DatabaseBusy", by, "Sum")
    # PgBouncer's, where that is; the two above are then its own connections.
    yield Wanted("database", "clients", "count", OWN, "DatabasePoolClients", by, "Sum", optional=True)
    yield Wanted("database", "clients waiting", "count", OWN, "DatabasePoolWaiting", by, "Sum", optional=True)
    yield Wanted("database", "waiting for locks", "count", OWN, "DatabaseWaiting", by, "Average")
    yield Wanted("cache", "round trip", "milliseconds", OWN, "CacheRoundTrip", by, "Average")
    yield Wanted("cache", "hit rate", "percent", OWN, "CacheHitRate", by, "Average", optional=True)
    yield Wanted("cache", "memory", "percent", OWN, "CacheMemory", by, "Maximum", 100, optional=True)
    # Each app server tells what the whole node did.
    yield Wanted("cache", "operations", "count/second", OWN, "CacheCommands", by, "Maximum", per_second=True)
    yield Wanted("cache", "evictions", "count/second", OWN, "CacheEvictions", by, "Maximum", per_second=True)


def _edge(by: tuple[str, str]) -> Iterator[Wanted]:
    yield Wanted("edge", "cpu", "percent", OWN, "CPU", by, "Average", 100)
    yield Wanted("edge", "cpu steal", "percent", OWN, "CPUSteal", by, "Average", optional=True)
    yield Wanted("edge", "requests", "count/second", OWN, "Requests", by, "Sum", per_second=True)
    yield Wanted("edge", "errors of its own", "count/second", OWN, "EdgeErrors", by, "Sum", per_second=True)
    yield Wanted("edge", "connections", "percent", OWN, "ConnectionsUsed", by, "Maximum", 100)
    yield Wanted("edge", "dropped connections", "count/second", OWN, "ConnectionsDropped", by, "Sum", per_second=True)
    yield Wanted("edge", "servers", "count", OWN, "Servers", by, "Minimum")
