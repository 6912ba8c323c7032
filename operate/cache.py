"""The stack's cache as ElastiCache and CloudWatch have it: its nodes and how they are, and a failover to try it."""

import re
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
_PRIMARY: Final = "IsMaster"
"""1 of a primary: of a cluster, ElastiCache's API has no roles.
https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_NodeGroupMember.html"""
_EVENTS_MINUTES: Final = 60
"""Of ElastiCache's events, in which it says that a shard of a cluster has another primary."""
_FAILED_OVER: Final = re.compile(r"Failover from (?:primary|master) node (\S+) to replica node (\S+) completed")
"""https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_TestFailover.html"""

_ROLES: Final[Mapping[float | None, str]] = {1.0: "primary", 0.0: "replica"}

Listener = Callable[[str], None]


class CacheError(Exception):
    """It can't be done; the message says why, and how to mend it."""


class ShardError(CacheError):
    """It isn't said which shard is meant, or there is none of that name."""


@dataclass(frozen=True)
class Node:
    """One member of the cache. What CloudWatch has not told in the last minutes is None."""

    id: str
    shard: str
    role: str
    """primary or replica. Of a cluster, as the nodes told CloudWatch last; empty until they do."""
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
    """The primary's; of a cluster, the configuration endpoint."""
    cluster: bool
    slots: Mapping[str, str]
    """Of a cluster, which hash slots each shard has."""
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
    """Until the primary's name led to the new node; of a cluster, until ElastiCache said that it is the primary."""
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
    cluster = bool(group.get("ClusterEnabled"))
    metrics = {**_METRICS, _PRIMARY: "Maximum"} if cluster else _METRICS
    values = measured.ask(stack, ELASTICACHE, "CacheClusterId", list(clusters), metrics)
    first = next(iter(clusters.values()), {})
    parameters = first.get("CacheParameterGroup", {})
    return Status(
        id=identifier,
        engine=first.get("Engine", "redis"),
        version=first.get("EngineVersion", ""),
        node_type=group.get("CacheNodeType", ""),
        status=group["Status"],
        endpoint=_endpoint(group if cluster else group["NodeGroups"][0]),
        cluster=cluster,
        slots={each["NodeGroupId"]: each.get("Slots", "") for each in group["NodeGroups"]} if cluster else {},
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
    named: str | None = None,
    listener: Listener = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
    resolve: Callable[[str], str | None] | None = None,
) -> Failover:
    """Have ElastiCache make a replica the primary, and wait until clients are led to it and nothing is under way.

    `named` is the shard's id, without which there may be one alone: else ShardError. ElastiCache chooses the replica.
    CacheError when it can't be, or takes too long; botocore's errors.
    """
    group = replication(stack)
    identifier, shard = group["ReplicationGroupId"], _shard(group, named)
    cluster = bool(group.get("ClusterEnabled"))
    former = _primary(shard)
    if len(shard["NodeGroupMembers"]) < 2 or (former is None and not cluster):
        raise CacheError(f"{identifier} has no replica to take over: set expressway:cache.replicas, and run pulumi up")
    if group["AutomaticFailover"] != "enabled":
        raise CacheError(f"{identifier} has no automatic failover (it is {group['AutomaticFailover']}): run pulumi up")
    if group["Status"] != "available":
        raise CacheError(f"{identifier} is {group['Status']}: wait until it is available")
    watched = _Watched(stack, identifier, shard) if former is None else None
    began = time.monotonic()
    stack.client("elasticache").test_failover(ReplicationGroupId=identifier, NodeGroupId=shard["NodeGroupId"])
    who = former or f"the primary of shard {shard['NodeGroupId']}"
    listener(f"{identifier}: {who} gives up being the primary")
    changed: float | None = None
    primary = former
    while (passed := time.monotonic() - began) < FAILOVER_SECONDS:
        group = asked_again(stack, group)
        shard = _shard(group, shard["NodeGroupId"])
        if changed is None:
            if watched:
                former, primary = watched.look()
            else:
                primary = _primary(shard) or former
            if former and primary and primary != former and _leads(shard, primary, resolve or _resolve):
                changed = passed
                listener(f"{identifier}: {primary} is the primary, after {changed:.0f} s")
        if changed is not None and former and primary and group["Status"] == "available":
            return Failover(shard["NodeGroupId"], former, primary, round(changed, 1), round(passed, 1))
        pause(POLL_SECONDS)
    same = f"{former} is still the primary" if former else f"shard {shard['NodeGroupId']} has no other primary"
    what = same if changed is None else f"{identifier} is still {group['Status']}"
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


def _shard(group: Any, named: str | None) -> Any:
    """The shard of that id; the only one, without. ShardError."""
    shards = {each["NodeGroupId"]: each for each in group["NodeGroups"]}
    if named is None and len(shards) == 1:
        named = next(iter(shards))
    if named in shards:
        return shards[named]
    told = ", ".join(sorted(shards))
    if named is None:
        raise ShardError(f"{group['ReplicationGroupId']} has the shards {told}: say which one by --shard")
    raise ShardError(f"{group['ReplicationGroupId']} has no shard {named}: there are {told}")


class _Watched:
    """A shard of a cluster whose primary is about to become another node: only ElastiCache's events tell which."""

    def __init__(self, stack: Stack, group: str, shard: Any) -> None:
        """Whatever is told by now was another failover."""
        self._client, self._group = stack.client("elasticache"), group
        self._members = {each["CacheClusterId"] for each in shard["NodeGroupMembers"]}
        self._known = set(self._told())

    def look(self) -> tuple[str | None, str | None]:
        """The former primary and the new one; None before they are told."""
        try:
            told = [each for each in self._told() if each not in self._known]
        except (ClientError, BotoCoreError) as error:
            if lasting(error):
                raise
            told = []
        return told[-1][1:] if told else (None, None)

    def _told(self) -> list[tuple[Any, str, str]]:
        pages = self._client.get_paginator("describe_events").paginate(
            SourceIdentifier=self._group, SourceType="replication-group", Duration=_EVENTS_MINUTES
        )
        events = [each for page in pages for each in page["Events"]]
        found = [
            (each["Date"], match[1], match[2]) for each in events if (match := _FAILED_OVER.search(each["Message"]))
        ]
        return sorted(each for each in found if each[2] in self._members)


def _primary(shard: Mapping[str, Any]) -> str | None:
    return next(
        (each["CacheClusterId"] for each in shard["NodeGroupMembers"] if each.get("CurrentRole") == "primary"), None
    )


def _endpoint(found: Mapping[str, Any]) -> str:
    """A cluster's, or a shard's."""
    return (found.get("ConfigurationEndpoint") or found.get("PrimaryEndpoint") or {}).get("Address", "")


def _leads(shard: Mapping[str, Any], primary: str, resolve: Callable[[str], str | None]) -> bool:
    """Whether the primary's name leads to it. From where such names aren't resolved, ElastiCache's word counts.

    So it does of a cluster, which has no such name: its nodes tell clients where a key is.
    """
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
            role = member.get("CurrentRole") or _ROLES.get(measured.newest(values, _PRIMARY), "")
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
