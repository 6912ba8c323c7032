"""What ElastiCache lets be changed later, of which moto knows little, and what it says of a group's members.

Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html
"""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.elasticache import models, responses
from moto.elasticache.exceptions import InvalidParameterCombinationException

from lab.api import elasticache_parameters
from lab.api import elasticache_rules as rules
from lab.api.catalogue import family
from lab.api.elasticache import (
    ParameterGroupNotFoundError,
    in_cluster_mode,
    members,
    parameter_group,
    parameter_groups,
    parameter_values,
)
from lab.api.patching import add, around

PARAMETER_GROUPS = ":parametergroup:"


class SubnetGroupInUseError(ServiceException):
    """A replication group is in the subnet group."""

    code = "CacheSubnetGroupInUse"


def install() -> None:
    """Change moto's ElastiCache. Once a process, before the first request."""
    around(responses.ElastiCacheResponse, "modify_replication_group", _modify)
    around(models.ElastiCacheBackend, "describe_cache_clusters", _describe_members)
    around(models.ElastiCacheBackend, "list_tags_for_resource", _list_tags)
    for name, action in (
        ("modify_cache_subnet_group", _modify_subnet_group),
        ("delete_cache_subnet_group", _delete_subnet_group),
        ("reset_cache_parameter_group", _reset_parameters),
    ):
        add(responses.ElastiCacheResponse, name, action)


def _modify(original: Any, response: Any) -> Any:
    """At once, whether ApplyImmediately is given or not: the lab has no maintenance window."""
    group, asked = _group(response), response._get_param
    version, encrypted = asked("EngineVersion"), response._get_bool_param("TransitEncryptionEnabled")
    token, parameters = asked("AuthToken"), asked("CacheParameterGroupName")
    failover, multi_az = (response._get_bool_param(name) for name in ("AutomaticFailoverEnabled", "MultiAZEnabled"))
    mode = asked("TransitEncryptionMode")
    if version:
        rules.check_upgrade(group, asked("Engine") or group.engine, version)
    rules.check_node_type(asked("CacheNodeType"))
    rules.check_tls(group, encrypted, mode)
    if token is not None:
        rules.check_token(token, rules.truth(group.transit_encryption_enabled) or bool(encrypted))
    if group.cluster_enabled and failover is False:
        raise InvalidParameterCombinationException(
            "Turning off automatic failover for replication group with cluster mode enabled is not supported."
        )
    if failover and len(group.member_clusters) < 2 and not group.cluster_enabled:
        raise InvalidParameterCombinationException(
            "Replication group must have at least one read replica to enable autofailover."
        )
    if multi_az and not (group.automatic_failover == "enabled" if failover is None else failover):
        raise InvalidParameterCombinationException("Must enable automatic failover when Multi-AZ is enabled.")
    wanted = asked("Engine") or group.engine, version or group.engine_version
    if parameters:
        rules.check_cluster_mode(group.cluster_enabled, in_cluster_mode(response.elasticache_backend, parameters))
        rules.check_family(parameter_group(response)["CacheParameterGroupFamily"], *wanted)
    elif known := parameter_groups(response.elasticache_backend).get(group.cache_parameter_group_name):
        rules.check_family(known["CacheParameterGroupFamily"], *wanted)
    snapshots = asked("SnapshotWindow") or group.snapshot_window
    maintenance = asked("PreferredMaintenanceWindow") or group.preferred_maintenance_window
    rules.check_windows(snapshots, maintenance)
    group.snapshot_window, group.preferred_maintenance_window = snapshots, maintenance
    group.engine, group.engine_version = asked("Engine") or group.engine, version or group.engine_version
    group.transit_encryption_enabled = group.transit_encryption_enabled if encrypted is None else encrypted
    group.transit_encryption_mode = mode or getattr(group, "transit_encryption_mode", None)
    group.cache_parameter_group_name = parameters or group.cache_parameter_group_name
    if token:
        group.auth_token, group.auth_token_enabled = token, True
    minor = response._get_bool_param("AutoMinorVersionUpgrade")
    group.auto_minor_version_upgrade = group.auto_minor_version_upgrade if minor is None else minor
    if security_groups := asked("SecurityGroupIds"):
        _move(response, group, security_groups)
    return original(response)


def _move(response: Any, group: Any, security_groups: list[str]) -> None:
    ec2 = ec2_backends[response.current_account][response.region]
    for _, member in members(group):
        ec2.modify_network_interface_attribute(member["interface"].id, security_groups)
    group.security_group_ids = security_groups


