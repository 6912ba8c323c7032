"""ElastiCache as AWS has it: parameter groups, member nodes with private addresses, a status that changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.elasticache import models, responses

from lab.api import elasticache_parameters, hash_slots
from lab.api import elasticache_rules as rules
from lab.api.catalogue import REDIS, RESERVED_PERCENT, memory, node_memory, vcpus
from lab.api.ec2 import private_interface
from lab.api.patching import add, around

SNAPSHOT_WINDOW, MAINTENANCE_WINDOW = "05:00-06:00", "sun:23:00-mon:00:30"
"""What the lab chooses where AWS would choose."""


class ParameterGroupExistsError(ServiceException):
    """The name is taken."""

    code = "CacheParameterGroupAlreadyExists"


class ParameterGroupNotFoundError(ServiceException):
    """There is no such group."""

    code = "CacheParameterGroupNotFound"


class ParameterGroupInUseError(ServiceException):
    """A replication group has the parameter group."""

    code = "InvalidCacheParameterGroupState"


@dataclass(frozen=True)
class Node:
    """One member of a replication group; `role` is primary or replica."""

    id: str
    role: str
    endpoint: str
    address: str
    subnet: str
    shard: str = "0001"


@dataclass(frozen=True)
class Shard:
    """A shard of a replication group in cluster mode: the slots that it has, and those that it is to have."""

    id: str
    slots: str
    wanted: str
    """Empty when the shard is to go."""


@dataclass(frozen=True)
class CacheMachine:
    """What has to run behind a replication group's endpoints."""

    id: str
    status: str
    engine_version: str | None
    endpoint: str
    """The primary's; in cluster mode the one that leads to all nodes."""
    reader_endpoint: str | None
    """None in cluster mode."""
    address: str
    port: int
    subnet: str
    security_groups: tuple[str, ...]
    transit_encryption: bool
    auth_token: bool
    nodes: tuple[Node, ...]
    parameters: dict[str, str]
    memory: int | None = None
    """Bytes that each node has for data; None where the lab does not know."""
    machine_memory: int | None = None
    """Bytes that each node's machine has, by its type."""
    next_primary: str | None = None
    """The node that a failover under way makes the primary."""
    tokens_version: int = 1
    tokens_known: int = 1
    """The version of the tokens that the nodes take; smaller while they have to be told."""
    vcpus: int = 2
    """Of each node's type."""
    automatic_failover: bool = False
    parameters_version: str = ""
    """Of `parameters`, which differs when they do."""
    parameters_known: str = ""
    """The version that the nodes have; another one while they have to be told."""
    cluster: bool = False
    """Whether it is in cluster mode."""
    shards: tuple[Shard, ...] = ()
    """In cluster mode."""
    shape_version: int = 1
    shape_known: int = 1
    """The version of nodes and slots that the cluster has; smaller while it has to be changed."""


def install() -> None:
    """Change moto's ElastiCache. Once a process, before the first request."""
    around(models.ReplicationGroup, "__init__", _create)
    around(models.ReplicationGroup, "_set_node_members_clusters_disabled", _count_members)
    around(models.ElastiCacheBackend, "delete_replication_group", _delete)
    for name, action in (
        ("create_cache_parameter_group", _create_parameters),
        ("modify_cache_parameter_group", _modify_parameters),
        ("describe_cache_parameter_groups", _describe_parameter_groups),
        ("describe_cache_parameters", _describe_parameters),
        ("delete_cache_parameter_group", _delete_parameters),
    ):
        add(responses.ElastiCacheResponse, name, action)


def machines() -> list[CacheMachine]:
    """Every replication group of every account and region."""
    return [_machine(backend, group) for backend in _backends() for group in backend.replication_groups.values()]


def set_status(identifier: str, status: str) -> bool:
    """What runs behind the endpoint says how it is; returns whether there is such a group."""
    for backend in _backends():
        if identifier in backend.replication_groups:
            backend.replication_groups[identifier].status = status
            return True
    return False


def finish_parameters(identifier: str, version: str) -> bool:
    """Every node has the parameters of `version`. Whether there is such a group, and they are still the ones wanted."""
    for backend in _backends():
        if group := backend.replication_groups.get(identifier):
            return elasticache_parameters.finish(group, parameter_values(backend, group), version)
    return False


def auth_token(identifier: str) -> str | None:
    """The token that clients authenticate with; None when there is no such group, or it has none."""
    for backend in _backends():
        if identifier in backend.replication_groups:
            return backend.replication_groups[identifier].auth_token
    return None


def groups() -> list[Any]:
    """Every replication group of every account and region, as moto has them."""
    return [group for backend in _backends() for group in backend.replication_groups.values()]


def _backends() -> list[Any]:
    return [backend for account in models.elasticache_backends.values() for backend in account.values()]


