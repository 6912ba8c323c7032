"""What ElastiCache changes while clients are connected: which node is the primary, and which tokens are good.

Both are asked for at once, done where Redis runs, and true when the lab says that they are done: a primary's name
leads to the new node only when that takes writes. Clients keep their connections: one to a node that was demoted gets
READONLY. What came of it is told as an event, and in cluster mode nowhere else.

Sources: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_TestFailover.html,
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.elasticache import models, responses
from moto.elasticache.exceptions import InvalidParameterCombinationException

from lab.api.elasticache import groups, members
from lab.api.patching import add, around

STRATEGIES = ("ROTATE", "SET")
SOURCE = "replication-group"
EVENTS_MINUTES = 60
"""How far back is told, unless it is said."""


class GroupStateError(ServiceException):
    """ElastiCache does one thing after the other."""

    code = "InvalidReplicationGroupState"


class NodeGroupNotFoundError(ServiceException):
    """A replication group has no such shard."""

    code = "NodeGroupNotFoundFault"


def install() -> None:
    """Change moto's ElastiCache. Once a process, before the first request."""
    around(models.ReplicationGroup, "__init__", _create)
    around(responses.ElastiCacheResponse, "modify_replication_group", _modify)
    add(responses.ElastiCacheResponse, "test_failover", _test_failover)
    add(responses.ElastiCacheResponse, "describe_events", _describe_events)


def tokens(identifier: str) -> dict[str, Any] | None:
    """The tokens that are good, oldest first, and what the group's own nodes know each other by."""
    for group in groups():
        if group.replication_group_id == identifier:
            return {"tokens": group.auth_tokens, "replication": group.replication_secret}
    return None


def begin_failover(identifier: str, node: str) -> bool:
    """The primary is gone, and `node` takes over. Whether it is a replica of a group that fails over by itself."""
    for group in groups():
        if group.replication_group_id != identifier or group.automatic_failover != "enabled" or group.next_primary:
            continue
        if any(node in _replicas(shard) for shard in group.node_groups):
            group.next_primary = node
            group.status = "modifying"
            return True
    return False


def finish_failover(identifier: str, node: str) -> bool:
    """`node` takes writes now. Whether that is what the group waits for."""
    for group in groups():
        if group.replication_group_id == identifier and group.next_primary == node:
            shard = next(shard for shard, member in members(group) if member["cache_cluster_id"] == node)
            _tell(group, f"Failover from primary node {shard['primary']} to replica node {node} completed")
            shard["primary"] = node
            for member in shard["node_group_members"]:
                # In cluster mode ElastiCache tells no roles: a client asks the cluster.
                if "current_role" in member:
                    member["current_role"] = "primary" if member["cache_cluster_id"] == node else "replica"
            group.next_primary = None
            settle(group)
            return True
    return False


def finish_tokens(identifier: str, version: str) -> bool:
    """Every node takes the tokens of `version`. Whether those are still the ones that are good."""
    for group in groups():
        if group.replication_group_id == identifier and str(group.tokens_version) == version:
            group.tokens_known = group.tokens_version
            settle(group)
            return True
    return False


def settle(group: Any) -> None:
    """It is available when nothing that was begun is still to be done."""
    known = group.tokens_known == group.tokens_version and group.shape_known == group.shape_version
    if group.next_primary is None and known:
        group.status = "available"


def _create(original: Any, group: Any, *args: Any, **kwargs: Any) -> None:
    original(group, *args, **kwargs)
    token = kwargs.get("auth_token")
    group.auth_tokens = [token] if token else []
    group.tokens_version = group.tokens_known = 1
    group.replication_secret = secrets.token_urlsafe(24)
    group.next_primary = None
    group.events = []


def _modify(original: Any, response: Any) -> Any:
    group, token = _group(response), response._get_param("AuthToken")
    strategy = response._get_param("AuthTokenUpdateStrategy") or "ROTATE"
    if token and strategy not in STRATEGIES:
        raise InvalidParameterCombinationException(
            f"The lab knows the strategies {' and '.join(STRATEGIES)}, and not {strategy}."
        )
    answer = original(response)
    if token:
        # ROTATE: the latest two are good. SET: the given one alone.
        group.auth_tokens = [token] if strategy == "SET" else [*group.auth_tokens, token][-2:]
        group.tokens_version += 1
        group.auth_token_last_modified_date = datetime.now(UTC)
        group.status = "modifying"
    return answer


def _test_failover(response: Any) -> Any:
    group, wanted = _group(response), response._get_param("NodeGroupId")
    shard = next((each for each in group.node_groups if each["node_group_id"] == wanted), None)
    if shard is None:
        raise NodeGroupNotFoundError(f"Node group {wanted} not found.")
    replicas = _replicas(shard)
    if group.automatic_failover != "enabled" or not replicas:
        raise InvalidParameterCombinationException(
            f"Replication group {group.replication_group_id} has no automatic failover, or no replica."
        )
    check_available(group)
    _tell(group, f"Test Failover API called for node group {wanted}")
    group.next_primary = replicas[0]
    group.status = "modifying"
    return ActionResult({"ReplicationGroup": group})


def _tell(group: Any, message: str) -> None:
    group.events.append(
        {
            "SourceIdentifier": group.replication_group_id,
            "SourceType": SOURCE,
            "Message": message,
            "Date": datetime.now(UTC),
        }
    )


def _describe_events(response: Any) -> Any:
    """What the lab tells of: failovers. Not the events of ElastiCache's other things.

    https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_DescribeEvents.html
    """
    minutes = response._get_int_param("Duration") or EVENTS_MINUTES
    since = datetime.now(UTC) - timedelta(minutes=minutes)
    name, kind = response._get_param("SourceIdentifier"), response._get_param("SourceType") or SOURCE
    told = [
        event
        for group in response.elasticache_backend.replication_groups.values()
        for event in group.events
        if kind == SOURCE and name in (None, group.replication_group_id) and event["Date"] >= since
    ]
    return ActionResult({"Events": told})


def check_available(group: Any) -> None:
    """Refuse to begin something while something else is under way."""
    if group.status != "available":
        raise GroupStateError(f"Replication group {group.replication_group_id} is not available; it is {group.status}.")


def _replicas(shard: dict[str, Any]) -> list[str]:
    nodes = [member["cache_cluster_id"] for member in shard["node_group_members"]]
    return [node for node in nodes if node != shard["primary"]]


def _group(response: Any) -> Any:
    return response.elasticache_backend.describe_replication_groups(response._get_param("ReplicationGroupId"))[0]
