"""`engine: aurora`: the cluster that stands in for an instance, what is refused, and who is told of its readers."""

import json
import re
from pathlib import Path
from typing import Any, cast

import database_settings
import example_args
import pulumi
import pytest
from recording import Recording, record
from test_stack import built as built  # a fixture that applies here too

import stack
from cli.doctor.wanted import wanted as wanted_of
from components import Database, DatabaseArgs, planning, state
from lab import up
from operate.doctor import cost
from operate.doctor.data import judge_class
from operate.doctor.finding import Status
from operate.doctor.wanted import Wanted
from operate.load.metrics import Instance, Places
from operate.load.metrics import Wanted as Metric
from operate.load.metrics import wanted as metrics_of
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "aws:rds/cluster:Cluster"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
PARAMETERS = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
TARGET = "aws:appautoscaling/target:Target"
POLICY = "aws:appautoscaling/policy:Policy"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
ARN = "arn:aws:rds:us-east-1:123456789012"
STARTS = ("snapshotIdentifier", "restoreToPointInTime")
OF_A_TIME = {
    "sourceClusterIdentifier": "shop-1",
    "restoreType": "full-copy",
    "restoreToTime": "2026-11-26T09:30:00Z",
}

pytestmark = pytest.mark.usefixtures("user_data")


def make(**more: object) -> Recording:
    return record(lambda: Database("db", cast(DatabaseArgs, {**example_args.database(), "engine": "aurora", **more})))


def load(environment: str = "dev", **database: object) -> Settings:
    return database_settings.load("aurora", environment, {**database})


def build(**database: Any) -> Recording:
    settled = load(**database)
    return record(lambda: stack.build(settled), stack="dev")


def refusals(**database: Any) -> dict[str, str]:
    return database_settings.refusals("aurora", database, "expressway:database.")


def test_the_cluster_is_what_production_needs_unless_told_otherwise() -> None:
    made = make()
    cluster = made.one(CLUSTER).inputs
    assert (cluster["engine"], cluster["engineVersion"]) == ("aurora-postgresql", "17")
    assert cluster["storageEncrypted"] is True
    assert cluster["deletionProtection"] is True
    assert cluster["backupRetentionPeriod"] == 7
    assert cluster["skipFinalSnapshot"] is False
    assert cluster["finalSnapshotIdentifier"].startswith("db-final-")
    assert cluster["applyImmediately"] is False
    assert cluster["enabledCloudwatchLogsExports"] == ["postgresql"]
    assert "finalSnapshotIdentifier" in made.one(CLUSTER).ignore_changes, "each run draws another"
    assert made.one(CLUSTER).delete_before_replace, "RDS takes no two of its name"
    assert not made.all("aws:rds/instance:Instance")
    writer = made.one(INSTANCE)
    assert (writer.name, writer.inputs["instanceClass"]) == ("db-writer", "db.t4g.medium")
    assert writer.inputs["publiclyAccessible"] is False
    assert "serverlessv2ScalingConfiguration" not in cluster
    group = made.one("aws:cloudwatch/logGroup:LogGroup")
    assert group.inputs["name"] == f"/aws/rds/cluster/{cluster['clusterIdentifier']}/postgresql"
    assert group.name in made.one(CLUSTER).depends_on, "RDS would make it, and keep it for good"


def test_rds_keeps_the_clusters_password_with_readers_too() -> None:
    made = make(replicas=2)
    cluster = made.one(CLUSTER).inputs
    assert cluster["manageMasterUserPassword"] is True
    assert "masterPassword" not in cluster, "it would be in Pulumi's state"
    assert not made.all("aws:secretsmanager/secret:Secret")


def test_the_cluster_refuses_connections_without_tls_and_takes_the_users_parameters() -> None:
    made = make(engine_version="16.4", parameters={"work_mem": "8192", "max_connections": "300"})
    group = made.one(PARAMETERS).inputs
    assert group["family"] == "aurora-postgresql16"
    assert {"name": "rds.force_ssl", "value": "1"} in group["parameters"]
    assert {"name": "work_mem", "value": "8192"} in group["parameters"]
    waits = {"name": "max_connections", "value": "300", "applyMethod": "pending-reboot"}
    assert waits in group["parameters"]
    assert made.one(CLUSTER).inputs["dbClusterParameterGroupName"] == made.one(PARAMETERS).name


