"""How many shards and replicas a replication group has, changed while it serves.

Slots move one after the other where Redis runs; meanwhile the group is `modifying` and says how far it is. Of a shard
that is to go the nodes stay until it has no slot.

Sources: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_IncreaseReplicaCount.html,
API_DecreaseReplicaCount.html, API_ModifyReplicationGroupShardConfiguration.html
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.elasticache import responses
from moto.elasticache.exceptions import InvalidParameterCombinationException, InvalidParameterValueException

from lab.api import elasticache_rules as rules
from lab.api import hash_slots
from lab.api.elasticache import domain, groups, members, place
from lab.api.elasticache_failover import NodeGroupNotFoundError, check_available, settle
from lab.api.patching import add


def install() -> None:
    """Change moto's ElastiCache. Once a process, before the first request."""
    for name, action in (
        ("increase_replica_count", _increase),
        ("decrease_replica_count", _decrease),
        ("modify_replication_group_shard_configuration", _reshard),
    ):
        add(responses.ElastiCacheResponse, name, action)


def record_slots(identifier: str, found: Mapping[str, str]) -> bool:
    """The slots that each shard has by now, by its id. Whether there is such a group in cluster mode."""
    for group in groups():
        if group.replication_group_id == identifier and group.cluster_enabled:
            for shard in group.node_groups:
                shard["slots"] = found.get(shard["node_group_id"], shard["slots"])
            _show_progress(group)
            return True
    return False


def finish(identifier: str, version: str) -> bool:
    """The cluster has the nodes and the slots of `version`. Whether those are still the ones wanted."""
    for group in groups():
        if group.replication_group_id == identifier and str(group.shape_version) == version:
            for shard in [shard for shard in group.node_groups if group.cluster_enabled and not shard["wanted"]]:
                for member in shard["node_group_members"]:
                    member["interface"].delete()
                group.node_groups.remove(shard)
            for shard in group.node_groups:
                shard["status"] = "available"
            _count(group)
            group.shape_known = group.shape_version
            group.pending_modified_values = {}
            settle(group)
            return True
    return False


def _begin(group: Any) -> None:
    """The cluster has to be changed where it runs. Nodes that are no cluster become what they should by themselves."""
    if group.cluster_enabled:
        group.shape_version += 1
        group.status = "modifying"
    _count(group)


def _count(group: Any) -> None:
    group.member_clusters = [member["cache_cluster_id"] for _, member in members(group)]


def _show_progress(group: Any) -> None:
    """Of the slots that change their shard, percents; a resharding that has not begun has none yet."""
    wanted = {slot: shard for shard in group.node_groups for slot in hash_slots.parse(shard["wanted"])}
    there = sum(wanted.get(slot) is shard for shard in group.node_groups for slot in hash_slots.parse(shard["slots"]))
    left = hash_slots.COUNT - there
    group.slots_to_move = max(left, getattr(group, "slots_to_move", 0))
    percent = 100 * (1 - left / group.slots_to_move) if group.slots_to_move else 100.0
    if group.slots_to_move and group.shape_known != group.shape_version:
        group.pending_modified_values = {"resharding": {"slot_migration": {"progress_percentage": round(percent, 1)}}}


def _reshard(response: Any) -> Any:
    group, count = _group(response), response._get_int_param("NodeGroupCount")
    remove, retain = (response._get_param(f"NodeGroupsTo{what}", []) for what in ("Remove", "Retain"))
    if not group.cluster_enabled:
        raise InvalidParameterCombinationException(
            f"Replication group {group.replication_group_id} is not in cluster mode, and has one node group."
        )
    if not response._get_bool_param("ApplyImmediately"):
        raise InvalidParameterValueException("ApplyImmediately must be true: a resharding begins at once.")
    check_available(group)
    known = [shard["node_group_id"] for shard in group.node_groups]
    if count == len(known) or count < 1:
        raise InvalidParameterValueException(f"NodeGroupCount must be another one than the present {len(known)}.")
    if unknown := [each for each in (*remove, *retain) if each not in known]:
        raise NodeGroupNotFoundError(f"Node group {unknown[0]} not found.")
    stay = _staying(known, count, remove, retain)
    while len(stay) < count:
        stay.append(_add_shard(response, group, stay))
    after = hash_slots.spread({one["node_group_id"]: hash_slots.parse(one["slots"]) for one in group.node_groups}, stay)
    for shard in group.node_groups:
        shard["wanted"] = hash_slots.show(after.get(shard["node_group_id"], ()))
        if not shard["wanted"]:
            shard["status"] = "deleting"
    group.slots_to_move = 0
    _begin(group)
    _show_progress(group)
    return ActionResult({"ReplicationGroup": group})


