"""PostgreSQL on RDS, and Redis on ElastiCache."""

import json
import re
from typing import cast

import example_args
import pulumi
import pytest
from recording import Recording, record

from components import Cache, CacheArgs, Database, DatabaseArgs, planning, state

INSTANCE = "aws:rds/instance:Instance"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
PARAMETERS = "aws:elasticache/parameterGroup:ParameterGroup"
GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
VERSION = "aws:secretsmanager/secretVersion:SecretVersion"


def make_database(**more: object) -> Recording:
    return record(lambda: Database("db", cast(DatabaseArgs, {**example_args.database(), **more})))


def make_cache(**more: object) -> Recording:
    return record(lambda: Cache("redis", cast(CacheArgs, {**example_args.cache(), **more})))


def test_the_database_is_what_production_needs_unless_told_otherwise() -> None:
    instance = make_database().one(INSTANCE).inputs
    assert instance["storageEncrypted"] is True
    assert instance["publiclyAccessible"] is False
    assert instance["multiAz"] is True
    assert instance["deletionProtection"] is True
    assert instance["backupRetentionPeriod"] == 7
    assert instance["skipFinalSnapshot"] is False
    assert instance["applyImmediately"] is False, "a change of class takes the database away for minutes"


def test_rds_makes_and_keeps_the_password() -> None:
    made = make_database()
    assert made.one(INSTANCE).inputs["manageMasterUserPassword"] is True
    assert "password" not in made.one(INSTANCE).inputs, "a password here would be in Pulumi's state"
    assert not made.all("aws:secretsmanager/secret:Secret"), "the secret is RDS's own"


def logins(made: Recording) -> list[dict[str, str]]:
    """What secrets of our own hold."""
    return [json.loads(each.inputs["secretString"]) for each in made.all(VERSION)]


def test_with_replicas_the_password_is_in_a_secret_of_our_own_as_rds_replicates_no_other() -> None:
    made = make_database(replicas=1)
    instance = made.one(INSTANCE, "db-instance")
    assert logins(made) == [{"username": instance.inputs["username"], "password": "drawn-by-aws"}]
    assert instance.inputs["password"] == "drawn-by-aws"
    assert "manageMasterUserPassword" not in instance.inputs
    assert made.one(VERSION).ignore_changes == ("secretString",), "each run draws another"
    assert "password" in instance.secrets, "it would be in Pulumi's state in the clear"
    assert "secretString" in made.one(VERSION).secrets


def test_a_password_that_rds_has_kept_stays_when_the_first_replica_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """App servers that stand have it, and look for it under the name that RDS takes away."""
    standing(monkeypatch, username="owner", masterUserSecrets=[{"secretArn": "arn:rds-own"}])
    made = make_database(replicas=1)
    assert made.called("aws:secretsmanager/getSecretVersion:getSecretVersion") == [{"secretId": "arn:rds-own"}]
    assert logins(made) == [{"username": "owner", "password": "kept-by-rds"}]
    assert made.one(INSTANCE, "db-instance").inputs["password"] == "kept-by-rds"


def test_a_password_of_our_own_stays_when_the_last_replica_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    own = state.Standing(state.SECRET, "db-password", {"arn": "arn:own"})
    there = state.Standing(state.DATABASE, "db-instance", {"username": "expressway", "masterUserSecrets": []})
    monkeypatch.setattr(state, "read", lambda: state.State((own, there)))
    made = make_database()
    assert made.one(VERSION).name == "db-password"
    assert "manageMasterUserPassword" not in made.one(INSTANCE).inputs, "RDS would draw one that no app server has"


