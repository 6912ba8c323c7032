"""ElastiCache: replication groups, and the groups that they refer to."""

import sys
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import UNKNOWN, Spec, aws_tags, batches, present, translate, unless_default, untranslate

SUBNET_GROUP = "terraform-provider-aws internal/service/elasticache/subnet_group.go, ForceNew"
PARAMETER_GROUP = "terraform-provider-aws internal/service/elasticache/parameter_group.go, ForceNew"
REPLICATION = "terraform-provider-aws internal/service/elasticache/replication_group.go, ForceNew"

DESCRIPTION = "Managed by Pulumi"
AT_ONCE = 20
"""How many parameters ElastiCache changes in one call."""

PARAMETER: Spec = {"name": "ParameterName", "value": ("ParameterValue", str)}
REPLICATION_GROUP: Spec = {
    "atRestEncryptionEnabled": "AtRestEncryptionEnabled",
    "authToken": "AuthToken",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "automaticFailoverEnabled": "AutomaticFailoverEnabled",
    "description": "ReplicationGroupDescription",
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "multiAzEnabled": "MultiAZEnabled",
    "nodeType": "CacheNodeType",
    "numCacheClusters": "NumCacheClusters",
    "parameterGroupName": "CacheParameterGroupName",
    "port": "Port",
    "replicationGroupId": "ReplicationGroupId",
    "securityGroupIds": "SecurityGroupIds",
    "snapshotRetentionLimit": "SnapshotRetentionLimit",
    "subnetGroupName": "CacheSubnetGroupName",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
    "transitEncryptionMode": "TransitEncryptionMode",
}
MEMBER: Spec = {
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "engine": "Engine",
    "nodeType": "CacheNodeType",
    "subnetGroupName": "CacheSubnetGroupName",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
}
"""What only the members of a group tell."""

ENGINE = "redis"
PORT = 6379
REPLACES = ("atRestEncryptionEnabled", "port", "replicationGroupId", "subnetGroupName")
APART = ("authToken", "engine", "engineVersion", "numCacheClusters")
"""What is not simply sent when it changes."""
TLS_CHANGES_FROM = (7, 0)
"""The first version (7.0.5, to be exact) whose in-transit encryption is changed in place."""
FALLBACKS = {"automaticFailoverEnabled": False, "multiAzEnabled": False, "snapshotRetentionLimit": 0}
"""What an input goes back to when it is taken away; any other then stays what it is, as with the AWS provider."""