def test_readers_are_in_other_zones_and_the_first_takes_over_first() -> None:
    made = make(replicas=3, instance_class="db.r7g.large")
    found = {each.name: each for each in made.all(INSTANCE)}
    instances = {name: found.pop(name) for name in ("db-writer", "db-reader1", "db-reader2", "db-reader3")}
    assert not found
    assert [each.inputs["availabilityZone"] for each in instances.values()] == [
        *("zone-of-subnet-a", "zone-of-subnet-b", "zone-of-subnet-a", "zone-of-subnet-b")
    ]
    assert [each.inputs["promotionTier"] for each in instances.values()] == [0, 1, 2, 2]
    assert {each.inputs["instanceClass"] for each in instances.values()} == {"db.r7g.large"}
    for name, each in instances.items():
        assert "availabilityZone" in each.ignore_changes, "a subnet more would have them made anew"
        assert name == "db-writer" or "db-writer" in each.depends_on, "the first instance becomes the writer"


def test_capacity_that_follows_the_load_is_the_clusters_and_its_class_the_instances() -> None:
    made = make(serverless={"min": 0, "max": 8.5}, replicas=1)
    assert made.one(CLUSTER).inputs["serverlessv2ScalingConfiguration"] == {"minCapacity": 0, "maxCapacity": 8.5}
    assert {each.inputs["instanceClass"] for each in made.all(INSTANCE)} == {"db.serverless"}


def test_readers_come_and_go_by_their_cpu_between_replicas_and_max_replicas() -> None:
    made = make(replicas=2, max_replicas=5, replica_cpu=45)
    target = made.one(TARGET)
    assert (target.inputs["minCapacity"], target.inputs["maxCapacity"]) == (2, 5)
    assert target.inputs["resourceId"] == f"cluster:{made.one(CLUSTER).inputs['clusterIdentifier']}"
    assert target.inputs["scalableDimension"] == "rds:cluster:ReadReplicaCount"
    assert {"db-reader1", "db-reader2"} <= target.depends_on
    aim = made.one(POLICY).inputs["targetTrackingScalingPolicyConfiguration"]
    assert aim["targetValue"] == 45
    assert aim["predefinedMetricSpecification"] == {"predefinedMetricType": "RDSReaderAverageCPUUtilization"}
    assert not make(replicas=2).all(TARGET), "their number stays as it is"


def test_an_upgrade_that_waits_keeps_the_group_of_the_version_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"engineVersion": "16", "engineVersionActual": "16.9", "clusterIdentifier": "db-cluster-1"}
    standing = state.State((state.Standing(state.CLUSTER, "db-cluster", there),))
    monkeypatch.setattr(state, "read", lambda: standing)
    made = make(engine_version="17")
    assert sorted(each.name for each in made.all(PARAMETERS)) == ["db-aurora-postgresql16", "db-aurora-postgresql17"]
    cluster = made.one(CLUSTER)
    assert cluster.inputs["clusterIdentifier"] == "db-cluster-1"
    assert "dbClusterParameterGroupName" not in cluster.ignore_changes
    there["engineVersion"] = "17"
    assert "dbClusterParameterGroupName" in make(engine_version="17").one(CLUSTER).ignore_changes
    assert make(engine_version="16.4").one(CLUSTER).inputs["engineVersion"] == "16.9", "RDS takes no older one"