def _staying(known: Sequence[str], count: int, remove: Sequence[str], retain: Sequence[str]) -> list[str]:
    if count > len(known):
        return list(known)
    if bool(remove) == bool(retain):
        raise InvalidParameterCombinationException(
            "Either NodeGroupsToRemove or NodeGroupsToRetain is required when NodeGroupCount is less than the "
            "current number of node groups."
        )
    stay = [each for each in known if (each in retain if retain else each not in remove)]
    if len(stay) != count:
        raise InvalidParameterValueException(f"{len(stay)} node groups would be left, and NodeGroupCount is {count}.")
    return stay


def _add_shard(response: Any, group: Any, known: Sequence[str]) -> str:
    """With as many replicas as the others have."""
    numbers = (f"{number:04}" for number in itertools.count(1))
    shard: dict[str, Any] = {
        "node_group_id": next(each for each in numbers if each not in known),
        "status": "creating",
        "slots": "",
        "wanted": "",
        "node_group_members": [],
    }
    group.node_groups.append(shard)
    for _ in range(max(len(each["node_group_members"]) for each in group.node_groups)):
        _add_member(response, group, shard)
    shard["primary"] = shard["node_group_members"][0]["cache_cluster_id"]
    return shard["node_group_id"]


def _add_member(response: Any, group: Any, shard: dict[str, Any]) -> None:
    prefix = group.replication_group_id + (f"-{shard['node_group_id']}" if group.cluster_enabled else "")
    names = (f"{prefix}-{number:03}" for number in itertools.count(1))
    taken = {member["cache_cluster_id"] for member in shard["node_group_members"]}
    name = next(each for each in names if each not in taken)
    member: dict[str, Any] = {"cache_cluster_id": name, "cache_node_id": shard["node_group_id"]}
    if not group.cluster_enabled:
        member |= {"read_endpoint": {"address": f"{name}.{domain(group)}", "port": group.port}}
        member |= {"current_role": "replica"}
    shard["node_group_members"].append(member)
    place(response.current_account, response.region, group, shard, member)


def _increase(response: Any) -> Any:
    """New members are replicas."""
    group = _group(response)
    counts = _counts(response, group)
    for shard, replicas in counts:
        if replicas < len(shard["node_group_members"]):
            raise InvalidParameterValueException("The new replica count must be greater than the current one.")
        rules.check_replicas(replicas)
    for shard, replicas in counts:
        while len(shard["node_group_members"]) <= replicas:
            _add_member(response, group, shard)
    _begin(group)
    return ActionResult({"ReplicationGroup": group})


def _decrease(response: Any) -> Any:
    """The last replicas go."""
    group = _group(response)
    counts = _counts(response, group)
    for shard, replicas in counts:
        if not 0 <= replicas < len(shard["node_group_members"]) - 1:
            raise InvalidParameterValueException("The new replica count must be less than the current one.")
        if replicas == 0 and group.automatic_failover == "enabled" and not group.cluster_enabled:
            raise InvalidParameterValueException(
                "Must have at least 1 replica when cluster mode is disabled with auto failover enabled."
            )
        if replicas == 0 and group.multi_az == "enabled":
            raise InvalidParameterCombinationException("Multi-AZ needs at least 1 replica in each node group.")
    for shard, replicas in counts:
        nodes = shard["node_group_members"]
        while len(nodes) > replicas + 1:
            last = max(index for index, node in enumerate(nodes) if node["cache_cluster_id"] != shard["primary"])
            nodes.pop(last)["interface"].delete()
    _begin(group)
    return ActionResult({"ReplicationGroup": group})


def _counts(response: Any, group: Any) -> list[tuple[dict[str, Any], int]]:
    """Shards, and how many replicas each is to have: all the same, or some of them some."""
    if configured := response._get_param("ReplicaConfiguration", []):
        shards = {shard["node_group_id"]: shard for shard in group.node_groups}
        if unknown := [each["NodeGroupId"] for each in configured if each["NodeGroupId"] not in shards]:
            raise NodeGroupNotFoundError(f"Node group {unknown[0]} not found.")
        return [(shards[each["NodeGroupId"]], int(each["NewReplicaCount"])) for each in configured]
    return [(shard, response._get_int_param("NewReplicaCount")) for shard in group.node_groups]


def _group(response: Any) -> Any:
    return response.elasticache_backend.describe_replication_groups(response._get_param("ReplicationGroupId"))[0]
