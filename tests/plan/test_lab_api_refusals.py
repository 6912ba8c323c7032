"""Calls that AWS refuses: the lab's API refuses them with AWS's error codes, or a program's fault would pass here."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.provider_world import World

TOKEN = "a-token-of-thirty-two-characters"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


def refused(code: str, words: str) -> Any:
    """A call that is answered by AWS's error."""
    return pytest.raises(ClientError, match=rf"\({code}\).*{words}")


@pytest.fixture(scope="module")
def rds(api: ApiServer) -> Any:
    return api.client("rds")


@pytest.fixture(scope="module")
def elasticache(api: ApiServer) -> Any:
    return api.client("elasticache")


def database(world: World, **changes: Any) -> dict[str, Any]:
    """Arguments of a PostgreSQL 17 that RDS takes, with some changed."""
    return {
        "DBInstanceIdentifier": world.unique("database"),
        "Engine": "postgres",
        "EngineVersion": "17",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": 30,
        "MasterUsername": "owner",
        "ManageMasterUserPassword": True,
        "DBSubnetGroupName": world.database_subnets(),
        "DBParameterGroupName": world.database_parameters(),
        **changes,
    }


def cache(world: World, **changes: Any) -> dict[str, Any]:
    """Arguments of a Redis 7.1 of one node that ElastiCache takes, with some changed."""
    return {
        "ReplicationGroupId": world.unique("cache"),
        "ReplicationGroupDescription": "d",
        "Engine": "redis",
        "EngineVersion": "7.1",
        "CacheNodeType": "cache.t4g.micro",
        "NumCacheClusters": 1,
        "CacheSubnetGroupName": world.cache_subnets(),
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"EngineVersion": "17.99"}, "InvalidParameterCombination", "Cannot find version 17.99 for postgres"),
        ({"EngineVersion": "17.0"}, "InvalidParameterCombination", "Cannot find version"),
        ({"EngineVersion": "12"}, "InvalidParameterCombination", "Cannot find version"),
        (
            {"DBInstanceClass": "db.r77.large"},
            "InvalidParameterCombination",
            "DBInstanceClass=db.r77.large, Engine=pos",
        ),
        ({"DBInstanceClass": "db.t4g.metal"}, "InvalidParameterCombination", "does not support creating"),
        ({"DBInstanceClass": "t4g.micro"}, "InvalidParameterCombination", "does not support creating"),
        ({"DBName": "db"}, "InvalidParameterValue", "DBName db cannot be used"),
        ({"MasterUsername": ""}, "InvalidParameterValue", "MasterUsername must be provided"),
        ({"MasterUsername": "admin"}, "InvalidParameterValue", "reserved word used by the engine"),
        ({"EngineVersion": "16"}, "InvalidParameterCombination", "use a Parameter Group with .* postgres16"),
    ],
)
def test_a_database_that_rds_does_not_have_is_not_made(
    rds: Any, world: World, changes: dict[str, Any], code: str, words: str
) -> None:
    with refused(code, words):
        rds.create_db_instance(**database(world, **changes))


def test_every_version_of_postgresql_that_the_settings_take_is_known(rds: Any, world: World) -> None:
    for major in range(13, 19):
        group = world.database_parameters(f"postgres{major}")
        made = rds.create_db_instance(**database(world, EngineVersion=str(major), DBParameterGroupName=group))
        assert made["DBInstance"]["EngineVersion"].startswith(f"{major}.")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"AllocatedStorage": 20}, "InvalidParameterCombination", "storage type gp2: 20"),
        ({"DBInstanceClass": "db.r77.large"}, "InvalidParameterCombination", "DBInstanceClass=db.r77.large"),
        ({"EngineVersion": "17.99"}, "InvalidParameterCombination", "Cannot find version"),
        (
            {"EngineVersion": "18", "AllowMajorVersionUpgrade": True},
            "InvalidParameterCombination",
            "Current Parameter Group .* is non-default. You need to explicitly specify",
        ),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_database_does_not_become_what_rds_does_not_have(
    rds: Any, world: World, changes: dict[str, Any], code: str, words: str, at_once: bool
) -> None:
    made = rds.create_db_instance(**database(world))["DBInstance"]
    with refused(code, words):
        rds.modify_db_instance(DBInstanceIdentifier=made["DBInstanceIdentifier"], ApplyImmediately=at_once, **changes)