@pytest.mark.parametrize(
    ("given", "path", "rule"),
    [
        ({"storageGb": 50}, "storageGb", "with engine aurora: Aurora's storage grows by itself Leave it out"),
        ({"maxStorageGb": 100}, "maxStorageGb", "storage grows by itself"),
        ({"multiAz": True}, "multiAz", "readers are its standbys Leave it out, and set replicas to 1 or more"),
        ({"snapshot": "a", "restoreFrom": "shop"}, "restoreFrom", "starts from one of them Leave one of them out"),
        ({"restoreTime": "2026-11-26T09:30:00Z"}, "restoreTime", "without restoreFrom.*Add restoreFrom"),
        ({"restoreFrom": "shop", "shards": 2}, "shards", "it must be 1 with restoreFrom"),
        (
            {"engine": "postgresql", "snapshot": f"{ARN}:cluster-snapshot:rds:shop-1"},
            "snapshot",
            "of which RDS makes no instance Set engine to aurora, or name the snapshot of an instance",
        ),
        ({"instanceClass": "db.t4g.micro"}, "instanceClass", r"a class that Aurora has.*Choose db\.t4g\.medium"),
        ({"instanceClass": "db.m7g.large"}, "instanceClass", "a class that Aurora has"),
        ({"instanceClass": "db.serverless"}, "instanceClass", "without serverless.*Add serverless, with min and max"),
        (
            {"instanceClass": "db.r7g.large", "serverless": {"min": 1, "max": 2}},
            "instanceClass",
            "left out with serverless",
        ),
        ({"serverless": {"min": 4, "max": 2}}, "serverless.min", r"at most serverless\.max, 2"),
        ({"serverless": {"min": 0.3, "max": 2}}, "serverless.min", r"in steps of 0\.5"),
        ({"serverless": {"min": 1, "max": 257}}, "serverless.max", "0 to 256 Aurora capacity units"),
        ({"serverless": {"min": 0, "max": 0.5}}, "serverless.max", "1 at least"),
        ({"serverless": {"min": 0, "max": 0}}, "serverless.max", "1 at least"),
        ({"serverless": {"min": "1", "max": 2}}, "serverless.min", "must be a number"),
        ({"serverless": {"min": 1}}, "serverless.max", "must be given"),
        (
            {"serverless": {"min": 0, "max": 2}, "engineVersion": "16.2"},
            "serverless.min",
            r"pauses from 16\.3 on.*set engineVersion to 16\.3",
        ),
        ({"maxReplicas": 3}, "maxReplicas", "without replicas"),
        ({"replicas": 3, "maxReplicas": 3}, "maxReplicas", "more than replicas, 3"),
        ({"replicas": 1, "maxReplicas": 16}, "maxReplicas", "2 to 15"),
        ({"replicaCpu": 50}, "replicaCpu", "without maxReplicas"),
        ({"engine": "postgresql", "serverless": {"min": 1, "max": 2}}, "serverless", "set engine to aurora"),
        ({"engine": "postgresql", "maxReplicas": 2}, "maxReplicas", "set engine to aurora"),
        ({"engine": "postgresql", "instanceClass": "db.serverless"}, "instanceClass", "only Aurora has it"),
        ({"engine": "mysql"}, "engine", "postgresql, aurora or external"),
    ],
)
def test_what_does_not_fit_the_engine_is_refused_at_preview_with_the_mend(
    given: dict[str, Any], path: str, rule: str
) -> None:
    found = refusals(**given)
    assert list(found) == [path]
    assert re.search(rule, found[path]), found[path]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"storage_gb": 50}, r"storageGb: .*grows by itself"),
        ({"multi_az": False}, r"multiAz: .*readers are its standbys"),
        ({"instance_class": "db.t4g.small"}, r"instanceClass: .*a class that Aurora has"),
        ({"serverless": {"min": 2, "max": 1}}, r"serverless\.min: .*at most serverless\.max"),
        ({"serverless": {"min": 1}}, r"serverless\.max: it is missing"),
        ({"engine": "postgresql", "max_replicas": 3, "replicas": 1}, r"maxReplicas: .*set engine to aurora"),
        ({"engine": "postgresql", "snapshot": f"{ARN}:cluster-snapshot:a"}, r"snapshot: .*Set engine to aurora"),
        ({"snapshot": "a", "restore_from": "b"}, r"restoreFrom: .*starts from one of them"),
    ],
)
def test_the_component_alone_refuses_the_same(given: dict[str, Any], message: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=message):
        make(**given)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({"snapshot": "before"}, {"snapshotIdentifier": "before"}),
        *(
            ({"snapshot": arn}, {"snapshotIdentifier": arn})
            for arn in (f"{ARN}:cluster-snapshot:rds:shop-2026", f"{ARN}:snapshot:of-an-instance")
        ),
        (
            {"restore_from": "shop-1"},
            {
                "restoreToPointInTime": {
                    "sourceClusterIdentifier": "shop-1",
                    "restoreType": "full-copy",
                    "useLatestRestorableTime": True,
                }
            },
        ),
        (
            {"restore_from": "shop-1", "restore_time": "2026-11-26T09:30:00Z"},
            {"restoreToPointInTime": OF_A_TIME},
        ),
    ],
)
def test_a_cluster_that_starts_from_a_copy_has_its_user_and_database_and_the_rest_of_its_own(
    given: dict[str, object], start: dict[str, object]
) -> None:
    made = make(**given, replicas=2, serverless={"min": 1, "max": 4}, database_name="shop")
    cluster = made.one(CLUSTER).inputs
    assert {key: cluster[key] for key in STARTS if key in cluster} == start
    assert not {"masterUsername", "databaseName"} & set(cluster), "RDS would replace it for others than the copy has"
    assert cluster["manageMasterUserPassword"] is True, "whoever knew the copy's may know it no more"
    assert cluster["storageEncrypted"] is True
    assert cluster["serverlessv2ScalingConfiguration"] == {"minCapacity": 1, "maxCapacity": 4}
    assert len(made.all(INSTANCE)) == 3, "its readers need no password of our own, so they need not wait"


