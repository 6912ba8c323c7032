"""Databases, caches, buckets and secrets through the provider: refusals, and what machines learn of a change."""

import hashlib
import json
from typing import Any

import pytest

from lab.provider.values import UNKNOWN
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_backups import archive, take_bases
from tests.plan.provider_client import Made, Properties, ProviderCallError, ProviderClient
from tests.plan.provider_world import World

DATABASE = "aws:rds/instance:Instance"
CACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
SECRET = "aws:secretsmanager/secret:Secret"
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"
TOKEN = "a-token-of-thirty-two-characters"


def make_database(provider: ProviderClient, world: World, **inputs: Any) -> Made:
    """A PostgreSQL 16."""
    given: Properties = {
        "engine": "postgres",
        "engineVersion": "16",
        "instanceClass": "db.t4g.micro",
        "allocatedStorage": 20,
        "username": "owner",
        "manageMasterUserPassword": True,
        "dbSubnetGroupName": world.database_subnets(),
        "parameterGroupName": world.database_parameters("postgres16"),
        "skipFinalSnapshot": True,
        "applyImmediately": True,
    }
    return Made(provider, DATABASE, given | inputs)


def make_cache(provider: ProviderClient, world: World, **inputs: Any) -> Made:
    """A Redis of two nodes."""
    given: Properties = {
        "description": "a cache",
        "engineVersion": "7.0",
        "nodeType": "cache.t4g.micro",
        "numCacheClusters": 2,
        "automaticFailoverEnabled": True,
        "subnetGroupName": world.cache_subnets(),
        "parameterGroupName": world.cache_parameters(),
        "securityGroupIds": [world.security_group()],
        "transitEncryptionEnabled": True,
        "authToken": TOKEN,
    }
    return Made(provider, CACHE, given | inputs)


def machine(api: ApiServer, kind: str, identifier: str) -> dict[str, Any] | None:
    """What the lab runs behind it."""
    return next((each for each in api.control(kind) if each["id"] == identifier), None)


def interfaces(api: ApiServer, name: str) -> list[dict[str, Any]]:
    """Those whose description has `name`."""
    found = api.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    return [each for each in found if name in each["Description"]]


def test_a_protected_database_is_deleted_when_its_protection_is_off(provider: ProviderClient, world: World) -> None:
    database = make_database(provider, world, deletionProtection=True)
    with pytest.raises(
        ProviderCallError, match="Cannot delete protected DB Instance, please disable deletion protection"
    ):
        database.delete()
    database.update(deletionProtection=None)
    database.delete()
    assert database.read()[0] == ""


def test_a_databases_last_snapshot_needs_a_name(api: ApiServer, provider: ProviderClient, world: World) -> None:
    database, snapshot = make_database(provider, world, skipFinalSnapshot=None), world.unique("last")
    with pytest.raises(ProviderCallError, match="FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot"):
        database.delete()
    database.update(finalSnapshotIdentifier=snapshot)
    database.delete()
    assert api.client("rds").describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"]


def test_storage_stops_growing_when_a_program_no_longer_says_how_far(
    api: ApiServer, provider: ProviderClient, world: World
) -> None:
    database = make_database(provider, world, maxAllocatedStorage=100)
    with pytest.raises(ProviderCallError, match="Invalid max storage size"):
        database.update(maxAllocatedStorage=21)
    database.update(maxAllocatedStorage=None)
    (found,) = api.client("rds").describe_db_instances(DBInstanceIdentifier=database.inputs["identifier"])[
        "DBInstances"
    ]
    assert found.get("MaxAllocatedStorage", 20) == 20
    assert not database.diff(database.changed({})).changed


def test_the_advanced_mode_needs_what_it_looks_at(provider: ProviderClient, world: World) -> None:
    with pytest.raises(ProviderCallError, match="465 days or more"):
        make_database(provider, world, databaseInsightsMode="advanced", performanceInsightsEnabled=True)
    database = make_database(
        provider,
        world,
        databaseInsightsMode="advanced",
        performanceInsightsEnabled=True,
        performanceInsightsRetentionPeriod=465,
    )
    with pytest.raises(ProviderCallError, match="465 days or more"):
        database.update(performanceInsightsEnabled=None)
    database.update(performanceInsightsEnabled=None, databaseInsightsMode="standard")