def _create(original: Any, group: Any, *args: Any, **kwargs: Any) -> None:
    version, engine = kwargs.get("engine_version"), kwargs.get("engine") or "redis"
    if version is not None:
        rules.check_version(engine, version)
    rules.check_node_type(kwargs.get("cache_node_type"))
    rules.check_token(kwargs.get("auth_token"), rules.truth(kwargs.get("transit_encryption_enabled")))
    failover, multi_az = (rules.truth(kwargs.get(key)) for key in ("automatic_failover_enabled", "multi_az_enabled"))
    backend = models.elasticache_backends[kwargs["account_id"]][kwargs["region_name"]]
    parameters = kwargs.get("cache_parameter_group_name")
    cluster = in_cluster_mode(backend, parameters, kwargs.get("cluster_mode"))
    replicas = kwargs.get("replicas_per_node_group")
    rules.check_shards(cluster, kwargs.get("num_node_groups") or 1, replicas or 0)
    if cluster:
        kwargs["cluster_mode"] = "enabled"
        rules.check_cluster_failover(failover, multi_az, replicas or 0)
    else:
        rules.check_failover(failover, multi_az, kwargs.get("num_cache_clusters") or (replicas or 0) + 1)
    if parameters and (known := parameter_groups(backend).get(parameters)):
        rules.check_family(known["CacheParameterGroupFamily"], engine, version or REDIS[engine][-1])
    snapshots = kwargs.get("snapshot_window") or SNAPSHOT_WINDOW
    maintenance = kwargs.get("preferred_maintenance_window") or MAINTENANCE_WINDOW
    rules.check_windows(snapshots, maintenance)
    original(group, *args, **kwargs)
    group.status = "creating"
    group.snapshot_window, group.preferred_maintenance_window = snapshots, maintenance
    group.parameters_known = elasticache_parameters.version_of(parameter_values(backend, group))
    group.engine_version = version or REDIS[engine][-1]
    group.auto_minor_version_upgrade = kwargs.get("auto_minor_version_upgrade") in (None, True, "true")
    # Kept for the machine; no shape of the API has it, so no answer shows it. So are the primary and the interfaces.
    group.auth_token = kwargs.get("auth_token")
    # A cluster has to be made of its nodes; one primary and its replicas are one from the start.
    group.shape_version, group.shape_known = 1, 0 if cluster else 1
    slots = hash_slots.share([shard["node_group_id"] for shard in group.node_groups])
    for shard in group.node_groups:
        shard["primary"] = shard["node_group_members"][0]["cache_cluster_id"]
        if cluster:
            shard["slots"] = shard["wanted"] = hash_slots.show(slots[shard["node_group_id"]])
    for shard, member in members(group):
        place(kwargs["account_id"], kwargs["region_name"], group, shard, member)


def in_cluster_mode(backend: Any, parameter_group: str | None, mode: str | None = None) -> bool:
    """Whether a replication group with these parameters is; `mode` is asked for beside them."""
    if parameter_group and (known := parameter_groups(backend).get(parameter_group)):
        return known["values"].get("cluster-enabled") == "yes"
    return mode == "enabled" or (parameter_group or "").endswith(".cluster.on")