def test_an_empty_cluster_starts_from_nothing() -> None:
    cluster = make().one(CLUSTER).inputs
    assert not set(STARTS) & set(cluster)
    assert (cluster["masterUsername"], cluster["databaseName"]) == ("expressway", "app")


@pytest.mark.parametrize("started", [{}, {"snapshotIdentifier": "before"}, {"restoreToPointInTime": OF_A_TIME}])
@pytest.mark.parametrize("given", [{}, {"snapshot": "another"}, {"restore_from": "shop-2"}])
def test_what_a_cluster_started_from_is_never_changed(
    monkeypatch: pytest.MonkeyPatch, started: dict[str, object], given: dict[str, object]
) -> None:
    there = {"clusterIdentifier": "db-cluster-1", "masterUsername": "owner", **started}
    standing = state.State((state.Standing(state.CLUSTER, "db-cluster", there),))
    monkeypatch.setattr(state, "read", lambda: standing)
    cluster = make(**given).one(CLUSTER).inputs
    assert {key: cluster[key] for key in STARTS if key in cluster} == started
    assert ("masterUsername" in cluster) is ("databaseName" in cluster) is (not started)


def test_the_app_is_no_master_user_of_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"clusterIdentifier": "db-cluster-1", "masterUsername": "owner", "snapshotIdentifier": "before"}
    standing = state.State((state.Standing(state.CLUSTER, "db-cluster", there),))
    monkeypatch.setattr(state, "read", lambda: standing)
    with pytest.raises(pulumi.InputPropertiesError, match=r"appUser: .*master user"):
        make(app_user="owner")


def test_the_settings_say_what_a_cluster_starts_from_and_the_app_is_sent_to_the_database_that_they_name() -> None:
    made = build(restoreFrom="shop-1", restoreTime="2026-11-26T09:30:00Z", name="shop", replicas=1)
    assert made.one(CLUSTER).inputs["restoreToPointInTime"] == OF_A_TIME
    assert made.machine("dev-app")["database"]["name"] == "shop"
    assert build(snapshot="before").one(CLUSTER).inputs["snapshotIdentifier"] == "before"


@pytest.mark.parametrize(
    ("started", "same", "other"),
    [
        ({"snapshotIdentifier": "before"}, {"snapshot": "before"}, {"snapshot": "after"}),
        (
            {"restoreToPointInTime": OF_A_TIME},
            {"restoreFrom": "shop-1", "restoreTime": OF_A_TIME["restoreToTime"]},
            {"restoreFrom": "shop-1", "restoreTime": "2026-11-27T00:00:00Z"},
        ),
        ({}, {}, {"restoreFrom": "shop-1"}),
    ],
)
def test_a_cluster_that_stands_starts_from_nothing_else(
    monkeypatch: pytest.MonkeyPatch, started: dict[str, Any], same: dict[str, Any], other: dict[str, Any]
) -> None:
    # RDS tells of a copy what its source was made with.
    outputs = {"databaseName": "app", "engineVersionActual": "17.6", "clusterIdentifier": "c", **started}
    standing = state.Standing(state.CLUSTER, "dev-database-cluster", outputs)
    monkeypatch.setattr(state, "read", lambda: state.State((standing,)))
    named = {"name": "shop"} if started else {}
    for given in (same, {}):
        made = build(**given, **named).one(CLUSTER).inputs
        assert {key: made[key] for key in STARTS if key in made} == started
    with pytest.raises(stack.StandingError) as refused:
        build(**other, **named)
    (path,) = re.findall(r"expressway:database\.(\S+)", str(refused.value))
    assert path == [*other][-1]
    assert "make another stack with it" in str(refused.value)