class SubnetGroup(Resource):
    """Where cache nodes may be."""

    pulumi_type = "aws:elasticache/subnetGroup:SubnetGroup"
    required = ("subnetIds",)
    optional = ("description",)
    autoname = Autoname(lower=True)
    tagged = True
    replaces_on: ClassVar[Mapping[str, str]] = {"name": SUBNET_GROUP}
    defaults = {"description": DESCRIPTION}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        group = aws("elasticache").create_cache_subnet_group(**_subnet_group(inputs), Tags=aws_tags(inputs["tagsAll"]))[
            "CacheSubnetGroup"
        ]
        return Created(inputs["name"], _subnet_group_outputs(group))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        answer = aws("elasticache").describe_cache_subnet_groups(CacheSubnetGroupName=identifier)
        group = answer["CacheSubnetGroups"][0]
        description = group["CacheSubnetGroupDescription"]
        inputs = {
            "name": group["CacheSubnetGroupName"],
            "description": unless_default(description, DESCRIPTION, state.get("description")),
            "subnetIds": [subnet["SubnetIdentifier"] for subnet in group["Subnets"]],
            "tags": tags.of_elasticache(aws, group["ARN"]),
        }
        return Found(identifier, inputs, _subnet_group_outputs(group))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Description and subnets go together."""
        if _subnet_group(old) != _subnet_group(new):
            aws("elasticache").modify_cache_subnet_group(**_subnet_group(new))
        tags.set_elasticache(aws, old["arn"], old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("elasticache").delete_cache_subnet_group(CacheSubnetGroupName=identifier)


class ParameterGroup(Resource):
    """How a cache is configured."""

    pulumi_type = "aws:elasticache/parameterGroup:ParameterGroup"
    required = ("family",)
    optional = ("description", "parameters")
    autoname = Autoname(lower=True)
    tagged = True
    replaces_on: ClassVar[Mapping[str, str]] = {
        "description": PARAMETER_GROUP,
        "family": PARAMETER_GROUP,
        "name": PARAMETER_GROUP,
    }
    defaults = {"description": DESCRIPTION}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """The group with its parameters set."""
        group = aws("elasticache").create_cache_parameter_group(
            CacheParameterGroupName=inputs["name"],
            CacheParameterGroupFamily=inputs["family"],
            Description=inputs.get("description", DESCRIPTION),
            Tags=aws_tags(inputs["tagsAll"]),
        )["CacheParameterGroup"]
        _set_parameters(aws, inputs["name"], {}, inputs)
        return Created(inputs["name"], {"arn": group["ARN"]})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The group, with the parameters that are not as the family has them."""
        answer = aws("elasticache").describe_cache_parameter_groups(CacheParameterGroupName=identifier)
        group = answer["CacheParameterGroups"][0]
        pages = (
            aws("elasticache")
            .get_paginator("describe_cache_parameters")
            .paginate(CacheParameterGroupName=identifier, Source="user")
        )
        found = untranslate([parameter for page in pages for parameter in page["Parameters"]], PARAMETER, {str: str})
        inputs = {
            "name": group["CacheParameterGroupName"],
            "family": group["CacheParameterGroupFamily"],
            "description": unless_default(group["Description"], DESCRIPTION, state.get("description")),
            "parameters": _as_given(found, state.get("parameters")),
            "tags": tags.of_elasticache(aws, group["ARN"]),
        }
        return Found(identifier, inputs, {"arn": group["ARN"]})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Parameters that are no more get the family's values again."""
        _set_parameters(aws, identifier, old, new)
        tags.set_elasticache(aws, old["arn"], old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("elasticache").delete_cache_parameter_group(CacheParameterGroupName=identifier)


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
    volatile = {"memberClusters": ("numCacheClusters",)}
    computed = (
        "applyImmediately",
        "atRestEncryptionEnabled",
        "autoMinorVersionUpgrade",
        "engineVersion",
        "nodeType",
        "numCacheClusters",
        "parameterGroupName",
        "securityGroupIds",
        "subnetGroupName",
        "transitEncryptionEnabled",
        "transitEncryptionMode",
    )
    defaults = {**FALLBACKS, "engine": ENGINE, "port": PORT}

    @override
    def replacing(self, old: Properties, new: Properties) -> Collection[str]:
        """Also what ElastiCache changes in one direction, or from some version on, only.

        Sources: terraform-provider-aws internal/service/elasticache/engine_version.go, replication_group.go.
        """
        version, engine = (old.get(key) for key in ("engineVersion", "engine"))
        others = {
            "engineVersion": _downgraded(version, new.get("engineVersion")),
            "engine": (engine, new.get("engine")) == ("valkey", "redis"),
            "transitEncryptionEnabled": version not in (None, UNKNOWN) and _order(version) < TLS_CHANGES_FROM,
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
            "numCacheClusters": len(group["MemberClusters"]),
            "parameterGroupName": member["CacheParameterGroup"]["CacheParameterGroupName"],
            "port": group["NodeGroups"][0]["PrimaryEndpoint"]["Port"],
            "replicationGroupId": group["ReplicationGroupId"],
            "securityGroupIds": [each["SecurityGroupId"] for each in member.get("SecurityGroups", [])],
            "snapshotRetentionLimit": unless_default(
                group.get("SnapshotRetentionLimit", 0), 0, state.get("snapshotRetentionLimit")
            ),
            "transitEncryptionMode": group.get("TransitEncryptionMode"),
            "tags": tags.of_elasticache(aws, group["ARN"]),
        }
        if not member.get("AuthTokenEnabled"):
            inputs["authToken"] = None
        return Found(identifier, inputs, _group_outputs(group))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """New members first, and those that go last: failover needs two at any time between."""
        members, wanted = len(old["memberClusters"]), new.get("numCacheClusters", len(old["memberClusters"]))
        if wanted > members:
            aws("elasticache").increase_replica_count(**_replicas(identifier, wanted))
        if changed := _changed(identifier, old, new):
            aws("elasticache").modify_replication_group(
                ReplicationGroupId=identifier, ApplyImmediately=new.get("applyImmediately", False), **changed
            )
        if old.get("authToken") != new.get("authToken"):
            # ElastiCache rotates: the old token is good as well, until there is another new one.
            aws("elasticache").modify_replication_group(
                ReplicationGroupId=identifier, ApplyImmediately=True, AuthToken=new.get("authToken", "")
            )
        if wanted < members:
            aws("elasticache").decrease_replica_count(**_replicas(identifier, wanted))
        tags.set_elasticache(aws, old["arn"], old["tagsAll"], new["tagsAll"])
        return _group_outputs(_describe(aws, identifier))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """The group goes with its members."""
        aws("elasticache").delete_replication_group(ReplicationGroupId=identifier)


def _subnet_group(inputs: Properties) -> Properties:
    return {
        "CacheSubnetGroupName": inputs["name"],
        "CacheSubnetGroupDescription": inputs.get("description", DESCRIPTION),
        "SubnetIds": inputs["subnetIds"],
    }


def _subnet_group_outputs(group: Properties) -> Properties:
    return {"arn": group["ARN"], "vpcId": group["VpcId"]}


def _set_parameters(aws: Aws, group: str, old: Properties, new: Properties) -> None:
    before, after = (_parameters(each) for each in (old, new))
    for some in batches([before[name] for name in before if name not in after], AT_ONCE):
        aws("elasticache").reset_cache_parameter_group(CacheParameterGroupName=group, ParameterNameValues=some)
    changed = [parameter for name, parameter in after.items() if parameter != before.get(name)]
    for some in batches(changed, AT_ONCE):
        aws("elasticache").modify_cache_parameter_group(CacheParameterGroupName=group, ParameterNameValues=some)


def _parameters(inputs: Properties) -> dict[str, Any]:
    parameters = translate(inputs.get("parameters", []), PARAMETER, "parameters")
    return {parameter["ParameterName"]: parameter for parameter in parameters}


def _as_given(found: list[Properties], given: list[Properties] | None) -> list[Properties] | None:
    """In the program's order: ElastiCache has one of its own."""
    places = {parameter["name"]: place for place, parameter in enumerate(given or [])}
    ordered = sorted(found, key=lambda parameter: places.get(parameter["name"], len(places)))
    return unless_default(ordered, [], given)


def _describe(aws: Aws, identifier: str) -> Properties:
    return aws("elasticache").describe_replication_groups(ReplicationGroupId=identifier)["ReplicationGroups"][0]


def _group_outputs(group: Properties) -> Properties:
    shard = group["NodeGroups"][0]
    return {
        "arn": group["ARN"],
        "primaryEndpointAddress": shard["PrimaryEndpoint"]["Address"],
        "memberClusters": group["MemberClusters"],
        "port": shard["PrimaryEndpoint"]["Port"],
        **present(readerEndpointAddress=shard.get("ReaderEndpoint", {}).get("Address")),
    }


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
        changed["SnapshottingClusterId"] = f"{identifier}-001"
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


def _replicas(identifier: str, members: int) -> Properties:
    return {"ReplicationGroupId": identifier, "NewReplicaCount": members - 1, "ApplyImmediately": True}


RESOURCES: tuple[type[Resource], ...] = (SubnetGroup, ParameterGroup, ReplicationGroup)
