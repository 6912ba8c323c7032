"""ElastiCache: replication groups, and the groups that they refer to."""

import sys
from collections.abc import Collection, Mapping
from typing import ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.services import data_groups
from lab.provider.values import UNKNOWN, Spec, aws_tags, present, translate, unless_default, untranslate

SUBNET_GROUP = "terraform-provider-aws internal/service/elasticache/subnet_group.go, ForceNew"
PARAMETER_GROUP = "terraform-provider-aws internal/service/elasticache/parameter_group.go, ForceNew"
REPLICATION = "terraform-provider-aws internal/service/elasticache/replication_group.go, ForceNew"

PARAMETER: Spec = {"name": "ParameterName", "value": ("ParameterValue", str)}
REPLICATION_GROUP: Spec = {
    "atRestEncryptionEnabled": "AtRestEncryptionEnabled",
    "authToken": "AuthToken",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "automaticFailoverEnabled": "AutomaticFailoverEnabled",
    "description": "ReplicationGroupDescription",
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "multiAzEnabled": "MultiAZEnabled",
    "nodeType": "CacheNodeType",
    "numCacheClusters": "NumCacheClusters",
    "numNodeGroups": "NumNodeGroups",
    "parameterGroupName": "CacheParameterGroupName",
    "port": "Port",
    "replicasPerNodeGroup": "ReplicasPerNodeGroup",
    "replicationGroupId": "ReplicationGroupId",
    "securityGroupIds": "SecurityGroupIds",
    "snapshotRetentionLimit": "SnapshotRetentionLimit",
    "snapshotWindow": "SnapshotWindow",
    "subnetGroupName": "CacheSubnetGroupName",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
    "transitEncryptionMode": "TransitEncryptionMode",
}
MEMBER: Spec = {
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "engine": "Engine",
    "maintenanceWindow": "PreferredMaintenanceWindow",
    "nodeType": "CacheNodeType",
    "subnetGroupName": "CacheSubnetGroupName",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
}
"""What only the members of a group tell."""

ENGINE = "redis"
PORT = 6379
REPLACES = ("atRestEncryptionEnabled", "port", "replicationGroupId", "subnetGroupName")
MEMBERS = ("numCacheClusters", "numNodeGroups", "replicasPerNodeGroup")
APART = ("authToken", "engine", "engineVersion", *MEMBERS)
"""What is not simply sent when it changes."""
TLS_CHANGES_FROM = (7, 0)
"""The first version (7.0.5, to be exact) whose in-transit encryption is changed in place."""
FALLBACKS = {"automaticFailoverEnabled": False, "multiAzEnabled": False, "snapshotRetentionLimit": 0}
"""What an input goes back to when it is taken away; any other then stays what it is, as with the AWS provider."""


class SubnetGroup(data_groups.SubnetGroup):
    """Where cache nodes may be."""

    pulumi_type = "aws:elasticache/subnetGroup:SubnetGroup"
    service, prefix, arn = "elasticache", "Cache", "ARN"
    replaces_on: ClassVar[Mapping[str, str]] = {"name": SUBNET_GROUP}


class ParameterGroup(data_groups.ParameterGroup):
    """How a cache is configured."""

    pulumi_type = "aws:elasticache/parameterGroup:ParameterGroup"
    service, prefix, arn = "elasticache", "Cache", "ARN"
    parameter = PARAMETER
    parameters = "ParameterNameValues"
    replaces_on: ClassVar[Mapping[str, str]] = dict.fromkeys(("description", "family", "name"), PARAMETER_GROUP)