def members(group: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each node of a replication group, after its shard."""
    for shard in group.node_groups:
        for member in shard["node_group_members"]:
            yield shard, member


def domain(group: Any) -> str:
    """What the names of all endpoints of a replication group end with."""
    if group.cluster_enabled:
        return group.configuration_endpoint["address"].removeprefix("clustercfg.")
    return group.node_groups[0]["primary_endpoint_address"].removeprefix("master.")


def place(account: str, region: str, group: Any, shard: dict[str, Any], member: dict[str, Any]) -> None:
    """Give a member its interface. Those of a shard spread over the group's zones, and so do the primaries."""
    subnets = models.elasticache_backends[account][region].describe_cache_subnet_groups(group.cache_subnet_group_name)
    index = group.node_groups.index(shard) + shard["node_group_members"].index(member)
    subnet = subnets[0].subnets[index % len(subnets[0].subnets)]
    interface = private_interface(
        ec2_backends[account][region],
        subnet["subnet_identifier"],
        group.security_group_ids,
        f"ElastiCache {member['cache_cluster_id']}",
    )
    member["interface"] = interface
    member["preferred_availability_zone"] = interface.availability_zone


def _count_members(original: Any, group: Any, **kwargs: Any) -> None:
    # moto looks at the replicas of a node group only, and not at the number of cache clusters.
    replicas = kwargs["replicas_per_node_group"] or kwargs["num_cache_clusters"] - 1
    original(group, **kwargs | {"replicas_per_node_group": replicas})


def _delete(original: Any, backend: Any, replication_group_id: str, *args: Any, **kwargs: Any) -> Any:
    group = original(backend, replication_group_id, *args, **kwargs)
    for _, member in members(group):
        member["interface"].delete()
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    return backend.replication_groups.pop(replication_group_id)  # moto keeps it, deleting for ever


def _machine(backend: Any, group: Any) -> CacheMachine:
    shard, cluster = group.node_groups[0], group.cluster_enabled
    nodes = tuple(_node(group, *each) for each in members(group))
    parameters = parameter_values(backend, group)
    primary = next(node for node in nodes if node.role == "primary")
    return CacheMachine(
        id=group.replication_group_id,
        status=group.status,
        engine_version=group.engine_version,
        endpoint=group.configuration_endpoint["address"] if cluster else shard["primary_endpoint_address"],
        reader_endpoint=None if cluster else shard["reader_endpoint_address"],
        address=primary.address,
        port=int(group.port),
        subnet=primary.subnet,
        security_groups=tuple(group.security_group_ids or ()),
        transit_encryption=bool(group.transit_encryption_enabled),
        auth_token=bool(group.auth_token),
        nodes=nodes,
        parameters=parameters,
        memory=node_memory(group.cache_node_type, parameters.get("reserved-memory-percent", RESERVED_PERCENT)),
        machine_memory=memory(group.cache_node_type),
        next_primary=group.next_primary,
        tokens_version=group.tokens_version,
        tokens_known=group.tokens_known,
        vcpus=vcpus(group.cache_node_type),
        automatic_failover=group.automatic_failover == "enabled",
        parameters_version=elasticache_parameters.version_of(parameters),
        parameters_known=group.parameters_known,
        cluster=cluster,
        shards=tuple(Shard(one["node_group_id"], one["slots"], one["wanted"]) for one in group.node_groups)
        if cluster
        else (),
        shape_version=group.shape_version,
        shape_known=group.shape_known,
    )


def _node(group: Any, shard: dict[str, Any], member: dict[str, Any]) -> Node:
    name, interface = member["cache_cluster_id"], member["interface"]
    return Node(
        name,
        "primary" if name == shard["primary"] else "replica",
        f"{name}.{domain(group)}",
        interface.private_ip_address,
        interface.subnet.id,
        shard["node_group_id"],
    )


def parameter_groups(backend: Any) -> dict[str, Any]:
    """By name."""
    if not hasattr(backend, "parameter_groups"):
        backend.parameter_groups = {}
    return backend.parameter_groups


def parameter_values(backend: Any, group: Any) -> dict[str, str]:
    """The parameters of a replication group that are not as the family has them."""
    found = parameter_groups(backend).get(group.cache_parameter_group_name)
    return dict(found["values"]) if found else {}


def parameter_group(response: Any) -> dict[str, Any]:
    """The one that a request names."""
    name = response._get_param("CacheParameterGroupName")
    try:
        return parameter_groups(response.elasticache_backend)[name]
    except KeyError:
        raise ParameterGroupNotFoundError(f"CacheParameterGroup {name} not found.") from None


def _create_parameters(response: Any) -> Any:
    groups, name = parameter_groups(response.elasticache_backend), response._get_param("CacheParameterGroupName")
    if name in groups:
        raise ParameterGroupExistsError(f"CacheParameterGroup {name} already exists.")
    backend = response.elasticache_backend
    groups[name] = {
        "CacheParameterGroupName": name,
        "CacheParameterGroupFamily": response._get_param("CacheParameterGroupFamily"),
        "Description": response._get_param("Description"),
        "ARN": f"arn:aws:elasticache:{backend.region_name}:{backend.account_id}:parametergroup:{name}",
        "IsGlobal": False,
        "values": {},
    }
    if tags := response._get_param("Tags", []):
        backend.tagging_service.tag_resource(groups[name]["ARN"], tags)
    return ActionResult({"CacheParameterGroup": groups[name]})


def _modify_parameters(response: Any) -> Any:
    group = parameter_group(response)
    for parameter in response._get_param("ParameterNameValues", []):
        group["values"][parameter["ParameterName"]] = parameter["ParameterValue"]
    return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})


def _describe_parameter_groups(response: Any) -> Any:
    groups = list(parameter_groups(response.elasticache_backend).values())
    wanted = response._get_param("CacheParameterGroupName")
    return ActionResult({"CacheParameterGroups": [parameter_group(response)] if wanted else groups})


def _describe_parameters(response: Any) -> Any:
    values = parameter_group(response)["values"]
    parameters = [
        {"ParameterName": name, "ParameterValue": value, "Source": "user", "DataType": "string", "IsModifiable": True}
        for name, value in values.items()
    ]
    return ActionResult({"Parameters": parameters})


def _delete_parameters(response: Any) -> Any:
    group, backend = parameter_group(response), response.elasticache_backend
    name = group["CacheParameterGroupName"]
    if any(each.cache_parameter_group_name == name for each in backend.replication_groups.values()):
        raise ParameterGroupInUseError(
            f"One or more cache clusters are still members of this parameter group {name}, "
            "so the group cannot be deleted."
        )
    del parameter_groups(backend)[name]
    backend.tagging_service.delete_all_tags_for_resource(group["ARN"])
    return EmptyResult()
