"""Databases and caches made through the lab's API, for the tests of what it says of them."""

import uuid
from typing import Any

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet

TOKEN = "a-token-of-thirty-two-characters"


def create_database(api: ApiServer, fleet: Fleet, version: str = "17", **other: Any) -> dict[str, Any]:
    """`other`: arguments besides, or others."""
    rds, name = api.client("rds"), f"db-{uuid.uuid4().hex[:8]}"
    rds.create_db_subnet_group(DBSubnetGroupName=name, DBSubnetGroupDescription="d", SubnetIds=fleet.private)
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily="postgres17", Description="d")
    rds.modify_db_parameter_group(
        DBParameterGroupName=name,
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    given: dict[str, Any] = {
        "DBInstanceIdentifier": name,
        "DBInstanceClass": "db.t4g.micro",
        "Engine": "postgres",
        "EngineVersion": version,
        "AllocatedStorage": 20,
        "DBName": "app",
        "MasterUsername": "owner",
        "DBSubnetGroupName": name,
        "DBParameterGroupName": name,
        "VpcSecurityGroupIds": [fleet.security_group],
    }
    password = {} if "MasterUserPassword" in other else {"ManageMasterUserPassword": True}
    return rds.create_db_instance(**given, **password, **other)["DBInstance"]


def machine_of(api: ApiServer, kind: str, identifier: str) -> dict[str, Any]:
    return next(machine for machine in api.control(kind) if machine["id"] == identifier)


def _create_groups(elasticache: Any, fleet: Fleet, name: str, parameter: str, value: str) -> None:
    """The subnets, and a parameter that is not its family's."""
    elasticache.create_cache_subnet_group(
        CacheSubnetGroupName=name, CacheSubnetGroupDescription="d", SubnetIds=fleet.private
    )
    elasticache.create_cache_parameter_group(
        CacheParameterGroupName=name, CacheParameterGroupFamily="redis7", Description="d"
    )
    elasticache.modify_cache_parameter_group(
        CacheParameterGroupName=name,
        ParameterNameValues=[{"ParameterName": parameter, "ParameterValue": value}],
    )


def create_cache(api: ApiServer, fleet: Fleet, nodes: int, version: str = "7.1") -> dict[str, Any]:
    elasticache, name = api.client("elasticache"), f"cache-{uuid.uuid4().hex[:8]}"
    _create_groups(elasticache, fleet, name, "maxmemory-policy", "allkeys-lru")
    return elasticache.create_replication_group(
        ReplicationGroupId=name,
        ReplicationGroupDescription="d",
        Engine="redis",
        EngineVersion=version,
        CacheNodeType="cache.t4g.micro",
        NumCacheClusters=nodes,
        CacheSubnetGroupName=name,
        CacheParameterGroupName=name,
        SecurityGroupIds=[fleet.security_group],
        TransitEncryptionEnabled=True,
        AuthToken=TOKEN,
    )["ReplicationGroup"]


def create_cluster(api: ApiServer, fleet: Fleet, shards: int, replicas: int = 1, **other: Any) -> dict[str, Any]:
    """A cache in cluster mode. `other`: arguments besides, or others."""
    elasticache, name = api.client("elasticache"), f"cluster-{uuid.uuid4().hex[:8]}"
    _create_groups(elasticache, fleet, name, "cluster-enabled", "yes")
    given: dict[str, Any] = {
        "ReplicationGroupId": name,
        "ReplicationGroupDescription": "d",
        "Engine": "redis",
        "EngineVersion": "7.1",
        "CacheNodeType": "cache.t4g.micro",
        "NumNodeGroups": shards,
        "ReplicasPerNodeGroup": replicas,
        "AutomaticFailoverEnabled": True,
        "CacheSubnetGroupName": name,
        "CacheParameterGroupName": name,
        "SecurityGroupIds": [fleet.security_group],
        "TransitEncryptionEnabled": True,
        "AuthToken": TOKEN,
    }
    return elasticache.create_replication_group(**given | other)["ReplicationGroup"]