def test_a_replica_is_like_its_source_and_holds_nothing_of_its_own() -> None:
    made = make_database(
        replicas=2, instance_class="db.m7g.large", storage_gb=50, max_storage_gb=100, insights="advanced"
    )
    source, *replicas = sorted(made.all(INSTANCE), key=lambda each: each.name)
    assert [each.name for each in replicas] == ["db-replica1", "db-replica2"]
    for each in replicas:
        assert each.inputs["replicateSourceDb"] == source.inputs["identifier"]
        alike = (
            "instanceClass",
            "allocatedStorage",
            "maxAllocatedStorage",
            "parameterGroupName",
            "databaseInsightsMode",
        )
        assert [each.inputs[key] for key in alike] == [source.inputs[key] for key in alike]
        assert each.inputs["vpcSecurityGroupIds"] == source.inputs["vpcSecurityGroupIds"]
        assert (each.inputs["storageEncrypted"], each.inputs["publiclyAccessible"]) == (True, False)
        assert not {"password", "username", "dbName", "engineVersion", "dbSubnetGroupName"} & set(each.inputs)
        assert each.inputs["skipFinalSnapshot"] is True, "RDS takes no last snapshot of a replica"
        assert "deletionProtection" not in each.inputs, "a number that is lowered is refused half-way"


def test_a_replica_has_no_less_storage_than_its_source_has_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = {"allocatedStorage": 60, "username": "expressway"}
    there = [state.Standing(state.DATABASE, "db-instance", grown)]
    there.append(state.Standing(state.DATABASE, "db-replica1", {"allocatedStorage": 70}))
    monkeypatch.setattr(state, "read", lambda: state.State(tuple(there)))
    made = make_database(replicas=2, storage_gb=50, max_storage_gb=100)
    asked = {each.name: each.inputs["allocatedStorage"] for each in made.all(INSTANCE)}
    assert asked == {"db-instance": 60, "db-replica1": 70, "db-replica2": 60}


def test_a_word_that_rds_reserves_names_a_database_of_a_copy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match=r'databaseName: "catalog": .*Add to it, as in catalog_app'):
        make_database(database_name="catalog")
    assert make_database(database_name="catalog", snapshot="before")
    standing(monkeypatch, username="expressway", dbName="catalog")
    assert make_database(database_name="catalog"), "it is there"


def test_a_copy_gets_replicas_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match=r"replicas: 2: .*Leave it out in the first update"):
        make_database(replicas=2, snapshot="before")
    standing(monkeypatch, username="owner", snapshotIdentifier="before", masterUserSecrets=[{"secretArn": "arn:own"}])
    assert len(make_database(replicas=2, snapshot="before").all(INSTANCE)) == 3


def test_the_database_refuses_connections_without_tls() -> None:
    group = make_database(engine_version="16.4").one("aws:rds/parameterGroup:ParameterGroup")
    assert group.inputs["family"] == "postgres16"
    assert {"name": "rds.force_ssl", "value": "1"} in group.inputs["parameters"]


def test_the_databases_log_has_slow_statements_and_never_their_values() -> None:
    made = make_database(slow_statement_ms=250)
    parameters = made.one("aws:rds/parameterGroup:ParameterGroup").inputs["parameters"]
    found = {each["name"]: each["value"] for each in parameters}
    assert found["log_min_duration_statement"] == "250"
    assert found["log_parameter_max_length"] == "0", "values are people's data"
    assert made.one("aws:rds/instance:Instance").inputs["enabledCloudwatchLogsExports"] == ["postgresql"]


def test_the_databases_log_is_deleted_in_time_and_goes_with_it() -> None:
    made = make_database(log_retention_days=7)
    group, instance = made.one(LOG_GROUP), made.one(INSTANCE)
    assert group.inputs["name"] == f"/aws/rds/instance/{instance.inputs['identifier']}/postgresql"
    assert group.inputs["retentionInDays"] == 7
    assert group.name in instance.depends_on, "else RDS makes it first, keeps everything, and leaves it behind"
    assert made.one(INSTANCE).inputs["identifier"] == "db-instance"
    assert not make_database(export_logs=False).all(LOG_GROUP)