@pytest.mark.parametrize("start", ["snapshotIdentifier", "restoreToPointInTime"])
def test_a_copy_of_a_database_is_like_it_but_where_the_program_says_otherwise(
    api: ApiServer, provider: ProviderClient, world: World, start: str
) -> None:
    source, rds = make_database(provider, world, deletionProtection=True, dbName="shop"), api.client("rds")
    identifier, snapshot = source.inputs["identifier"], world.unique("copy")
    rds.create_db_snapshot(DBInstanceIdentifier=identifier, DBSnapshotIdentifier=snapshot)
    take_bases(api)
    archive(api, identifier)
    whence = {
        "snapshotIdentifier": snapshot,
        "restoreToPointInTime": {"sourceDbInstanceIdentifier": identifier, "useLatestRestorableTime": True},
    }[start]
    copy = make_database(
        provider,
        world,
        **{start: whence, "username": None, "backupRetentionPeriod": 9, "instanceClass": "db.t4g.small"},
    )
    (found,) = rds.describe_db_instances(DBInstanceIdentifier=copy.inputs["identifier"])["DBInstances"]
    assert (found["MasterUsername"], found["DBName"]) == ("owner", "shop"), "the source's"
    assert (found["DBInstanceClass"], found["BackupRetentionPeriod"]) == ("db.t4g.small", 9), "the program's"
    assert not found["DeletionProtection"]
    assert copy.state["masterUserSecrets"] != source.state["masterUserSecrets"], "a password of its own"
    of_source, of_copy = (machine(api, "db-instances", each.inputs["identifier"]) for each in (source, copy))
    assert of_source
    assert of_copy
    assert of_source["address"] != of_copy["address"]
    assert not copy.diff(copy.changed({})).changed
    # A snapshot that is not named any more is no other one; of a point in time the provider says so.
    left_out = set[str]() if start == "snapshotIdentifier" else {start}
    assert copy.diff(copy.changed({start: None})).replaces == left_out
    copy.delete()
    source.update(deletionProtection=None)
    source.delete()
    with pytest.raises(ProviderCallError, match="NotFound"):
        make_database(provider, world, snapshotIdentifier="nowhere", username=None)


def test_a_databases_machine_learns_of_changes(api: ApiServer, provider: ProviderClient, world: World) -> None:
    database = make_database(provider, world)
    identifier = database.inputs["identifier"]
    group, parameters = world.security_group(), world.database_parameters("postgres16")
    api.client("rds").modify_db_parameter_group(
        DBParameterGroupName=parameters,
        Parameters=[{"ParameterName": "work_mem", "ParameterValue": "8192", "ApplyMethod": "immediate"}],
    )
    database.update(vpcSecurityGroupIds=[group], parameterGroupName=parameters, port=5433, engineVersion="16.11")
    found = machine(api, "db-instances", identifier)
    assert found is not None
    assert found["security_groups"] == [group]
    assert found["parameters"] == {}, "another group counts from the next reboot on"
    assert (found["port"], found["engine_version"]) == (5433, "16.11")
    assert [each["GroupId"] for each in interfaces(api, identifier)[0]["Groups"]] == [group]
    assert database.state["endpoint"].endswith(":5433")
    database.delete()
    assert machine(api, "db-instances", identifier) is None
    assert not interfaces(api, identifier)


def test_a_replica_is_made_from_its_source_and_promoted_when_that_is_taken_away(
    api: ApiServer, provider: ProviderClient, world: World
) -> None:
    given = {"manageMasterUserPassword": None, "password": "a-password-of-ones-own", "backupRetentionPeriod": 1}
    source = make_database(provider, world, **given)
    named = source.inputs["identifier"]
    replica = Made(
        provider,
        DATABASE,
        {
            "replicateSourceDb": named,
            "instanceClass": "db.t4g.small",
            "allocatedStorage": 20,
            "maxAllocatedStorage": 100,
            "storageEncrypted": source.state.get("storageEncrypted", False),
            "backupRetentionPeriod": 2,
            "maintenanceWindow": "sun:04:00-sun:05:00",
            "performanceInsightsEnabled": True,
            "performanceInsightsRetentionPeriod": 465,
            "databaseInsightsMode": "advanced",
            "skipFinalSnapshot": True,
        },
        world.unique("replica"),
    )
    identifier = replica.inputs["identifier"]
    found, of = (machine(api, "db-instances", each) for each in (identifier, named))
    assert found is not None
    assert of is not None
    assert (found["source"], found["parameters"]) == (named, of["parameters"])
    assert not replica.diff(replica.changed({})).changed, "what it has from its source is no change"
    assert replica.read()[2] == replica.inputs, "a refresh finds what was made"
    imported = provider.read(DATABASE, identifier)[2]
    assert (imported["replicateSourceDb"], imported["backupRetentionPeriod"]) == (named, 2)
    api.control(f"db-instances/{identifier}", "PUT", {"status": "available"})
    replica.update(replicateSourceDb=None)
    found = machine(api, "db-instances", identifier)
    assert found is not None
    assert found["promoting"]
    api.control(f"db-instances/{identifier}/promoted", "PUT")
    for each in (replica, source):
        each.delete()