def test_an_environments_defaults_that_aurora_has_not_are_left_out() -> None:
    prod = load("prod")
    assert (prod.database.multi_az, prod.database.instance_class) == (False, "db.t4g.medium")
    assert (prod.database.backup_days, prod.database.deletion_protection) == (7, True)
    assert load(serverless={"min": 1, "max": 4}).database.instance_class == "db.serverless"


@pytest.mark.parametrize(("there", "wanted"), [("postgresql", "aurora"), ("aurora", "postgresql")])
def test_one_engine_does_not_become_the_other(there: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, name = (state.DATABASE, "instance") if there == "postgresql" else (state.CLUSTER, "cluster")
    outputs = {"dbName": "app", "databaseName": "app", "allocatedStorage": 100, "engineVersionActual": "17.6"}
    standing = state.Standing(kind, f"dev-database-{name}", outputs)
    monkeypatch.setattr(state, "read", lambda: state.State((standing,)))
    with pytest.raises(stack.StandingError) as refused:
        build(engine=wanted)
    assert re.findall(r"expressway:\S+ = \S+", str(refused.value)) == [f'expressway:database.engine = "{wanted}"']
    assert re.search(f'it is "{there}" now.*another stack', str(refused.value), re.DOTALL)


def test_a_cluster_that_stands_is_held_to_its_name_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"databaseName": "app", "engineVersionActual": "17.6", "clusterIdentifier": "c"}
    standing = state.Standing(state.CLUSTER, "dev-database-cluster", outputs)
    monkeypatch.setattr(state, "read", lambda: state.State((standing,)))
    assert build().one(CLUSTER).inputs["clusterIdentifier"] == "c"
    with pytest.raises(stack.StandingError) as refused:
        build(name="shop", engineVersion="16")
    assert re.findall(r"expressway:(\S+)", str(refused.value)) == ["database.engineVersion", "database.name"]


def test_the_app_is_told_of_the_writer_and_of_one_name_for_the_readers() -> None:
    made = build(replicas=2)
    told = made.machine("dev-app")["database"]
    assert told["host"] == "dev-database-cluster.cluster-x.rds.example"
    assert told["reader_host"] == "dev-database-cluster.cluster-ro-x.rds.example"
    assert told["replica_hosts"] == [], "nobody can say how far behind a name is that leads to another reader each time"
    assert told["secret"] in made.one("aws:iam/rolePolicy:RolePolicy", "dev-app-boot").inputs["policy"]
    assert made.outputs["databaseEndpoint"] == "dev-database-cluster.cluster-x.rds.example:5432"
    assert made.outputs["databasePasswordSecret"] == "", "RDS keeps and rotates it"
    assert build().machine("dev-app")["database"]["reader_host"] == "", "without readers it would lead to the writer"


def test_each_shard_is_a_cluster() -> None:
    made = build(shards=2, replicas=1)
    assert sorted(each.name for each in made.all(CLUSTER)) == ["dev-database-2-cluster", "dev-database-cluster"]
    (second,) = made.machine("dev-app")["database"]["shards"]
    assert second["reader_host"] == "dev-database-2-cluster.cluster-ro-x.rds.example"


@pytest.mark.parametrize(
    ("least", "most", "connections"),
    [(0.5, 1, 189), (1, 4, 822), (1, 8, 1668), (1, 16, 3358), (0.5, 16, 2000), (0, 64, 2000), (1, 32, 5000)],
)
def test_connections_follow_from_the_most_capacity_as_awss_table_has_them(
    least: float, most: float, connections: int
) -> None:
    assert planning.sure_connections("db.serverless", capacity=(least, most)) == connections
    assert load(serverless={"min": least, "max": most}).connections.most == connections


def test_a_fleet_that_the_capacity_cannot_take_is_refused() -> None:
    found = refusals(serverless={"min": 0.5, "max": 1}, poolSize=100)
    assert list(found) == ["poolSize"]
    assert "of max_connections 189" in found["poolSize"]


def alarms(**database: Any) -> dict[str, dict[str, Any]]:
    found = {each.name.removeprefix("dev-monitoring-"): each.inputs for each in build(**database).all(ALARM)}
    keys = {each.key for each in load(**database).alarms}
    assert keys == found.keys(), "the doctor counts those that there are"
    return {name: each for name, each in found.items() if name.startswith("database")}


