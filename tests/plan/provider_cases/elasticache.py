"""ElastiCache."""

from typing import Any

from tests.plan.provider_cases import Case, Together
from tests.plan.provider_world import World


def _group(world: World) -> dict[str, Any]:
    return {
        "description": "what it is",
        "engineVersion": "7.0",
        "nodeType": "cache.t4g.micro",
        "numCacheClusters": 3,
        "automaticFailoverEnabled": True,
        "multiAzEnabled": True,
        "port": 6379,
        "subnetGroupName": world.cache_subnets(),
        "parameterGroupName": world.cache_parameters(),
        "securityGroupIds": [world.security_group()],
        "snapshotWindow": "03:00-04:00",
        "maintenanceWindow": "sun:05:00-sun:06:00",
        "atRestEncryptionEnabled": True,
        "transitEncryptionEnabled": True,
        "transitEncryptionMode": "preferred",
    }


def _cluster_parameters(world: World) -> str:
    return world.cache_parameters(cluster_enabled="yes")


_SHARDED = Together(
    {
        "numCacheClusters": None,
        "numNodeGroups": 2,
        "replicasPerNodeGroup": 1,
        "parameterGroupName": _cluster_parameters,
    },
    replaces=frozenset({"numNodeGroups"}),
)
"""The same nodes can't become a cluster."""

CASES = (
    Case(
        "aws:elasticache/subnetGroup:SubnetGroup",
        make=lambda world: {"subnetIds": world.subnets[:2], "description": "where they are"},
        changes={
            "name": lambda world: world.unique("subnets"),
            "subnetIds": lambda world: world.subnets,
            "description": None,
        },
    ),
    Case(
        "aws:elasticache/parameterGroup:ParameterGroup",
        make=lambda world: {
            "family": "redis7",
            "parameters": [
                {"name": "timeout", "value": "30"},
                {"name": "maxmemory-policy", "value": "allkeys-lru"},
            ],
        },
        changes={
            "name": lambda world: world.unique("parameters"),
            "family": "redis6.x",
            "description": "how they are",
            "parameters": [
                {"name": "maxmemory-policy", "value": "volatile-lru"},
                {"name": "hz", "value": "20"},
            ],
        },
    ),
    Case(
        "aws:elasticache/replicationGroup:ReplicationGroup",
        make=_group,
        changes={
            "atRestEncryptionEnabled": False,
            "authToken": "a-token-of-thirty-two-characters",
            "autoMinorVersionUpgrade": False,
            "automaticFailoverEnabled": Together({"automaticFailoverEnabled": False, "multiAzEnabled": False}),
            "description": "what it is now",
            "engine": Together(
                {
                    "engine": "valkey",
                    "engineVersion": "8.0",
                    "parameterGroupName": lambda world: world.cache_parameters("valkey8"),
                }
            ),
            "engineVersion": "7.1",
            "multiAzEnabled": False,
            "nodeType": "cache.m7g.large",
            "numCacheClusters": 2,
            "numNodeGroups": _SHARDED,
            "replicasPerNodeGroup": _SHARDED,
            "parameterGroupName": lambda world: world.cache_parameters(),
            "port": 6380,
            "replicationGroupId": lambda world: world.unique("cache"),
            "securityGroupIds": lambda world: [world.security_group(), world.security_group()],
            "maintenanceWindow": "mon:05:00-mon:06:00",
            "snapshotRetentionLimit": 3,
            "snapshotWindow": "02:00-03:00",
            "subnetGroupName": lambda world: world.cache_subnets(),
            "transitEncryptionEnabled": False,
            "transitEncryptionMode": "required",
            "applyImmediately": True,
        },
        untold=("applyImmediately", "authToken"),
    ),
)