def test_a_password_that_rds_kept_becomes_ones_own_in_place_and_then_there_are_replicas(
    api: ApiServer, provider: ProviderClient, world: World
) -> None:
    source = make_database(provider, world, backupRetentionPeriod=1)
    replica = {"replicateSourceDb": source.inputs["identifier"], "instanceClass": "db.t4g.micro"}
    with pytest.raises(ProviderCallError, match="where ManageMasterUserPassword is enabled is not supported"):
        Made(provider, DATABASE, replica, world.unique("replica"))
    kept = source.state["masterUserSecrets"][0]["secretArn"]
    token = "aws:secretsmanager/getSecretVersion:getSecretVersion"
    login = json.loads(provider.invoke(token, secretId=kept)["secretString"])
    changed = source.changed({"manageMasterUserPassword": None, "password": login["password"]})
    assert not source.diff(changed).replaces
    source.become(changed)
    assert source.state["masterUserSecrets"] == []
    found = api.control(f"db-instances/{source.inputs['identifier']}/login")
    assert found["password"] == login["password"], "who has it goes on"
    made = Made(provider, DATABASE, replica | {"skipFinalSnapshot": True}, world.unique("replica"))
    for each in (made, source):
        each.delete()


def test_a_major_version_stays_while_minor_ones_change(provider: ProviderClient, world: World) -> None:
    database = make_database(provider, world)
    assert database.state["engineVersionActual"] == "16.10"
    assert database.read()[2]["engineVersion"] == "16", "what the program said is still true"
    with pytest.raises(ProviderCallError, match="AllowMajorVersionUpgrade flag must be present"):
        database.update(engineVersion="17")
    with pytest.raises(ProviderCallError, match=r"Cannot upgrade postgres from 16\.10 to 16\.9"):
        database.update(engineVersion="16.9")


def test_a_database_moves_to_another_vpc_only(api: ApiServer, provider: ProviderClient, world: World) -> None:
    database = make_database(provider, world)
    with pytest.raises(ProviderCallError, match="are in the same VPC"):
        database.update(dbSubnetGroupName=world.database_subnets())
    database.update(dbSubnetGroupName=world.database_subnets(world.other_subnets))
    interface, *others = interfaces(api, database.inputs["identifier"])
    assert not others, "the old one is gone"
    assert interface["VpcId"] == world.other_vpc


def test_groups_that_are_in_use_are_not_deleted(api: ApiServer, provider: ProviderClient, world: World) -> None:
    database, cache = make_database(provider, world), make_cache(provider, world)
    rds, elasticache = api.client("rds"), api.client("elasticache")
    of_database, of_cache = database.inputs, cache.inputs
    with pytest.raises(rds.exceptions.InvalidDBSubnetGroupStateFault):
        rds.delete_db_subnet_group(DBSubnetGroupName=of_database["dbSubnetGroupName"])
    with pytest.raises(rds.exceptions.InvalidDBParameterGroupStateFault):
        rds.delete_db_parameter_group(DBParameterGroupName=of_database["parameterGroupName"])
    with pytest.raises(elasticache.exceptions.CacheSubnetGroupInUse):
        elasticache.delete_cache_subnet_group(CacheSubnetGroupName=of_cache["subnetGroupName"])
    with pytest.raises(elasticache.exceptions.InvalidCacheParameterGroupStateFault):
        elasticache.delete_cache_parameter_group(CacheParameterGroupName=of_cache["parameterGroupName"])