def test_alarms_are_those_that_a_cluster_has() -> None:
    fixed = alarms(replicas=1)
    assert fixed.keys() == {f"database-{each}" for each in ("cpu", "connections", "lag", "credits")}
    for each in fixed.values():
        assert each["dimensions"] == {"DBClusterIdentifier": "dev-database-cluster"}
    assert fixed["database-lag"]["metricName"] == "AuroraReplicaLagMaximum"
    assert fixed["database-lag"]["threshold"] == 1000, "milliseconds"
    following = alarms(serverless={"min": 1, "max": 4})
    assert following.keys() == {f"database-{each}" for each in ("cpu", "connections", "capacity")}
    assert following["database-capacity"]["metricName"] == "ACUUtilization"
    assert following["database-connections"]["threshold"] == 822 * 6 // 10
    assert "database-shard-1-cpu" in alarms(shards=2)


def test_the_dashboard_shows_what_a_cluster_has() -> None:
    body = json.loads(
        build(replicas=1, serverless={"min": 1, "max": 4})
        .one("aws:cloudwatch/dashboard:Dashboard")
        .inputs["dashboardBody"]
    )
    rds = [
        each for widget in body["widgets"] for each in widget["properties"].get("metrics", []) if each[0] == "AWS/RDS"
    ]
    assert {each[1] for each in rds} == {
        *("CPUUtilization", "DatabaseConnections", "VolumeBytesUsed"),
        *("ServerlessDatabaseCapacity", "AuroraReplicaLagMaximum"),
    }
    assert {tuple(each[2:4]) for each in rds} == {("DBClusterIdentifier", "dev-database-cluster")}


def wanted(**database: Any) -> Wanted:
    return wanted_of(load(**database), ROOT)


def test_the_doctor_says_that_it_counts_no_price_of_aurora() -> None:
    estimate = cost.estimate(wanted(replicas=2, maxReplicas=5))
    items = {each.name: each for each in estimate.items if "Aurora" in each.name}
    assert list(items) == ["Aurora instance, db.t4g.medium", "Aurora storage and I/O, as used"]
    assert (items["Aurora instance, db.t4g.medium"].count, items["Aurora instance, db.t4g.medium"].most) == (3, 6)
    assert set(items) <= set(estimate.unknown)
    assert not [each for each in estimate.items if each.name.startswith("database")]
    following = cost.estimate(wanted(serverless={"min": 0.5, "max": 8}))
    assert "Aurora instance, 0.5 to 8 capacity units" in following.unknown


def test_the_doctor_takes_auroras_storage_for_what_it_is() -> None:
    option = {"StorageType": "aurora", "SupportsStorageEncryption": True, "AvailabilityZones": [{"Name": "us-east-1a"}]}
    found = judge_class(wanted().database, "17.6", [option], ["us-east-1a"])
    assert found.status is Status.OK, found


def load_asks(*instances: Instance) -> list[Metric]:
    endpoint = "shop-database.cluster-c1f2.us-east-1.rds.amazonaws.com:5432"
    outputs = {"appGroupName": "a", "edgeGroupName": "e", "databaseEndpoint": endpoint}
    places = Places.of(outputs, lambda _: [], {"shop-database": instances}.__getitem__)
    return [each for each in metrics_of(places) if each.namespace == "AWS/RDS"]


def test_load_asks_for_each_instances_metrics_and_for_the_clusters_where_nobody_tells_them() -> None:
    asked = load_asks(Instance("writer", "db.serverless"), Instance("reader", "db.r7g.large"))
    assert {each.dimension for each in asked} == {
        ("DBInstanceIdentifier", "writer"),
        ("DBInstanceIdentifier", "reader"),
    }
    assert [each.who for each in asked if each.name == "ServerlessDatabaseCapacity"] == ["writer"]
    alone = load_asks()
    assert {each.dimension for each in alone} == {("DBClusterIdentifier", "shop-database")}
    assert "FreeStorageSpace" not in {each.name for each in (*asked, *alone)}, "there is none to wait for"


def test_the_lab_says_before_it_makes_anything_that_it_has_no_aurora() -> None:
    with pytest.raises(
        up.UpError, match=r"database\.engine = aurora: the lab has no Aurora.*engine=postgresql"
    ) as told:
        up._settings(["expressway:database.engine=aurora"])  # pyright: ignore[reportPrivateUsage]
    assert "\n" not in str(told.value)
    assert up._settings([]).database.engine == "postgresql"  # pyright: ignore[reportPrivateUsage]