@pytest.mark.parametrize("owned", [False, True])
def test_a_log_group_that_rds_has_made_is_not_made_again_and_a_database_keeps_its_name(
    owned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [state.Standing(state.DATABASE, "db-instance", {"identifier": "db-instance-1234567"})]
    if owned:
        there.append(state.Standing(state.LOG_GROUP, "db-logs", {"name": "any"}))
    monkeypatch.setattr(state, "read", lambda: state.State(tuple(there)))
    made = make_database()
    assert made.one(INSTANCE).inputs["identifier"] == "db-instance-1234567", "RDS would give it another address"
    names = [each.inputs["name"] for each in made.all(LOG_GROUP)]
    assert names == (["/aws/rds/instance/db-instance-1234567/postgresql"] if owned else [])


def standing(monkeypatch: pytest.MonkeyPatch, **outputs: object) -> None:
    """An earlier update has left a database."""
    there = state.State((state.Standing(state.DATABASE, "db-instance", outputs),))
    monkeypatch.setattr(state, "read", lambda: there)


def test_a_database_gives_its_name_and_its_replicas_up_before_another_takes_its_place() -> None:
    source, *replicas = make_database(replicas=2).all(INSTANCE)
    assert source.delete_before_replace, "RDS takes no two of a name"
    assert [each.replace_with for each in replicas] == [{source.name}] * 2, "RDS would make them databases of their own"


def test_last_snapshots_of_two_databases_of_one_name_never_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (make_database().one(INSTANCE) for _ in range(2))
    names = {each.inputs["finalSnapshotIdentifier"] for each in (first, second)}
    assert len(names) == 2, "a stack of that name may be made and destroyed again"
    assert all(re.fullmatch(r"db-final-[0-9a-f]{8}", name) for name in names)
    assert first.ignore_changes == ("finalSnapshotIdentifier",), "each run would change the instance"
    standing(monkeypatch, finalSnapshotIdentifier="db-subnets-1234567-final")
    assert make_database().one(INSTANCE).ignore_changes == ("finalSnapshotIdentifier",)


def test_a_database_without_a_name_for_its_last_snapshot_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    standing(monkeypatch, engineVersionActual="17.6")
    assert make_database().one(INSTANCE).ignore_changes == (), "made by an older release, it could not be destroyed"


def test_the_newer_minor_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    standing(monkeypatch, engineVersionActual="17.6", finalSnapshotIdentifier="x")
    asked = {given: make_database(engine_version=given).one(INSTANCE).inputs["engineVersion"] for given in VERSIONS}
    assert asked == VERSIONS


VERSIONS = {"17": "17", "17.4": "17.6", "17.6": "17.6", "17.10": "17.10", "18.1": "18.1", "16.9": "16.9"}
"""Given -> asked for, where 17.6 runs."""


@pytest.mark.parametrize(("at_once", "kept"), [(False, {"16", "17"}), (True, {"17"})])
def test_parameters_of_the_running_major_version_stay_until_its_upgrade(
    monkeypatch: pytest.MonkeyPatch, at_once: bool, kept: set[str]
) -> None:
    standing(monkeypatch, engineVersionActual="16.9", finalSnapshotIdentifier="x")
    made = make_database(engine_version="17", apply_immediately=at_once)
    groups = {each.name: each.inputs["family"] for each in made.all("aws:rds/parameterGroup:ParameterGroup")}
    assert groups == {f"db-postgres{major}": f"postgres{major}" for major in kept}
    assert made.one(INSTANCE).inputs["parameterGroupName"] == "db-postgres17"
    assert made.one(INSTANCE).inputs["applyImmediately"] is at_once


@pytest.mark.parametrize("at_once", [False, True])
def test_an_upgrade_that_waits_is_asked_for_once(monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    standing(monkeypatch, engineVersion="17", engineVersionActual="16.9", finalSnapshotIdentifier="x")
    made = make_database(engine_version="17", apply_immediately=at_once)
    assert "parameterGroupName" in made.one(INSTANCE).ignore_changes, "RDS would refuse the new group by itself"
    groups = {each.name for each in made.all("aws:rds/parameterGroup:ParameterGroup")}
    assert groups == {"db-postgres16", "db-postgres17"}, "both have a member"
    standing(monkeypatch, engineVersion="17", engineVersionActual="17.6", finalSnapshotIdentifier="x")
    assert "parameterGroupName" not in make_database(engine_version="17").one(INSTANCE).ignore_changes


def test_each_parameter_that_the_program_sets_has_a_reason_and_counts_without_a_reboot() -> None:
    parameters = planning.postgres_parameters(1000)
    assert all(each.why for each in parameters)
    assert not [each.name for each in parameters if each.waits], "a release would ask standing databases for a reboot"


def test_a_server_without_power_is_noticed_at_the_same_time_whether_an_answer_was_on_its_way_or_not() -> None:
    told = {each.name: int(each.value) for each in planning.postgres_parameters(1000) if each.name.startswith("tcp_")}
    probes = told["tcp_keepalives_interval"] * told["tcp_keepalives_count"]
    assert 1000 * (told["tcp_keepalives_idle"] + probes) == told["tcp_user_timeout"] == 30_000


def test_a_users_parameter_takes_the_place_of_ours_and_waits_for_a_reboot_where_it_must() -> None:
    given = {"idle_in_transaction_session_timeout": "60000", "max_connections": "300"}
    made = make_database(parameters=given).one("aws:rds/parameterGroup:ParameterGroup").inputs["parameters"]
    assert {"name": "idle_in_transaction_session_timeout", "value": "60000"} in made
    assert {"name": "max_connections", "value": "300", "applyMethod": "pending-reboot"} in made
    assert len({each["name"] for each in made}) == len(made), "RDS refuses one that is there twice"


def test_storage_that_has_grown_by_itself_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    standing(monkeypatch, finalSnapshotIdentifier="x", allocatedStorage=60)
    assert make_database(storage_gb=20, max_storage_gb=100).one(INSTANCE).inputs["allocatedStorage"] == 60
    assert make_database(storage_gb=80, max_storage_gb=100).one(INSTANCE).inputs["allocatedStorage"] == 80
    assert make_database(storage_gb=20).one(INSTANCE).inputs["allocatedStorage"] == 20, "AWS says that it can't shrink"


@pytest.mark.parametrize(("mode", "days"), [("standard", 7), ("advanced", 465)])
def test_insights_are_kept_as_long_as_their_mode_has_it(mode: str, days: int) -> None:
    made = make_database(insights=mode).one(INSTANCE).inputs
    assert made["performanceInsightsEnabled"] is True
    assert (made["databaseInsightsMode"], made["performanceInsightsRetentionPeriod"]) == (mode, days)


def test_insights_are_off_unless_asked_for_and_their_advanced_mode_goes_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make_database().one(INSTANCE).inputs
    assert made["performanceInsightsEnabled"] is False
    assert "databaseInsightsMode" not in made
    standing(monkeypatch, finalSnapshotIdentifier="x", databaseInsightsMode="advanced")
    assert make_database().one(INSTANCE).inputs["databaseInsightsMode"] == "standard", "RDS would keep, and refuse, it"


def test_a_copy_has_its_sources_user_and_database_and_a_password_of_its_own() -> None:
    for given in ({"snapshot": "before"}, {"restore_from": "shop-1"}):
        made = make_database(**given).one(INSTANCE).inputs
        assert not {"username", "dbName"} & set(made), "RDS would replace it for another one than the copy has"
        assert made["manageMasterUserPassword"] is True
    assert made["restoreToPointInTime"] == {"sourceDbInstanceIdentifier": "shop-1", "useLatestRestorableTime": True}


@pytest.mark.parametrize(
    "started",
    [
        {},
        {"snapshotIdentifier": "before"},
        {"restoreToPointInTime": {"sourceDbInstanceIdentifier": "shop-1", "restoreTime": "2026-11-26T09:30:00Z"}},
    ],
)
@pytest.mark.parametrize("given", [{}, {"snapshot": "another"}, {"restore_from": "shop-2"}])
def test_what_a_database_started_from_is_never_changed(
    monkeypatch: pytest.MonkeyPatch, started: dict[str, object], given: dict[str, object]
) -> None:
    standing(monkeypatch, finalSnapshotIdentifier="x", **started)
    made = make_database(**given).one(INSTANCE).inputs
    assert {key: made[key] for key in ("snapshotIdentifier", "restoreToPointInTime") if key in made} == started
    assert ("username" in made) is ("dbName" in made) is (not started)


def test_a_cheap_database_leaves_nothing_behind() -> None:
    instance = make_database(final_snapshot=False, deletion_protection=False, multi_az=False, backup_days=1)
    inputs = instance.one(INSTANCE).inputs
    assert inputs["skipFinalSnapshot"] is True
    assert inputs["deletionProtection"] is False, "a false that is given must not become the default"
    assert inputs["multiAz"] is False
    assert inputs["backupRetentionPeriod"] == 1


def test_the_databases_secret_is_known_by_name_only() -> None:
    def program() -> None:
        database = Database("db", example_args.database())
        pulumi.export("secret", database.secret_arn)
        pulumi.export("port", database.port)

    outputs = record(program).outputs
    assert outputs["secret"] == "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-instance"
    assert outputs["port"] == 5432


def test_the_cache_is_encrypted_at_rest_and_on_the_way() -> None:
    group = make_cache().one(GROUP).inputs
    assert group["atRestEncryptionEnabled"] is True
    assert group["transitEncryptionEnabled"] is True
    assert group["engine"] == "redis"
    assert group["port"] == 6379


def test_a_change_of_the_cache_does_not_wait_for_its_window() -> None:
    assert make_cache().one(GROUP).inputs["applyImmediately"] is True, "failover would come a week after its replica"


def test_the_caches_token_is_the_stored_secret_and_never_plain() -> None:
    made = make_cache()
    assert made.one(VERSION).inputs["secretString"] == "drawn-by-aws"
    assert "secretString" in made.one(VERSION).secrets, "it would be readable in the state"
    assert made.one(GROUP).inputs["authToken"] == "drawn-by-aws"
    assert "authToken" in made.one(GROUP).secrets
    assert "redis-token" in made.one(GROUP).depends_on, "the token must come from the secret, so that both agree"


def test_the_caches_token_is_drawn_once() -> None:
    assert make_cache().one(VERSION).ignore_changes == ("secretString",), "each run would lock every client out"


@pytest.mark.parametrize(("replicas", "nodes", "failover"), [(0, 1, False), (1, 2, True), (3, 4, True)])
def test_failover_comes_with_replicas(replicas: int, nodes: int, failover: bool) -> None:
    group = make_cache(replicas=replicas).one(GROUP).inputs
    assert group["numCacheClusters"] == nodes
    assert group["automaticFailoverEnabled"] is failover
    assert group["multiAzEnabled"] is failover


def test_a_cluster_has_its_shards_and_fails_over_in_each() -> None:
    made = make_cache(shards=3, replicas=2)
    group = made.one(GROUP).inputs
    assert (group["numNodeGroups"], group["replicasPerNodeGroup"]) == (3, 2)
    assert "numCacheClusters" not in group, "the provider takes one or the other"
    assert (group["automaticFailoverEnabled"], group["multiAzEnabled"]) == (True, True)
    alone = make_cache(shards=3, replicas=0).one(GROUP).inputs
    assert alone["replicasPerNodeGroup"] == 0, "left out, ElastiCache makes one"
    assert alone["automaticFailoverEnabled"] is True, "ElastiCache makes no cluster without it"
    assert alone["multiAzEnabled"] is False, "no zone has another node of the shard"


def test_a_cluster_is_another_cache_with_parameters_of_its_own() -> None:
    plain, cluster = make_cache(), make_cache(shards=2)
    assert (plain.one(GROUP).name, cluster.one(GROUP).name) == ("redis-redis", "redis-slots")
    assert (plain.one(PARAMETERS).name, cluster.one(PARAMETERS).name) == ("redis-redis7", "redis-redis7-cluster")
    enabled = {"name": "cluster-enabled", "value": "yes"}
    assert enabled in cluster.one(PARAMETERS).inputs["parameters"]
    assert enabled not in plain.one(PARAMETERS).inputs["parameters"], "it would be a change of a cache that stands"
    assert not {"numNodeGroups", "replicasPerNodeGroup"} & set(plain.one(GROUP).inputs)


def test_a_shard_more_is_an_update_of_the_cluster_that_stands() -> None:
    two, three = (make_cache(shards=shards) for shards in (2, 3))
    assert two.one(GROUP).name == three.one(GROUP).name
    assert two.one(PARAMETERS).inputs == three.one(PARAMETERS).inputs


def test_the_cache_forgets_what_is_told_and_frees_it_beside_the_thread_that_serves() -> None:
    made = make_cache(eviction_policy="allkeys-lru")
    parameters = {each["name"]: each["value"] for each in made.one(PARAMETERS).inputs["parameters"]}
    assert parameters["maxmemory-policy"] == "allkeys-lru"
    assert {name for name, value in parameters.items() if value == "yes"} == {
        *("lazyfree-lazy-eviction", "lazyfree-lazy-expire"),
    }
    assert made.one(GROUP).inputs["parameterGroupName"] == made.one(PARAMETERS).name


def test_an_older_release_of_the_cache_keeps_what_it_forgets_first() -> None:
    (policy, *_) = make_cache().one(PARAMETERS).inputs["parameters"]
    assert policy == {"name": "maxmemory-policy", "value": "volatile-lru"}, "ElastiCache's own, as before"


@pytest.mark.parametrize(
    ("engine", "version", "family", "name"),
    [
        ("redis", "6.2", "redis6.x", "redis6"),
        ("redis", "7.1", "redis7", "redis7"),
        ("valkey", "7.2", "valkey7", "valkey7"),
        ("valkey", "8.1", "valkey8", "valkey8"),
    ],
)
def test_the_caches_parameters_are_of_its_versions_family_and_named_after_it(
    engine: str, version: str, family: str, name: str
) -> None:
    made = make_cache(engine=engine, engine_version=version).one(PARAMETERS)
    assert made.inputs["family"] == family
    assert made.name == f"redis-{name}", "a name that stays would be replaced under a cache that uses it"


def test_a_cache_that_becomes_a_valkey_stays_the_same_resource() -> None:
    redis, valkey = (make_cache(engine=engine).one(GROUP) for engine in ("redis", "valkey"))
    assert (redis.inputs["engine"], redis.inputs["engineVersion"]) == ("redis", "7.1")
    assert (valkey.inputs["engine"], valkey.inputs["engineVersion"]) == ("valkey", "8.1")
    assert redis.name == valkey.name
    groups = [make_cache(engine=engine).one("aws:ec2/securityGroup:SecurityGroup") for engine in ("redis", "valkey")]
    assert groups[0].inputs == groups[1].inputs, "another description would replace it"


def test_snapshots_are_made_where_asked_for() -> None:
    assert make_cache().one(GROUP).inputs["snapshotRetentionLimit"] == 0
    windows = {"snapshot_window": "03:00-04:00", "maintenance_window": "sun:05:00-sun:06:00"}
    group = make_cache(snapshot_days=3, **windows).one(GROUP).inputs
    assert group["snapshotRetentionLimit"] == 3
    assert (group["snapshotWindow"], group["maintenanceWindow"]) == tuple(windows.values())


def test_neither_lets_anybody_in_by_itself() -> None:
    for made in (make_database(), make_cache()):
        assert set(made.one("aws:ec2/securityGroup:SecurityGroup").inputs) == {"vpcId", "description", "tags"}
        assert not made.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        assert not made.all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