def test_a_caches_machine_learns_of_changes(api: ApiServer, provider: ProviderClient, world: World) -> None:
    cache = make_cache(provider, world)
    group, parameters = world.security_group(), world.cache_parameters()
    api.client("elasticache").modify_cache_parameter_group(
        CacheParameterGroupName=parameters,
        ParameterNameValues=[{"ParameterName": "maxmemory-policy", "ParameterValue": "allkeys-lru"}],
    )
    cache.update(
        securityGroupIds=[group],
        parameterGroupName=parameters,
        engineVersion="7.1",
        authToken=TOKEN[::-1],
        numCacheClusters=4,
    )
    found = machine(api, "replication-groups", cache.id)
    assert found is not None
    assert found["security_groups"] == [group]
    assert found["parameters"] == {"maxmemory-policy": "allkeys-lru"}
    assert found["engine_version"] == "7.1"
    assert api.control(f"replication-groups/{cache.id}/auth-token") == {"token": TOKEN[::-1]}
    assert [node["role"] for node in found["nodes"]] == ["primary", "replica", "replica", "replica"]
    assert len({node["endpoint"] for node in found["nodes"]}) == 4
    assert len({node["address"] for node in found["nodes"]}) == 4
    assert all([each["GroupId"] for each in one["Groups"]] == [group] for one in interfaces(api, f"{cache.id}-"))
    assert len(cache.state["memberClusters"]) == 4


def test_a_cache_keeps_a_replica_as_long_as_it_fails_over(
    api: ApiServer, provider: ProviderClient, world: World
) -> None:
    cache, elasticache = make_cache(provider, world), api.client("elasticache")
    with pytest.raises(ProviderCallError, match="numCacheClusters must be 2 or more with automaticFailoverEnabled"):
        cache.update(numCacheClusters=1)
    with pytest.raises(elasticache.exceptions.ClientError, match="Must have at least 1 replica"):
        elasticache.decrease_replica_count(ReplicationGroupId=cache.id, NewReplicaCount=0, ApplyImmediately=True)
    cache.update(numCacheClusters=1, automaticFailoverEnabled=None)
    assert len(interfaces(api, f"{cache.id}-")) == 1
    cache.delete()
    assert machine(api, "replication-groups", cache.id) is None, "and its machine goes"
    assert not interfaces(api, f"{cache.id}-")


def test_an_older_version_of_redis_is_another_cache(provider: ProviderClient, world: World) -> None:
    cache = make_cache(provider, world)  # 7.0
    assert cache.diff(cache.changed({"engineVersion": "6.2"})).replaces == {"engineVersion"}
    assert cache.diff(cache.changed({"engineVersion": "6.x"})).replaces == {"engineVersion"}
    assert cache.diff(cache.changed({"engineVersion": "7.1"})).replaces == set(), "a newer one is an update"
    assert cache.diff(cache.changed({"engineVersion": UNKNOWN})).replaces == set(), "nobody knows yet"


def test_what_elasticache_changes_one_way_only_replaces_the_other_way(provider: ProviderClient, world: World) -> None:
    cache = make_cache(provider, world)
    parameters = {"parameterGroupName": world.cache_parameters("valkey8")}
    valkey = cache.changed({"engine": "valkey", "engineVersion": "8.0", **parameters})
    assert cache.diff(valkey).replaces == set()
    plain_text = cache.changed({"transitEncryptionEnabled": False, "authToken": None})
    assert cache.diff(plain_text).replaces == set(), "since 7.0.5"
    cache.become(valkey)
    assert "engine" in cache.diff(cache.changed({"engine": None, "engineVersion": "7.1"})).replaces
    old = make_cache(provider, world, engineVersion="6.2", parameterGroupName=world.cache_parameters("redis6.x"))
    assert old.diff(old.changed({"transitEncryptionEnabled": False, "authToken": None})).replaces == {
        "transitEncryptionEnabled"
    }


def test_a_parameter_does_not_go_back_to_the_standard_tier(provider: ProviderClient) -> None:
    parameter = Made(provider, "aws:ssm/parameter:Parameter", {"type": "String", "value": "x", "tier": "Advanced"})
    assert parameter.diff(parameter.changed({"tier": "Standard"})).replaces == {"tier"}
    assert not parameter.diff(parameter.changed({"tier": None})).changed


def test_a_cache_is_not_downgraded_nor_left_without_its_token(provider: ProviderClient, world: World) -> None:
    cache = make_cache(provider, world)
    with pytest.raises(ProviderCallError, match=r"Cannot downgrade .* from 7\.0 to 6\.2"):
        cache.update(engineVersion="6.2")
    with pytest.raises(ProviderCallError, match="Invalid AuthToken"):
        cache.update(authToken=None)
    with pytest.raises(ProviderCallError, match="another engine needs another engineVersion"):
        cache.update(engine="valkey")


