"""The stack's cache as ElastiCache and CloudWatch have it: its nodes and how they are, and a failover to try it."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operate import measured
from operate.load.metrics import ELASTICACHE, replication_group
from operate.stack import Stack, lasting

FAILOVER_SECONDS: Final = 900.0
"""In which a failover and what ElastiCache does after it are over; it takes minutes."""
POLL_SECONDS: Final = 1.0
_METRICS: Final = {
    "DatabaseMemoryUsagePercentage": "Average",
    "EngineCPUUtilization": "Average",
    "CurrConnections": "Average",
    "ReplicationLag": "Maximum",
    "CacheHits": "Sum",
    "CacheMisses": "Sum",
    "Evictions": "Sum",
}
"""ElastiCache's, by node, and their statistic.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.Redis.html"""

Listener = Callable[[str], None]


class CacheError(Exception):
    """It can't be done; the message says why, and how to mend it."""


@dataclass(frozen=True)
class Node:
    """One member of the cache. What CloudWatch has not told in the last minutes is None."""

    id: str
    shard: str
    role: str
    """primary or replica."""
    zone: str
    status: str
    memory: float | None = None
    """Percent of what it has for data."""
    cpu: float | None = None
    """Percent of the one CPU that runs commands."""
    connections: int | None = None
    hit_rate: float | None = None
    """Percent of the keys that were asked for in the last minutes; None where none was."""
    evictions: int | None = None
    """Keys that had to go in the last minutes."""
    lag: float | None = None
    """Seconds that a replica is behind."""


@dataclass(frozen=True)
class Status:
    """A cache at one moment."""

    id: str
    engine: str
    version: str
    node_type: str
    status: str
    endpoint: str
    failover: bool
    """Whether ElastiCache makes a replica the primary by itself."""
    multi_az: bool
    parameter_group: str
    parameters: str
    """in-sync, or what ElastiCache is at."""
    snapshot_days: int
    snapshot_window: str
    maintenance_window: str
    pending: Mapping[str, Any]
    """Changes that wait, as ElastiCache names them."""
    nodes: tuple[Node, ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True)
class Failover:
    """One that is over."""

    shard: str
    former: str
    primary: str
    seconds: float
    """Until the primary's name led to the new node."""
    settled_seconds: float
    """Until ElastiCache was through with it."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def look(stack: Stack) -> Status:
    """How the cache is. CacheError without one; botocore's errors."""
    elasticache, group = stack.client("elasticache"), replication(stack)
    identifier = group["ReplicationGroupId"]
    clusters = {
        each["CacheClusterId"]: each
        for page in elasticache.get_paginator("describe_cache_clusters").paginate()
        for each in page["CacheClusters"]
        if each.get("ReplicationGroupId") == identifier
    }
    values = measured.ask(stack, ELASTICACHE, "CacheClusterId", list(clusters), _METRICS)
    first = next(iter(clusters.values()), {})
    parameters = first.get("CacheParameterGroup", {})
    return Status(
        id=identifier,
        engine=first.get("Engine", "redis"),
        version=first.get("EngineVersion", ""),
        node_type=group.get("CacheNodeType", ""),
        status=group["Status"],
        endpoint=_endpoint(group["NodeGroups"][0]),
        failover=group["AutomaticFailover"] in ("enabled", "enabling"),
        multi_az=group.get("MultiAZ") == "enabled",
        parameter_group=parameters.get("CacheParameterGroupName", ""),
        parameters=parameters.get("ParameterApplyStatus", ""),
        snapshot_days=group.get("SnapshotRetentionLimit", 0),
        snapshot_window=group.get("SnapshotWindow", ""),
        maintenance_window=first.get("PreferredMaintenanceWindow", ""),
        pending=_pending(group.get("PendingModifiedValues", {})),
        nodes=tuple(_nodes(group, clusters, values)),
    )