def test_a_parameter_group_is_of_the_databases_own_version(rds: Any, world: World) -> None:
    name = rds.create_db_instance(**database(world))["DBInstance"]["DBInstanceIdentifier"]
    other, next_one = world.database_parameters("postgres16"), world.database_parameters("postgres18")
    for group in (other, next_one):
        with refused("InvalidParameterCombination", f"The parameter group {group} with DBParameterGroupFamily"):
            rds.modify_db_instance(DBInstanceIdentifier=name, DBParameterGroupName=group, ApplyImmediately=True)
    same = world.database_parameters()
    rds.modify_db_instance(DBInstanceIdentifier=name, DBParameterGroupName=same)
    found = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert found["DBParameterGroups"][0]["DBParameterGroupName"] == same, "and then it waits for nothing"


def test_a_subnet_group_of_rds_reaches_over_two_zones(rds: Any, world: World) -> None:
    for subnets in (world.subnets[:1], [world.subnets[0], world.subnets[0]]):
        with refused("DBSubnetGroupDoesNotCoverEnoughAZs", "Current AZ coverage: us-east-1a"):
            world.database_subnets(subnets)
    group = world.database_subnets()
    with refused("DBSubnetGroupDoesNotCoverEnoughAZs", "Add subnets to cover at least 2 AZs"):
        rds.modify_db_subnet_group(DBSubnetGroupName=group, SubnetIds=world.subnets[:1])


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"AutomaticFailoverEnabled": True}, "InvalidParameterCombination", "at least 2 cache clusters"),
        ({"NumCacheClusters": 2, "MultiAZEnabled": True}, "InvalidParameterCombination", "Must enable automatic"),
        ({"AuthToken": TOKEN}, "InvalidParameterCombination", "only supported when encryption-in-transit is enabled"),
        ({"AuthToken": "a" * 15, "TransitEncryptionEnabled": True}, "InvalidParameterValue", "Invalid AuthToken"),
        ({"AuthToken": "a@b" * 8, "TransitEncryptionEnabled": True}, "InvalidParameterValue", "Invalid AuthToken"),
        ({"CacheNodeType": "cache.r77.large"}, "InvalidParameterValue", "cache.r77.large is not valid"),
        ({"EngineVersion": "7.9"}, "InvalidParameterCombination", "Cannot find version 7.9 for redis"),
        ({"Engine": "valkey"}, "InvalidParameterCombination", "Cannot find version 7.1 for valkey"),
        ({"SnapshotWindow": "03:00-03:30"}, "InvalidParameterValue", "Snapshot window must be at least 60 minutes"),
        (
            {"SnapshotWindow": "03:00-04:00", "PreferredMaintenanceWindow": "sun:03:30-sun:04:30"},
            "InvalidParameterValue",
            "must not overlap",
        ),
    ],
)
def test_a_cache_that_elasticache_does_not_have_is_not_made(
    elasticache: Any, world: World, changes: dict[str, Any], code: str, words: str
) -> None:
    with refused(code, words):
        elasticache.create_replication_group(**cache(world, **changes))


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"AutomaticFailoverEnabled": True}, "InvalidParameterCombination", "must have at least one read replica"),
        ({"MultiAZEnabled": True}, "InvalidParameterCombination", "Must enable automatic failover"),
        ({"TransitEncryptionEnabled": True}, "InvalidParameterCombination", "TransitEncryptionMode must be preferred"),
        (
            {"TransitEncryptionEnabled": True, "TransitEncryptionMode": "required"},
            "InvalidParameterCombination",
            "TransitEncryptionMode must be preferred",
        ),
        ({"AuthToken": TOKEN}, "InvalidParameterCombination", "only supported when encryption-in-transit"),
        ({"CacheNodeType": "cache.r77.large"}, "InvalidParameterValue", "is not valid"),
        # The lab's own choice of snapshots is 05:00 to 06:00, whether there are any or not.
        ({"PreferredMaintenanceWindow": "sun:05:00-sun:06:00"}, "InvalidParameterValue", "must not overlap"),
    ],
)
def test_a_cache_does_not_become_what_elasticache_does_not_have(
    elasticache: Any, world: World, changes: dict[str, Any], code: str, words: str
) -> None:
    name = elasticache.create_replication_group(**cache(world))["ReplicationGroup"]["ReplicationGroupId"]
    with refused(code, words):
        elasticache.modify_replication_group(ReplicationGroupId=name, ApplyImmediately=True, **changes)