def test_a_bucket_goes_with_what_is_in_it_only_when_told_so(
    api: ApiServer, provider: ProviderClient, world: World
) -> None:
    s3, bucket = api.client("s3"), Made(provider, "aws:s3/bucket:Bucket", {})
    s3.put_bucket_versioning(Bucket=bucket.id, VersioningConfiguration={"Status": "Enabled"})
    for text in (b"one", b"two"):
        s3.put_object(Bucket=bucket.id, Key="a", Body=text)
    s3.delete_object(Bucket=bucket.id, Key="a")
    s3.put_object(Bucket=bucket.id, Key="b", Body=b"three")
    with pytest.raises(ProviderCallError, match="BucketNotEmpty"):
        bucket.delete()
    bucket.update(forceDestroy=True)
    bucket.delete()
    assert bucket.read()[0] == ""


def test_an_object_is_uploaded_again_for_another_content_only(
    api: ApiServer, provider: ProviderClient, world: World, tmp_path: Any
) -> None:
    s3, name = api.client("s3"), world.bucket()
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def file(title: str, text: str) -> Properties:
        path = tmp_path / title
        path.write_text(text)
        signature = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17"}
        return signature | {"hash": hashlib.sha256(text.encode()).hexdigest(), "path": str(path)}

    thing = Made(provider, OBJECT, {"bucket": name, "key": "a", "source": file("one", "text"), "tags": {"a": "b"}})
    s3.put_object(Bucket=name, Key="ab", Body=b"another")
    first = thing.state["versionId"]
    thing.update(tags={"a": "c", "d": "e f"}, source=file("two", "text"))
    assert thing.state["versionId"] == first
    assert thing.read()[2]["tags"] == {"a": "c", "d": "e f"}
    thing.update(source=file("one", "another text"))
    assert thing.state["versionId"] != first
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"another text"
    assert thing.read()[2]["tags"] == {"a": "c", "d": "e f"}, "a new version has its tags too"
    thing.delete()
    left = s3.list_object_versions(Bucket=name)
    assert [version["Key"] for version in left["Versions"]] == ["ab"], "every version went, and nothing else"
    assert "DeleteMarkers" not in left


def test_the_same_policy_in_other_words_is_no_change(api: ApiServer, provider: ProviderClient, world: World) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::x/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    made = Made(provider, "aws:s3/bucketPolicy:BucketPolicy", {"bucket": world.bucket(), "policy": policy})
    assert made.read()[2]["policy"] == policy, "given as a map, it stays one"
    api.client("s3").delete_bucket_policy(Bucket=made.id)
    assert made.read()[0] == ""


def test_a_bucket_that_had_versions_cannot_be_without(provider: ProviderClient, world: World) -> None:
    bucket = world.bucket()
    kind = "aws:s3/bucketVersioning:BucketVersioning"
    made = Made(provider, kind, {"bucket": bucket, "versioningConfiguration": {"status": "Disabled"}})
    assert made.read()[2]["versioningConfiguration"] == {"status": "Disabled"}
    made.update(versioningConfiguration={"status": "Enabled"})
    with pytest.raises(ProviderCallError, match="cannot be updated from Enabled to Disabled; it can be Suspended"):
        made.diff(made.changed({"versioningConfiguration": {"status": "Disabled"}}))


def test_a_deleted_secret_keeps_its_name_for_the_recovery_window(provider: ProviderClient, world: World) -> None:
    name = world.unique("token")
    secret = Made(provider, SECRET, {"name": name})
    secret.delete()
    assert secret.read()[0] == "", "it is gone for the program"
    with pytest.raises(ProviderCallError, match="already scheduled for deletion"):
        Made(provider, SECRET, {"name": name})
    at_once = world.unique("token")
    Made(provider, SECRET, {"name": at_once, "recoveryWindowInDays": 0}).delete()
    Made(provider, SECRET, {"name": at_once})


def test_an_outdated_secret_version_loses_its_label(api: ApiServer, provider: ProviderClient, world: World) -> None:
    secret = world.secret()
    old, new = (Made(provider, SECRET_VERSION, {"secretId": secret, "secretString": text}) for text in ("a", "b"))
    old.state = old.read()[1]
    assert old.state["versionStages"] == ["AWSPREVIOUS"]
    for version in (old, new):
        version.delete()
    found = api.client("secretsmanager").describe_secret(SecretId=secret)["VersionIdsToStages"]
    assert {stage for stages in found.values() for stage in stages} == {"AWSCURRENT"}
    api.client("secretsmanager").delete_secret(SecretId=secret)
    assert new.read()[0] == "", "with its secret it is gone"
    new.delete()