def failover(
    stack: Stack,
    listener: Listener = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
    resolve: Callable[[str], str | None] | None = None,
) -> Failover:
    """Have ElastiCache make a replica the primary, and wait until clients are led to it and nothing is under way.

    ElastiCache chooses the replica. CacheError when it can't be, or takes too long; botocore's errors.
    """
    group = replication(stack)
    identifier, shard = group["ReplicationGroupId"], group["NodeGroups"][0]
    former = _primary(shard)
    if former is None or len(shard["NodeGroupMembers"]) < 2:
        raise CacheError(f"{identifier} has no replica to take over: set expressway:cache.replicas, and run pulumi up")
    if group["AutomaticFailover"] != "enabled":
        raise CacheError(f"{identifier} has no automatic failover (it is {group['AutomaticFailover']}): run pulumi up")
    if group["Status"] != "available":
        raise CacheError(f"{identifier} is {group['Status']}: wait until it is available")
    began = time.monotonic()
    stack.client("elasticache").test_failover(ReplicationGroupId=identifier, NodeGroupId=shard["NodeGroupId"])
    listener(f"{identifier}: {former} gives up being the primary")
    changed: float | None = None
    primary = former
    while (passed := time.monotonic() - began) < FAILOVER_SECONDS:
        group = asked_again(stack, group)
        primary = _primary(group["NodeGroups"][0]) or former
        if changed is None and primary != former and _leads(group["NodeGroups"][0], primary, resolve or _resolve):
            changed = passed
            listener(f"{identifier}: {primary} is the primary, after {changed:.0f} s")
        if changed is not None and group["Status"] == "available":
            return Failover(shard["NodeGroupId"], former, primary, round(changed, 1), round(passed, 1))
        pause(POLL_SECONDS)
    what = f"{former} is still the primary" if changed is None else f"{identifier} is still {group['Status']}"
    raise CacheError(f"{what} after {FAILOVER_SECONDS:.0f} s: aws elasticache describe-events says what happened")


def replication(stack: Stack) -> Any:
    """The cache as ElastiCache describes it. CacheError without one."""
    identifier = replication_group(str(stack.outputs.get("cacheEndpoint") or "").partition(":")[0])
    if identifier is None:
        raise CacheError("the stack's outputs name no cache")
    elasticache = stack.client("elasticache")
    try:
        return elasticache.describe_replication_groups(ReplicationGroupId=identifier)["ReplicationGroups"][0]
    except elasticache.exceptions.ReplicationGroupNotFoundFault:
        raise CacheError(f"there is no replication group {identifier} in {stack.region}") from None


def asked_again(stack: Stack, group: Any) -> Any:
    """The group as it is now, or as it was where AWS doesn't say."""
    try:
        return replication(stack)
    except (ClientError, BotoCoreError) as error:
        if lasting(error):
            raise
        return group


def _primary(shard: Mapping[str, Any]) -> str | None:
    return next(
        (each["CacheClusterId"] for each in shard["NodeGroupMembers"] if each.get("CurrentRole") == "primary"), None
    )


def _endpoint(shard: Mapping[str, Any]) -> str:
    return shard.get("PrimaryEndpoint", {}).get("Address", "")


def _leads(shard: Mapping[str, Any], primary: str, resolve: Callable[[str], str | None]) -> bool:
    """Whether the primary's name leads to it. From where such names aren't resolved, ElastiCache's word counts."""
    own = next(
        (
            each.get("ReadEndpoint", {}).get("Address", "")
            for each in shard["NodeGroupMembers"]
            if each["CacheClusterId"] == primary
        ),
        "",
    )
    led, node = resolve(_endpoint(shard)), resolve(own)
    return led is None or node is None or led == node


def _resolve(name: str) -> str | None:
    try:
        return socket.gethostbyname(name) if name else None
    except OSError:
        return None


def _nodes(group: Any, clusters: Mapping[str, Any], told: Mapping[str, measured.Values]) -> list[Node]:
    found: list[Node] = []
    for shard in group["NodeGroups"]:
        for member in shard["NodeGroupMembers"]:
            identifier = member["CacheClusterId"]
            values = told.get(identifier, {})
            role = member.get("CurrentRole", "")
            hits, misses = sum(values.get("CacheHits", [])), sum(values.get("CacheMisses", []))
            connections = measured.newest(values, "CurrConnections")
            found.append(
                Node(
                    id=identifier,
                    shard=shard["NodeGroupId"],
                    role=role,
                    zone=member.get("PreferredAvailabilityZone", ""),
                    status=clusters.get(identifier, {}).get("CacheClusterStatus", ""),
                    memory=measured.newest(values, "DatabaseMemoryUsagePercentage"),
                    cpu=measured.newest(values, "EngineCPUUtilization"),
                    connections=None if connections is None else round(connections),
                    hit_rate=round(100 * hits / (hits + misses), 1) if hits + misses else None,
                    evictions=round(sum(values["Evictions"])) if values.get("Evictions") else None,
                    lag=measured.newest(values, "ReplicationLag") if role == "replica" else None,
                )
            )
    return found


def _pending(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what AWS says of nothing."""
    return {name: value for name, value in values.items() if value not in (None, [], {}, "")}