def _describe_members(original: Any, backend: Any, cache_cluster_id: str | None = None) -> list[Any]:
    """moto has no clusters for the members of a replication group, and they alone tell most of its settings."""
    known = {name: group for group in backend.replication_groups.values() for name in group.member_clusters}
    if cache_cluster_id and cache_cluster_id in known:
        return [_member(backend, cache_cluster_id, known[cache_cluster_id])]
    found = list(original(backend, cache_cluster_id))
    return found if cache_cluster_id else found + [_member(backend, *each) for each in known.items()]


def _member(backend: Any, name: str, group: Any) -> dict[str, Any]:
    kind = ".cluster.on" if group.cluster_enabled else ""
    parameters = group.cache_parameter_group_name or f"default.{family(group.engine, group.engine_version)}{kind}"
    applied = elasticache_parameters.status(group, parameter_values(backend, group))
    security_groups = [{"SecurityGroupId": each, "Status": "active"} for each in group.security_group_ids or ()]
    return {
        "ARN": f"arn:aws:elasticache:{backend.region_name}:{backend.account_id}:cluster:{name}",
        "AtRestEncryptionEnabled": group.at_rest_encryption_enabled,
        "AuthTokenEnabled": group.auth_token_enabled,
        "AutoMinorVersionUpgrade": group.auto_minor_version_upgrade,
        "CacheClusterId": name,
        "CacheClusterStatus": group.status,
        "CacheNodeType": group.cache_node_type,
        "CacheParameterGroup": {"CacheParameterGroupName": parameters, "ParameterApplyStatus": applied},
        "CacheSubnetGroupName": group.cache_subnet_group_name,
        "Engine": group.engine,
        "EngineVersion": f"{group.engine_version}.0",
        "NumCacheNodes": 1,
        "PreferredMaintenanceWindow": group.preferred_maintenance_window,
        "ReplicationGroupId": group.replication_group_id,
        "SecurityGroups": security_groups,
        "SnapshotRetentionLimit": group.snapshot_retention_limit,
        "SnapshotWindow": group.snapshot_window,
        "TransitEncryptionEnabled": group.transit_encryption_enabled,
    }


def _list_tags(original: Any, backend: Any, arn: str) -> Any:
    """moto tags parameter groups, and then finds their ARNs invalid."""
    if PARAMETER_GROUPS not in arn:
        return original(backend, arn)
    if arn not in {group["ARN"] for group in parameter_groups(backend).values()}:
        raise ParameterGroupNotFoundError(f"CacheParameterGroup {arn.rpartition(':')[2]} not found.")
    return backend.tagging_service.list_tags_for_resource(arn)


def _modify_subnet_group(response: Any) -> Any:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyCacheSubnetGroup.html"""
    group = _subnet_group(response)
    changed = models.CacheSubnetGroup(
        response.current_account,
        response.region,
        group.cache_subnet_group_name,
        response._get_param("CacheSubnetGroupDescription") or group.cache_subnet_group_description,
        response._get_param("SubnetIds") or group.subnet_ids,
        group.tags,
    )
    response.elasticache_backend.cache_subnet_groups[group.cache_subnet_group_name] = changed
    return ActionResult({"CacheSubnetGroup": changed})


def _delete_subnet_group(response: Any) -> Any:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_DeleteCacheSubnetGroup.html"""
    group, backend = _subnet_group(response), response.elasticache_backend
    name = group.cache_subnet_group_name
    if any(each.cache_subnet_group_name == name for each in backend.replication_groups.values()):
        raise SubnetGroupInUseError(f"Cache subnet group {name} is currently in use by a cache cluster.")
    del backend.cache_subnet_groups[name]
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    return EmptyResult()


def _reset_parameters(response: Any) -> Any:
    """The family's own values again: API_ResetCacheParameterGroup."""
    group = parameter_group(response)
    for parameter in response._get_param("ParameterNameValues", []):
        group["values"].pop(parameter["ParameterName"], None)
    return ActionResult({"CacheParameterGroupName": group["CacheParameterGroupName"]})


def _group(response: Any) -> Any:
    return response.elasticache_backend.describe_replication_groups(response._get_param("ReplicationGroupId"))[0]


def _subnet_group(response: Any) -> Any:
    name = response._get_param("CacheSubnetGroupName")
    return response.elasticache_backend.describe_cache_subnet_groups(name)[0]