def test_parameters_of_another_family_are_refused(elasticache: Any, world: World) -> None:
    expected = "Expected a parameter group of family {} but found one of family {}"
    with refused("InvalidParameterCombination", expected.format("redis7", "redis6.x")):
        elasticache.create_replication_group(**cache(world, CacheParameterGroupName=world.cache_parameters("redis6.x")))
    group = cache(world, CacheParameterGroupName=world.cache_parameters())
    name = elasticache.create_replication_group(**group)["ReplicationGroup"]["ReplicationGroupId"]
    upgrade = {"Engine": "valkey", "EngineVersion": "8.0", "ApplyImmediately": True, "ReplicationGroupId": name}
    with refused("InvalidParameterCombination", expected.format("valkey8", "redis7")):
        elasticache.modify_replication_group(**upgrade)
    elasticache.modify_replication_group(**upgrade, CacheParameterGroupName=world.cache_parameters("valkey8"))


def test_tls_of_a_cache_comes_and_goes_by_way_of_both(elasticache: Any, world: World) -> None:
    name = elasticache.create_replication_group(**cache(world))["ReplicationGroup"]["ReplicationGroupId"]

    def become(**changes: Any) -> Any:
        changed = elasticache.modify_replication_group(ReplicationGroupId=name, ApplyImmediately=True, **changes)
        return changed["ReplicationGroup"]

    assert become(TransitEncryptionEnabled=True, TransitEncryptionMode="preferred")["TransitEncryptionEnabled"]
    become(TransitEncryptionMode="required")
    with refused("InvalidParameterCombination", "TransitEncryptionMode must be preferred first"):
        become(TransitEncryptionEnabled=False)
    become(TransitEncryptionMode="preferred")
    assert not become(TransitEncryptionEnabled=False)["TransitEncryptionEnabled"]


def test_a_role_has_a_name_and_a_trust_policy_that_iam_takes(api: ApiServer) -> None:
    iam = api.client("iam")
    with refused("ValidationError", "at 'roleName' failed to satisfy .* less than or equal to 64"):
        iam.create_role(RoleName="r" * 65, AssumeRolePolicyDocument=TRUST)
    for document in ("{}", '{"Version": "2012-10-17"}', TRUST.replace("sts:AssumeRole", "s3:GetObject")):
        with refused("MalformedPolicyDocument", ""):
            iam.create_role(RoleName="r", AssumeRolePolicyDocument=document)
    iam.create_role(RoleName="r" * 64, AssumeRolePolicyDocument=TRUST)
    iam.delete_role(RoleName="r" * 64)


def test_a_parameter_keeps_its_larger_tier(api: ApiServer, world: World) -> None:
    ssm, name = api.client("ssm"), world.unique("/parameter")
    ssm.put_parameter(Name=name, Type="String", Value="x", Tier="Advanced")
    with refused("ValidationException", "You can't downgrade a parameter"):
        ssm.put_parameter(Name=name, Type="String", Value="x", Tier="Standard", Overwrite=True)
    assert ssm.put_parameter(Name=name, Type="String", Value="y", Overwrite=True)["Tier"] == "Advanced"