class ReplicationGroup(Resource):
    """A cache. Its machine starts after the program has run, so creating it doesn't wait for `available`."""

    pulumi_type = "aws:elasticache/replicationGroup:ReplicationGroup"
    required = ("description",)
    optional = (
        *(key for key in REPLICATION_GROUP if key not in ("description", "replicationGroupId")),
        "applyImmediately",
    )
    autoname = Autoname("replicationGroupId", longest=40, lower=True)
    tagged = True
    secret_outputs = ("authToken",)
    replaces_on: ClassVar[Mapping[str, str]] = dict.fromkeys(REPLACES, REPLICATION)
    volatile = {"memberClusters": MEMBERS}
    computed = (
        "applyImmediately",
        "atRestEncryptionEnabled",
        "autoMinorVersionUpgrade",
        "engineVersion",
        "maintenanceWindow",
        "nodeType",
        *MEMBERS,
        "parameterGroupName",
        "securityGroupIds",
        "snapshotWindow",
        "subnetGroupName",
        "transitEncryptionEnabled",
        "transitEncryptionMode",
    )
    defaults = {**FALLBACKS, "engine": ENGINE, "port": PORT}

    @override
    def replacing(self, old: Properties, new: Properties) -> Collection[str]:
        """Also what ElastiCache changes in one direction, or from some version on, only; and cluster mode, which it
        doesn't switch on or off with the parameters.

        Sources: terraform-provider-aws internal/service/elasticache/engine_version.go, replication_group.go.
        """
        version, engine = (old.get(key) for key in ("engineVersion", "engine"))
        others = {
            "engineVersion": _downgraded(version, new.get("engineVersion")),
            "engine": (engine, new.get("engine")) == ("valkey", "redis"),
            "transitEncryptionEnabled": version not in (None, UNKNOWN) and _order(version) < TLS_CHANGES_FROM,
            "numNodeGroups": "numNodeGroups" not in old,
            "numCacheClusters": "numNodeGroups" in old,
        }
        return {*super().replacing(old, new), *(key for key, replaces in others.items() if replaces)}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        given = {key: value for key, value in inputs.items() if key in REPLICATION_GROUP}
        group = aws("elasticache").create_replication_group(
            Tags=aws_tags(inputs["tagsAll"]), **translate(given, REPLICATION_GROUP, "inputs")
        )["ReplicationGroup"]
        return Created(inputs["replicationGroupId"], _group_outputs(group))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The group and its first member, which tells what a group does not. Nothing tells the token."""
        group = _describe(aws, identifier)
        answer = aws("elasticache").describe_cache_clusters(CacheClusterId=group["MemberClusters"][0])
        member = answer["CacheClusters"][0]
        inputs = untranslate(member, MEMBER) | {
            "atRestEncryptionEnabled": group.get("AtRestEncryptionEnabled", False),
            "automaticFailoverEnabled": group["AutomaticFailover"] in ("enabled", "enabling"),
            "description": group["Description"],
            "engineVersion": ".".join(member["EngineVersion"].split(".")[:2]),
            "multiAzEnabled": group.get("MultiAZ") == "enabled",
            **_members(group, state),
            "parameterGroupName": member["CacheParameterGroup"]["CacheParameterGroupName"],
            "port": _endpoint(group)["Port"],
            "replicationGroupId": group["ReplicationGroupId"],
            "securityGroupIds": [each["SecurityGroupId"] for each in member.get("SecurityGroups", [])],
            "snapshotRetentionLimit": unless_default(
                group.get("SnapshotRetentionLimit", 0), 0, state.get("snapshotRetentionLimit")
            ),
            "snapshotWindow": group.get("SnapshotWindow"),
            "transitEncryptionMode": group.get("TransitEncryptionMode"),
            "tags": tags.of_arn(aws, "elasticache", group["ARN"]),
        }
        if not member.get("AuthTokenEnabled"):
            inputs["authToken"] = None
        return Found(identifier, inputs, _group_outputs(group))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Shards and new members first, and members that go last: failover needs two at any time between."""
        group = _describe(aws, identifier)
        fewer = _scaled(aws, identifier, group, new)
        if changed := _changed(identifier, old, new):
            aws("elasticache").modify_replication_group(
                ReplicationGroupId=identifier, ApplyImmediately=new.get("applyImmediately", False), **changed
            )
        if old.get("authToken") != new.get("authToken"):
            # ElastiCache rotates: the old token is good as well, until there is another new one.
            aws("elasticache").modify_replication_group(
                ReplicationGroupId=identifier, ApplyImmediately=True, AuthToken=new.get("authToken", "")
            )
        if fewer is not None:
            aws("elasticache").decrease_replica_count(**_replicas(identifier, fewer))
        tags.set_by_arn(aws, "elasticache", old["arn"], old["tagsAll"], new["tagsAll"])
        return _group_outputs(_describe(aws, identifier))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """The group goes with its members."""
        aws("elasticache").delete_replication_group(ReplicationGroupId=identifier)


