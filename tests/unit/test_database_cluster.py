"""`expressway db` on an Aurora cluster, against moto's RDS, whose part of the work the tests do."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate.database import (
    cluster,
    connect,
    failover,
    instance,
    password,
    promote,
    restore,
    restore_cluster,
    snapshots,
    status,
)
from operate.database.instance import DatabaseError, RequestError
from operate.stack import Stack

NAME = "dev-database-cluster"
READERS = [f"{NAME}-reader1", f"{NAME}-reader2"]
WRITER = f"{NAME}-writer"
GROUP, SUBNETS = "dev-aurora17", "dev-subnets"
CAPACITY = {"MinCapacity": 0.5, "MaxCapacity": 8.0}


class Site:
    """A stack with a cluster of a writer and readers in other zones."""

    def __init__(self, readers: int = 2, **password: Any) -> None:
        self.rds = boto3.client("rds", "us-east-1")
        ec2 = boto3.client("ec2", "us-east-1")
        vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
        places = [("a", "10.20.0.0/24"), ("b", "10.20.1.0/24"), ("c", "10.20.2.0/24")]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]
            for zone, cidr in places
        ]
        self.group = ec2.create_security_group(GroupName="db", Description="db", VpcId=vpc)["GroupId"]
        self.rds.create_db_subnet_group(
            DBSubnetGroupName=SUBNETS, DBSubnetGroupDescription="private", SubnetIds=subnets
        )
        self.rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=GROUP, DBParameterGroupFamily="aurora-postgresql17", Description="d"
        )
        made = self.rds.create_db_cluster(
            DBClusterIdentifier=NAME,
            Engine="aurora-postgresql",
            EngineVersion="17.6",
            MasterUsername="expressway",
            **(password or {"ManageMasterUserPassword": True}),
            DatabaseName="app",
            StorageEncrypted=True,
            BackupRetentionPeriod=7,
            DBSubnetGroupName=SUBNETS,
            VpcSecurityGroupIds=[self.group],
            DBClusterParameterGroupName=GROUP,
            ServerlessV2ScalingConfiguration=CAPACITY,
            Tags=[{"Key": "team", "Value": "web"}],
        )["DBCluster"]
        for tier, (name, (zone, _)) in enumerate(zip([WRITER, *READERS[:readers]], places, strict=False)):
            self.rds.create_db_instance(
                DBInstanceIdentifier=name,
                DBClusterIdentifier=NAME,
                Engine="aurora-postgresql",
                DBInstanceClass="db.serverless",
                AvailabilityZone=f"us-east-1{zone}",
                PromotionTier=tier,
            )
        outputs = {
            **dict.fromkeys(("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName"), "any"),
            "region": "us-east-1",
            "databaseEndpoint": f"{made['Endpoint']}:5432",
            "databasePasswordSecret": "",
        }
        stack = Stack.of(outputs, boto3.Session("test", "test", region_name="us-east-1"))
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """What RDS is asked for, as it was written."""
        self.answers: dict[str, Any] = {"DescribePendingMaintenanceActions": {"PendingMaintenanceActions": []}}
        """Of calls that moto has not, or has otherwise."""
        self._client = stack.client
        self.stack = replace(stack, client=self._heard)

    def _heard(self, service: str) -> Any:
        found = self._client(service)
        events = found.meta.events
        events.register("before-parameter-build.rds", self._hear, unique_id="heard")
        events.register("before-call.rds", self._answer, unique_id="answer")
        return found

    def _answer(self, model: Any, **_: Any) -> Any:
        answer = self.answers.get(model.name)
        return None if answer is None else (SimpleNamespace(status_code=200), answer)

    def _hear(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.asked.append((model.name, dict(params)))

    def given(self, name: str) -> dict[str, Any]:
        """The parameters of the one call of that name."""
        (params,) = [params for asked, params in self.asked if asked == name]
        return params

    def tell(self, dimension: str, name: str, **values: float) -> None:
        """CloudWatch, of an instance or of the cluster."""
        data = [
            {
                "MetricName": metric,
                "Dimensions": [{"Name": dimension, "Value": name}],
                "Timestamp": datetime.now(UTC),
                "Value": value,
            }
            for metric, value in values.items()
        ]
        boto3.client("cloudwatch", "us-east-1").put_metric_data(Namespace="AWS/RDS", MetricData=data)  # pyright: ignore[reportArgumentType]

    def cluster(self, name: str = NAME) -> dict[str, Any]:
        return cast(dict[str, Any], self.rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0])


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield


@pytest.fixture
def site() -> Site:
    return Site()


def at_once(_: float) -> None:
    """Nobody waits."""


def invoke(monkeypatch: pytest.MonkeyPatch, site: Site, *arguments: str) -> Any:
    monkeypatch.setattr(targets, "find", lambda _name, _outputs: Target("shop", site.stack, None))
    monkeypatch.setattr(instance, "POLL_SECONDS", 0.01)
    return CliRunner().invoke(app, ["db", *arguments], env={"COLUMNS": "80"})


def test_the_status_has_the_writer_first_and_what_cloudwatch_has_of_each(site: Site) -> None:
    site.tell("DBInstanceIdentifier", WRITER, CPUUtilization=12.5, DatabaseConnections=30)
    site.tell("DBInstanceIdentifier", READERS[0], CPUUtilization=3, AuroraReplicaLag=25)
    site.tell("DBClusterIdentifier", NAME, VolumeBytesUsed=3 * 2**30)
    found = status.look(site.stack)
    assert [(each.id, each.role, each.zone) for each in found.members] == [
        (WRITER, "writer", "us-east-1a"),
        (READERS[0], "reader", "us-east-1b"),
        (READERS[1], "reader", "us-east-1c"),
    ]
    writer, reader, _ = found.members
    assert (writer.cpu, writer.connections, writer.storage_used_gb, writer.lag) == (12.5, 30, 3.0, None)
    assert (reader.cpu, reader.storage_used_gb, reader.lag) == (3, None, 0.025), "milliseconds are told"
    assert (found.aurora, found.backup_days, found.parameter_group) == (True, 7, GROUP)
    assert found.endpoint == site.stack.outputs["databaseEndpoint"]
    assert found.latest is not None
    json.dumps(found.as_json())


def test_max_connections_of_the_clusters_parameter_group_counts(site: Site) -> None:
    assert status.look(site.stack).members[0].connections_most is None, "capacity follows the load"
    site.rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=GROUP,
        Parameters=[{"ParameterName": "max_connections", "ParameterValue": "300", "ApplyMethod": "pending-reboot"}],
    )
    assert {each.connections_most for each in status.look(site.stack).members} == {300}


def test_the_table_fits_80_columns_and_says_what_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    told = invoke(monkeypatch, Site(), "status")
    assert told.exit_code == 0, told.output
    table = told.stdout.partition("lag in s")[0].splitlines()
    assert max(len(line) for line in table) <= 80
    assert "Aurora PostgreSQL 17.6 on db.serverless" in told.stdout
    assert f"readers: {', '.join(READERS)}" in told.stdout
    assert "writer" in told.stdout
    assert "multiAz" not in told.stdout


def test_without_a_reader_the_status_says_so_and_a_failover_is_refused_with_the_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(readers=0)
    assert "no reader" in invoke(monkeypatch, site, "status").stdout
    with pytest.raises(DatabaseError, match=r"no reader to take over: set expressway:database\.replicas to 1"):
        failover.failover(site.stack, pause=at_once)
    assert cluster.writer(site.cluster()) == WRITER


def test_a_reader_takes_over_and_the_name_leads_there(site: Site) -> None:
    said, answers = list[str](), iter(["10.20.0.5", "10.20.0.5", "10.20.1.5"])
    done = failover.failover(site.stack, said.append, at_once, lambda _: next(answers))
    assert (done.id, done.writer) == (NAME, READERS[0])
    assert (done.former, done.zone) == ("us-east-1a", "us-east-1b")
    assert done.moved_seconds is not None
    assert cluster.writer(site.cluster()) == READERS[0]
    assert said[0] == f"{NAME}: a reader takes over from {WRITER}"
    assert "leads to 10.20.1.5" in "\n".join(said)


def test_a_failover_where_names_are_not_resolved_waits_for_another_writer(site: Site) -> None:
    looks = list[float]()
    # RDS has begun, and moto would be through with it.
    site.answers["FailoverDBCluster"] = {"DBCluster": {}}

    def rds(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            site.rds.failover_db_cluster(DBClusterIdentifier=NAME)

    done = failover.failover(site.stack, pause=rds, resolve=lambda _: None)
    assert (len(looks), done.writer, done.moved_seconds) == (3, READERS[0], None)
    assert site.given("FailoverDBCluster") == {"DBClusterIdentifier": NAME}


def test_a_snapshot_by_hand_is_listed_and_its_name_is_taken(site: Site) -> None:
    taken = snapshots.take(site.stack, "before-the-move", pause=at_once)
    assert (taken.snapshot.name, taken.snapshot.kind, taken.snapshot.encrypted) == ("before-the-move", "manual", True)
    assert taken.snapshot.storage_gb is None, "RDS doesn't say"
    assert "before-the-move" in [each.name for each in snapshots.every(site.stack)]
    with pytest.raises(RequestError, match="there is a snapshot before-the-move already"):
        snapshots.take(site.stack, "before-the-move", pause=at_once)
    assert snapshots.describe(site.stack, "never-made") is None


def check_copy(site: Site, done: restore.Restored) -> dict[str, Any]:
    copy = site.cluster(done.id)
    made = site.rds.describe_db_instances(DBInstanceIdentifier=f"{done.id}-writer")["DBInstances"][0]
    assert (made["DBClusterIdentifier"], made["DBInstanceClass"]) == (done.id, "db.serverless")
    assert done.writer == f"{done.id}-writer"
    assert done.endpoint == f"{copy['Endpoint']}:5432"
    assert done.secret == copy["MasterUserSecret"]["SecretArn"], "of its own, which RDS keeps"
    return copy


def test_a_copy_of_the_latest_time_has_the_stacks_network_parameters_and_capacity(site: Site) -> None:
    done = restore.restore(site.stack, "copy", pause=at_once)
    check_copy(site, done)
    assert (done.source, done.at) == (NAME, None)
    given = site.given("RestoreDBClusterToPointInTime")
    assert given["UseLatestRestorableTime"] is True
    assert (given["DBSubnetGroupName"], given["VpcSecurityGroupIds"]) == (SUBNETS, [site.group])
    assert (given["DBClusterParameterGroupName"], given["ServerlessV2ScalingConfiguration"]) == (GROUP, CAPACITY)
    assert given["Tags"] == [{"Key": "team", "Value": "web"}]


def test_a_copy_of_a_time_is_of_that_and_one_that_no_backup_has_is_refused(site: Site) -> None:
    early = datetime.now(UTC) - timedelta(days=30)
    with pytest.raises(RequestError, match=rf"{NAME} can't be had of .*: earliest \d.*, latest \d"):
        restore.restore(site.stack, "copy", early, pause=at_once)
    assert not [name for name, _ in site.asked if name.startswith(("Restore", "Create"))]
    at = datetime.now(UTC)
    done = restore.restore(site.stack, "copy", at, pause=at_once)
    given = site.given("RestoreDBClusterToPointInTime")
    assert given["RestoreToTime"] == at
    assert "UseLatestRestorableTime" not in given
    assert done.at == f"{at:%Y-%m-%dT%H:%M:%SZ}"


def test_a_copy_of_a_snapshot_is_of_that_alone_and_has_a_password_of_its_own() -> None:
    # moto loses a password that RDS keeps on the way.
    site = Site(MasterUserPassword="of-the-first-day")
    snapshots.take(site.stack, "before", pause=at_once)
    done = restore.restore(site.stack, "copy", snapshot="before", pause=at_once)
    check_copy(site, done)
    given = site.given("RestoreDBClusterFromSnapshot")
    assert (given["SnapshotIdentifier"], given["Engine"]) == ("before", "aurora-postgresql")
    assert done.source == "before"
    asked = site.given("ModifyDBCluster")
    assert (asked["DBClusterIdentifier"], asked["ManageMasterUserPassword"]) == ("copy", True)


def test_nothing_is_restored_over_a_cluster_and_what_is_no_snapshot_is_named(site: Site) -> None:
    with pytest.raises(RequestError, match=f"there is a cluster {NAME} already"):
        restore.restore(site.stack, NAME, pause=at_once)
    with pytest.raises(RequestError, match="there is no snapshot never-made"):
        restore.restore(site.stack, "copy", snapshot="never-made", pause=at_once)
    with pytest.raises(RequestError, match="too long: with Aurora up to 56"):
        restore.restore(site.stack, "c" * 57, pause=at_once)
    assert [each["DBClusterIdentifier"] for each in site.rds.describe_db_clusters()["DBClusters"]] == [NAME]


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"StorageEncrypted": False}, "is not encrypted"),
        ({"EngineVersion": "16.9"}, r"of PostgreSQL 16.*default\.aurora-postgresql16"),
        ({"Engine": "aurora-mysql"}, "is of aurora-mysql"),
        ({"Status": "creating"}, "is creating: wait"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_before_anything_is_made(
    site: Site, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], rule: str
) -> None:
    snapshots.take(site.stack, "before", pause=at_once)
    whole = snapshots.describe(site.stack, "before") or {}
    monkeypatch.setattr(snapshots, "describe", lambda _stack, _name: {**whole, **changed})
    with pytest.raises(DatabaseError, match=rule):
        restore.restore(site.stack, "copy", snapshot="before", pause=at_once)
    with pytest.raises(ClientError):
        site.cluster("copy")


def test_a_copy_says_how_to_be_rid_of_it_and_how_a_stack_starts_from_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_cluster, "wait", lambda stack, name, *_: cluster.describe(stack, name))
    told = invoke(monkeypatch, site, "restore", "--as", "copy", "--latest")
    assert told.exit_code == 0, told.output
    assert "--db-instance-identifier copy-writer, then aws rds delete-db-cluster" in told.stdout
    assert "a new stack starts from it with expressway:database.restoreFrom: copy" in told.stdout


def test_rds_draws_another_password_and_it_is_over_when_the_secret_has_it(site: Site) -> None:
    secret, looks = site.cluster()["MasterUserSecret"]["SecretArn"], list[float]()
    manager = boto3.client("secretsmanager", "us-east-1")
    before = manager.get_secret_value(SecretId=secret)["VersionId"]
    # moto would rotate it within the call, to no value at all.
    site.answers["ModifyDBCluster"] = {"DBCluster": {}}

    def rds(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            manager.put_secret_value(SecretId=secret, SecretString="drawn")

    done = password.rotate(site.stack, pause=rds)
    assert len(looks) == 3, "the secret had no other before"
    assert (done.secret, done.version) == (secret, manager.get_secret_value(SecretId=secret)["VersionId"])
    assert done.version != before
    asked = site.given("ModifyDBCluster")
    assert asked["RotateMasterUserPassword"] is asked["ApplyImmediately"] is True


def test_who_may_log_in_is_what_the_secret_says_at_the_writer_a_reader_and_a_copy(site: Site) -> None:
    secret = site.cluster()["MasterUserSecret"]["SecretArn"]
    manager = boto3.client("secretsmanager", "us-east-1")
    manager.put_secret_value(
        SecretId=secret, SecretString=json.dumps({"username": "expressway", "password": "hunter2"})
    )
    found = connect.login(site.stack)
    assert (found.id, found.host, found.port) == (NAME, site.cluster()["Endpoint"], 5432)
    assert (found.name, found.user, found.password) == ("app", "expressway", "hunter2")
    reader = connect.login(site.stack, READERS[0])
    own = site.rds.describe_db_instances(DBInstanceIdentifier=READERS[0])["DBInstances"][0]
    assert reader.host == own["Endpoint"]["Address"]
    assert reader.password == "hunter2"
    copy = restore.restore(site.stack, "copy", pause=at_once)
    manager.put_secret_value(SecretId=copy.secret, SecretString=json.dumps({"username": "u", "password": "other"}))
    assert connect.login(site.stack, "copy").password == "other"
    with pytest.raises(RequestError, match="no instance and no cluster nobody"):
        connect.login(site.stack, "nobody")


def test_no_reader_becomes_a_database_of_its_own(site: Site) -> None:
    with pytest.raises(RequestError, match=f"{NAME} is an Aurora cluster.*expressway db failover.*db restore"):
        promote.promote(site.stack, READERS[0], pause=at_once)


def test_while_rds_does_something_to_it_nothing_else_is_begun(site: Site) -> None:
    site.answers["DescribeDBClusters"] = {"DBClusters": [{**site.cluster(), "Status": "upgrading"}]}
    for begin in (failover.failover, password.rotate, snapshots.take):
        with pytest.raises(DatabaseError, match=f"{NAME} is upgrading: wait until it is available"):
            begin(site.stack)


def test_a_cluster_that_is_gone_is_named(site: Site) -> None:
    outputs = {**site.stack.outputs, "databaseEndpoint": "gone.cluster-c1f2.us-east-1.rds.amazonaws.com:5432"}
    there = Stack.of(outputs, boto3.Session("test", "test", region_name="us-east-1"))
    with pytest.raises(DatabaseError, match="there is no Aurora cluster gone in us-east-1"):
        status.look(there)