def _describe(aws: Aws, identifier: str) -> Properties:
    return aws("elasticache").describe_replication_groups(ReplicationGroupId=identifier)["ReplicationGroups"][0]


def _group_outputs(group: Properties) -> Properties:
    endpoint, reader = _endpoint(group), group["NodeGroups"][0].get("ReaderEndpoint", {})
    name = "configurationEndpointAddress" if group["ClusterEnabled"] else "primaryEndpointAddress"
    return {
        "arn": group["ARN"],
        "clusterEnabled": group["ClusterEnabled"],
        name: endpoint["Address"],
        "memberClusters": group["MemberClusters"],
        "port": endpoint["Port"],
        **present(readerEndpointAddress=reader.get("Address")),
    }


def _endpoint(group: Properties) -> Properties:
    """Where clients begin."""
    return group["ConfigurationEndpoint"] if group["ClusterEnabled"] else group["NodeGroups"][0]["PrimaryEndpoint"]


def _members(group: Properties, state: Properties) -> Properties:
    """The inputs that say how many there are: in cluster mode shards, and otherwise members, unless a program says it
    in the other way.
    """
    shards, members = len(group["NodeGroups"]), len(group["MemberClusters"])
    replicas = members // shards - 1
    if group["ClusterEnabled"]:
        return {"numCacheClusters": None, "numNodeGroups": shards, "replicasPerNodeGroup": replicas}
    if state.get("numNodeGroups"):
        return {"numCacheClusters": None, "numNodeGroups": shards, "replicasPerNodeGroup": replicas}
    return {"numCacheClusters": members, "numNodeGroups": None, "replicasPerNodeGroup": None}


def _scaled(aws: Aws, identifier: str, group: Properties, new: Properties) -> int | None:
    """Change the number of shards, and add replicas. To how many replicas each shard is to be reduced, at the end."""
    shards = sorted(shard["NodeGroupId"] for shard in group["NodeGroups"])
    before = len(group["MemberClusters"]) // len(shards) - 1
    wanted = new.get("numNodeGroups") or len(shards)
    if wanted != len(shards):
        # The last ones go, as with the AWS provider.
        gone = {"NodeGroupsToRemove": shards[wanted:]} if wanted < len(shards) else {}
        aws("elasticache").modify_replication_group_shard_configuration(
            ReplicationGroupId=identifier, NodeGroupCount=wanted, ApplyImmediately=True, **gone
        )
    after = new.get("replicasPerNodeGroup")
    if after is None:
        after = before if new.get("numNodeGroups") else new.get("numCacheClusters", before + 1) - 1
    if after > before:
        aws("elasticache").increase_replica_count(**_replicas(identifier, after))
    return after if after < before else None


def _changed(identifier: str, old: Properties, new: Properties) -> Properties:
    """What a modification has to say, tokens and members aside."""
    changed: Properties = {
        str(name): value
        for key, name in REPLICATION_GROUP.items()
        if key not in (*REPLACES, *APART)
        and old.get(key) != new.get(key)
        and (value := new.get(key, FALLBACKS.get(key))) is not None
    }
    if "SnapshotRetentionLimit" in changed and not old.get("snapshotRetentionLimit"):
        changed["SnapshottingClusterId"] = old["memberClusters"][0]
    before, version = old.get("engine", ENGINE), new.get("engineVersion")
    engine = new.get("engine", before)
    upgraded = version is not None and version != old.get("engineVersion")
    if engine != before and not upgraded:
        raise InputError(f"another engine needs another engineVersion too, and it is {version} still", "engineVersion")
    if upgraded:
        changed |= {"Engine": engine, "EngineVersion": version}
    return changed


def _downgraded(before: str | None, after: str | None) -> bool:
    return bool(before and after) and UNKNOWN not in (before, after) and _order(str(after)) < _order(str(before))


def _order(version: str) -> tuple[int, ...]:
    """`6.x` is newer than every 6 with a number."""
    return tuple(sys.maxsize if part == "x" else int(part) for part in version.split("."))


def _replicas(identifier: str, count: int) -> Properties:
    return {"ReplicationGroupId": identifier, "NewReplicaCount": count, "ApplyImmediately": True}


RESOURCES: tuple[type[Resource], ...] = (SubnetGroup, ParameterGroup, ReplicationGroup)
