"""`expressway db` against the lab's API, whose part of the work the tests do."""

import json
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate import forwarding
from operate.database import connect, password, promote, restore, snapshots, status
from operate.database.instance import DatabaseError, RequestError
from operate.stack import Stack
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_backups import archive, take_bases
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import create_database, machine_of

GIB = 2**30


class CutShortError(Exception):
    """Whoever waits is killed."""


class Site:
    """A stack with a database that is available."""

    def __init__(self, api: ApiServer, fleet: Fleet, **other: Any) -> None:
        self.api, self.rds, self.secrets = api, api.client("rds"), api.client("secretsmanager")
        made = create_database(api, fleet, StorageEncrypted=True, BackupRetentionPeriod=7, **other)
        self.name = made["DBInstanceIdentifier"]
        self.ready(self.name)
        take_bases(api)
        self.archived()
        self.stack = stack(api, f"{made['Endpoint']['Address']}:5432")

    def ready(self, name: str) -> None:
        self.api.control(f"db-instances/{name}", "PUT", {"status": "available"})

    def archived(self) -> None:
        """All that was written until now can be restored."""
        archive(self.api, self.name)

    def taking(self, _: float) -> None:
        """Between two looks, the snapshots that wait are taken."""
        take_bases(self.api)

    def described(self, name: str) -> dict[str, Any]:
        return self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def making(self, name: str, looks: int = 2) -> Callable[[float], None]:
        """Between two looks, what RDS does: nothing at first, and then there is the instance."""
        left = looks

        def pause(_: float) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.ready(name)

        return pause

    def replica(self) -> str:
        name = f"replica-{uuid.uuid4().hex[:8]}"
        self.rds.create_db_instance_read_replica(DBInstanceIdentifier=name, SourceDBInstanceIdentifier=self.name)
        self.ready(name)
        return name

    def tell(self, name: str, **values: float) -> None:
        """CloudWatch, of an instance."""
        self.api.client("cloudwatch").put_metric_data(
            Namespace="AWS/RDS",
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": name}],
                    "Timestamp": datetime.now(UTC),
                    "Value": value,
                }
                for metric, value in values.items()
            ],
        )


def stack(api: ApiServer, endpoint: str, **more: Any) -> Stack:
    outputs = {
        **dict.fromkeys(("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName"), "any"),
        "region": "us-east-1",
        "databaseEndpoint": endpoint,
        **more,
    }
    return Stack.of(outputs, boto3.Session("test", "test", region_name="us-east-1"), api.endpoint)


@pytest.fixture(scope="module")
def fleet(api: ApiServer) -> Fleet:
    return Fleet(api)


@pytest.fixture(scope="module")
def site(api: ApiServer, fleet: Fleet) -> Site:
    """RDS keeps its password."""
    return Site(api, fleet)


@pytest.fixture(scope="module")
def given(api: ApiServer, fleet: Fleet) -> Site:
    """The user gave its password, so that it can have replicas."""
    return Site(api, fleet, MasterUserPassword="the-password-of-the-first-day")


def never(_: float) -> None:
    raise AssertionError("there is nothing to wait for")


def invoke(monkeypatch: pytest.MonkeyPatch, site: Site, *arguments: str) -> Any:
    monkeypatch.setattr(targets, "find", lambda _name, _outputs: Target("shop", site.stack, None))
    return CliRunner().invoke(app, ["db", *arguments], env={"COLUMNS": "80"})


def test_the_status_has_each_instance_with_what_cloudwatch_has_of_it_and_what_waits(given: Site) -> None:
    replica = given.replica()
    given.tell(given.name, CPUUtilization=12.5, DatabaseConnections=30, FreeStorageSpace=15 * GIB)
    given.tell(replica, CPUUtilization=3, ReplicaLag=0.25)
    given.rds.modify_db_instance(DBInstanceIdentifier=given.name, DBInstanceClass="db.t4g.small")
    found = status.look(given.stack)
    primary, other = found.members
    assert (primary.id, primary.role, primary.status, primary.instance_class) == (
        *(given.name, "primary", "available", "db.t4g.micro"),
    )
    assert (primary.cpu, primary.connections, primary.storage_used_gb, primary.storage_gb) == (12.5, 30, 5.0, 20)
    assert primary.connections_most == 112, "a gibibyte by what RDS reckons for a connection"
    assert primary.lag is None
    assert (other.id, other.role, other.lag, other.storage_used_gb) == (replica, "replica", 0.25, None)
    assert other.zone != primary.zone
    assert found.pending == {"DBInstanceClass": "db.t4g.small"}
    assert (found.backup_days, found.parameters, found.maintenance) == (7, "in-sync", ())
    assert found.earliest is not None
    assert found.latest is not None
    assert found.earliest <= found.latest


def test_max_connections_of_the_parameter_group_counts_rather_than_the_class(site: Site) -> None:
    group = site.described(site.name)["DBParameterGroups"][0]["DBParameterGroupName"]
    assert status.look(site.stack).members[0].connections_most == 112
    number = {"ParameterName": "max_connections", "ParameterValue": "77", "ApplyMethod": "pending-reboot"}
    site.rds.modify_db_parameter_group(DBParameterGroupName=group, Parameters=[number])
    found = status.look(site.stack)
    assert found.members[0].connections_most == 77
    assert (found.parameters, found.members[0].parameters) == ("pending-reboot", "pending-reboot")


def test_a_snapshot_by_hand_is_listed_with_those_of_rds(site: Site) -> None:
    taken = snapshots.take(site.stack, "before-the-sale", pause=site.taking)
    assert (taken.snapshot.name, taken.snapshot.kind, taken.snapshot.status) == (
        *("before-the-sale", "manual", "available"),
    )
    unnamed = snapshots.take(site.stack, pause=site.taking)
    assert unnamed.snapshot.name.startswith(f"{site.name}-2"), "its name says when it was taken"
    found = snapshots.every(site.stack)
    assert {each.kind for each in found} == {"manual", "automated"}
    assert {each.storage_gb for each in found} == {20}
    ages = [each.made for each in found if each.made]
    assert ages == sorted(ages, reverse=True)
    with pytest.raises(RequestError, match="there is a snapshot before-the-sale already"):
        snapshots.take(site.stack, "before-the-sale", pause=never)
    for wrong in ("1st", "a--b", "ends-", "sp ace", "", "a" * 256):
        with pytest.raises(RequestError, match="can't be a snapshot's name"):
            snapshots.take(site.stack, wrong, pause=never)


def test_a_copy_is_an_instance_of_its_own_in_the_same_network(site: Site) -> None:
    name, said = f"copy-{uuid.uuid4().hex[:8]}", list[str]()
    at = datetime.now(UTC)
    site.archived()
    done = restore.restore(site.stack, name, at, None, said.append, site.making(name))
    made, live = site.described(name), site.described(site.name)
    assert made["VpcSecurityGroups"] == live["VpcSecurityGroups"]
    assert made["DBSubnetGroup"]["DBSubnetGroupName"] == live["DBSubnetGroup"]["DBSubnetGroupName"]
    groups = [each["DBParameterGroups"][0]["DBParameterGroupName"] for each in (made, live)]
    assert groups[0] == groups[1]
    assert (made["DBInstanceClass"], made["StorageEncrypted"]) == ("db.t4g.micro", True)
    assert made.get("ReadReplicaSourceDBInstanceIdentifier") is None, "it follows nobody"
    assert (made["PubliclyAccessible"], made["MultiAZ"], made["DeletionProtection"]) == (False, False, False)
    assert made["Endpoint"]["Address"] != live["Endpoint"]["Address"]
    assert done.secret == made["MasterUserSecret"]["SecretArn"] != live["MasterUserSecret"]["SecretArn"]
    assert (done.id, done.source, done.at) == (name, site.name, f"{at:%Y-%m-%dT%H:%M:%SZ}")
    assert said == [f"{name} is being made of {site.name}", f"{name} is creating", f"{name} is available"]


def test_a_copy_whose_source_has_a_given_password_gets_one_that_rds_keeps(given: Site) -> None:
    """Whoever has to look at last week's data may know today's password alone."""
    name = f"copy-{uuid.uuid4().hex[:8]}"

    def pause(_: float) -> None:
        given.ready(name)

    done = restore.restore(given.stack, name, pause=pause)
    assert done.secret == given.described(name)["MasterUserSecret"]["SecretArn"]


def test_a_copy_of_a_snapshot_is_made_of_that_alone(site: Site) -> None:
    snapshots.take(site.stack, "for-a-copy", pause=site.taking)
    name = f"copy-{uuid.uuid4().hex[:8]}"
    done = restore.restore(site.stack, name, snapshot="for-a-copy", pause=site.making(name))
    assert (done.source, done.at) == ("for-a-copy", None)
    with pytest.raises(RequestError, match=r"there is no snapshot nobodys: expressway db snapshots lists them"):
        restore.restore(site.stack, "other-copy", snapshot="nobodys", pause=never)


def test_nothing_is_restored_over_an_instance(site: Site) -> None:
    for there in (site.name, site.name.upper()):
        with pytest.raises(RequestError, match=r"nothing is restored over one|can't be an instance's name"):
            restore.restore(site.stack, there, pause=never)
    for wrong in ("1st", "a--b", "ends-", "Upper", "", "a" * 64):
        with pytest.raises(RequestError, match="can't be an instance's name"):
            restore.restore(site.stack, wrong, pause=never)


def test_a_time_that_no_backup_has_is_refused_with_those_that_there_are(site: Site) -> None:
    times = restore.window(site.stack, site.described(site.name))
    assert times.earliest is not None
    for wrong in (times.earliest - timedelta(seconds=1), datetime.now(UTC) + timedelta(hours=1)):
        with pytest.raises(RequestError, match=rf"can't be had of {wrong:%Y-%m-%dT%H:%M}.*: earliest .*Z, latest .*Z"):
            restore.restore(site.stack, "other-copy", wrong, pause=never)
    for text in ("yesterday", "2026-11-26T09:30:00", "2026-13-26T09:30:00Z"):
        with pytest.raises(RequestError, match="is no time with a zone"):
            restore.moment(text)
    assert restore.moment("2026-11-26T10:30:00+01:00") == datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


def test_a_copy_that_would_be_in_the_clear_is_refused(api: ApiServer, fleet: Fleet, site: Site) -> None:
    open_one = create_database(api, fleet)["DBInstanceIdentifier"]
    name = f"clear-{uuid.uuid4().hex[:8]}"
    site.rds.create_db_snapshot(DBInstanceIdentifier=open_one, DBSnapshotIdentifier=name)
    take_bases(api)
    with pytest.raises(RequestError, match=r"is not encrypted.*copy-db-snapshot --kms-key-id"):
        restore.restore(site.stack, "other-copy", snapshot=name, pause=never)
    site.ready(open_one)
    site.rds.modify_db_instance(DBInstanceIdentifier=site.name, BackupRetentionPeriod=0, ApplyImmediately=True)
    with pytest.raises(DatabaseError, match=r"keeps no backups: set expressway:database\.backupDays"):
        restore.restore(site.stack, "other-copy", pause=never)
    site.rds.modify_db_instance(DBInstanceIdentifier=site.name, BackupRetentionPeriod=7, ApplyImmediately=True)
    take_bases(api)
    site.archived()


def test_a_replica_becomes_a_database_of_its_own(given: Site) -> None:
    replica, said = given.replica(), list[str]()

    def pause(_: float) -> None:
        if len(said) > 1:
            given.api.control(f"db-instances/{replica}/promoted", "PUT")

    done = promote.promote(given.stack, replica, said.append, pause)
    made = given.described(replica)
    assert made.get("ReadReplicaSourceDBInstanceIdentifier") is None
    assert made["BackupRetentionPeriod"] == 7, "as the stack's database"
    assert (done.id, done.source) == (replica, given.name)
    assert replica not in given.described(given.name)["ReadReplicaDBInstanceIdentifiers"]
    with pytest.raises(RequestError, match=f"{replica} is no replica of {given.name}"):
        promote.promote(given.stack, replica, pause=never)


def test_what_is_no_replica_of_the_stack_is_not_promoted(site: Site, given: Site) -> None:
    replica = given.replica()
    with pytest.raises(RequestError, match=f"{replica} is no replica of {site.name}: it has none"):
        promote.promote(site.stack, replica, pause=never)
    with pytest.raises(RequestError, match=f"is no replica of {given.name}: there are: .*{replica}"):
        promote.promote(given.stack, given.name, pause=never)
    assert given.described(replica)["ReadReplicaSourceDBInstanceIdentifier"] == given.name


def test_rds_draws_the_password_that_it_keeps_and_the_secret_has_it(site: Site) -> None:
    secret = site.described(site.name)["MasterUserSecret"]["SecretArn"]
    before = site.secrets.get_secret_value(SecretId=secret)["SecretString"]
    said = list[str]()

    def pause(_: float) -> None:
        pending = machine_of(site.api, "db-instances", site.name)["pending_version"]
        if pending and len(said) > 1:
            site.api.control(f"db-instances/{site.name}/password/{pending}", "PUT")

    done = password.rotate(site.stack, said.append, pause)
    now = site.secrets.get_secret_value(SecretId=secret)
    assert now["SecretString"] != before
    assert (done.secret, done.version, done.resumed) == (secret, now["VersionId"], False)
    assert not [line for line in [*said, str(done)] if json.loads(now["SecretString"])["password"] in line]


class Own:
    """A database whose password is in a secret of the stack's own."""

    def __init__(self, api: ApiServer, fleet: Fleet) -> None:
        self.first = "the-password-of-the-first-day"
        self.site = Site(api, fleet, MasterUserPassword=self.first)
        login = json.dumps({"username": "owner", "password": self.first, "note": "kept"})
        self.secret = self.site.secrets.create_secret(Name=f"login-{uuid.uuid4().hex[:8]}", SecretString=login)["ARN"]
        self.stack = stack(api, str(self.site.stack.outputs["databaseEndpoint"]), databasePasswordSecret=self.secret)

    def good(self) -> str:
        """What PostgreSQL is told when it is asked for."""
        return self.site.api.control(f"db-instances/{self.site.name}/login")["password"]

    def current(self) -> dict[str, str]:
        return json.loads(self.site.secrets.get_secret_value(SecretId=self.secret)["SecretString"])

    def versions(self) -> dict[str, list[str]]:
        return self.site.secrets.describe_secret(SecretId=self.secret)["VersionIdsToStages"]

    def pause(self, cut: int | None = None) -> Callable[[float], None]:
        """Between two looks, what PostgreSQL does; `cut` is the look before which it ends."""
        looks = 0

        def wait(_: float) -> None:
            nonlocal looks
            looks += 1
            if looks == cut:
                raise CutShortError
            pending = machine_of(self.site.api, "db-instances", self.site.name)["pending_version"]
            if pending and looks > 1:
                self.site.api.control(f"db-instances/{self.site.name}/password/{pending}", "PUT")

        return wait


def test_a_password_of_the_stacks_own_is_in_postgresql_before_machines_follow_it(api: ApiServer, fleet: Fleet) -> None:
    own, said = Own(api, fleet), list[str]()
    done = password.rotate(own.stack, said.append, own.pause())
    assert own.current() == {"username": "owner", "password": own.good(), "note": "kept"}
    assert own.good() != own.first
    assert own.versions()[done.version] == ["AWSCURRENT"]
    assert not done.resumed
    assert not [line for line in [*said, str(done)] if own.good() in line], "it is told to nobody"


def test_the_apps_own_role_gets_another_password_at_each_shard_and_the_master_users_stays(
    api: ApiServer, fleet: Fleet
) -> None:
    own, said = Own(api, fleet), list[str]()
    assert password.rotate_app(own.stack, said.append) == [], "the app has no role of its own"
    secrets, endpoint = own.site.secrets, str(own.site.stack.outputs["databaseEndpoint"])
    login = json.dumps({"username": "app", "password": "the-first"})
    arns = [secrets.create_secret(Name=f"app-{uuid.uuid4().hex[:8]}", SecretString=login)["ARN"] for _ in range(2)]
    done = password.rotate_app(stack(api, endpoint, databaseAppSecrets=arns), said.append)
    now = [json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]) for arn in arns]
    assert [each["username"] for each in now] == ["app", "app"]
    assert len({"the-first", *(each["password"] for each in now)}) == 3
    assert [each.secret for each in done] == arns
    assert own.current()["password"] == own.good() == own.first
    assert not [line for line in [*said, str(done)] if any(each["password"] in line for each in now)]


@pytest.mark.parametrize("cut", [1, 2])
def test_one_that_was_cut_short_goes_on_with_the_password_that_was_drawn(
    api: ApiServer, fleet: Fleet, cut: int
) -> None:
    own = Own(api, fleet)
    with pytest.raises(CutShortError):
        password.rotate(own.stack, pause=own.pause(cut))
    assert own.current()["password"] == own.first, "machines would follow what PostgreSQL may not know"
    own.site.ready(own.site.name)
    done = password.rotate(own.stack, pause=own.pause())
    assert done.resumed
    assert own.current()["password"] == own.good() != own.first
    assert len(own.versions()) == 2, "a second one was drawn"
    assert own.versions()[done.version] == ["AWSCURRENT"]


def test_one_that_was_cut_short_at_the_very_end_only_tidies_up(
    api: ApiServer, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Own(api, fleet)

    def killed(*_: object) -> None:
        raise CutShortError

    with monkeypatch.context() as patch:
        patch.setattr("operate.staged.settle", killed)
        with pytest.raises(CutShortError):
            password.rotate(own.stack, pause=own.pause())
    good = own.good()
    done = password.rotate(own.stack, pause=never)
    assert own.good() == good == own.current()["password"]
    assert own.versions()[done.version] == ["AWSCURRENT"]


def test_what_cannot_be_rotated_is_refused_before_a_password_is_drawn(api: ApiServer, fleet: Fleet) -> None:
    own = Own(api, fleet)
    with pytest.raises(DatabaseError, match=r"no secret has the password of .*: run pulumi up with this release once"):
        password.rotate(own.site.stack, pause=never)
    text = "the-password-in-the-clear"
    own.site.secrets.put_secret_value(SecretId=own.secret, SecretString=text)
    with pytest.raises(DatabaseError, match="holds no JSON with username and password") as wrong:
        password.rotate(own.stack, pause=never)
    assert text not in str(wrong.value)
    own.site.rds.modify_db_instance(DBInstanceIdentifier=own.site.name, MasterUserPassword="another-password")
    with pytest.raises(DatabaseError, match="is resetting-master-credentials: wait until it is available"):
        password.rotate(own.stack, pause=never)
    assert [stages for stages in own.versions().values() if "AWSPENDING" in stages] == []


def test_a_stack_without_a_database_says_so(api: ApiServer) -> None:
    with pytest.raises(DatabaseError, match="name no database"):
        status.look(stack(api, ""))
    with pytest.raises(DatabaseError, match="there is no database instance nobody in us-east-1"):
        status.look(stack(api, "nobody.abc.us-east-1.rds.amazonaws.com:5432"))


def test_the_status_of_the_longest_names_fits_80_columns(given: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = given.replica()
    shown = invoke(monkeypatch, given, "status")
    assert shown.exit_code == 0, shown.output
    table = shown.output.partition("no standby")[0]
    assert max(len(line) for line in table.splitlines()) <= 80, shown.output
    words = {given.name, replica, "primary", "PostgreSQL 17", "us-east-1a", "can be restored as it was from"}
    assert {each for each in words if each in shown.output} == words, shown.output
    told = json.loads(invoke(monkeypatch, given, "status", "--json").stdout)
    assert [each["role"] for each in told["members"]][:2] == ["primary", "replica"]
    assert datetime.fromisoformat(told["latest"]).tzinfo is not None


def test_the_commands_refuse_what_is_wrong_with_2_and_what_cannot_be_with_1(
    site: Site, given: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(where: Site, *arguments: str) -> tuple[int, str]:
        answer = invoke(monkeypatch, where, *arguments)
        assert answer.stdout == ""
        assert len(answer.stderr.splitlines()) == 1, answer.stderr
        return answer.exit_code, answer.stderr

    unsure, why = refused(given, "promote", "stranger")
    assert unsure == 2
    assert "add --yes" in why
    assert refused(given, "promote", "stranger", "--yes")[0] == 2
    assert refused(site, "restore", "--as", "copy")[0] == 2
    assert refused(site, "restore", "--as", "copy", "--latest", "--snapshot", "x")[0] == 2
    assert "--time: 'noon' is no time" in refused(site, "restore", "--as", "copy", "--time", "noon")[1]
    assert refused(site, "restore", "--as", site.name, "--latest")[0] == 2
    assert refused(site, "restore", "--as", "copy", "--snapshot", "nobodys")[0] == 2
    assert refused(site, "snapshot", "no--name")[0] == 2
    failed, why = refused(site, "failover")
    assert failed == 1
    assert "has no standby to take over: set expressway:database.multiAz to true" in why


def test_a_copy_says_how_to_use_it_and_how_to_be_rid_of_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    name, make = f"copy-{uuid.uuid4().hex[:8]}", restore.restore
    monkeypatch.setattr(
        restore,
        "restore",
        lambda stack, name, at, snapshot, tell: make(stack, name, at, snapshot, tell, site.making(name)),
    )
    shown = invoke(monkeypatch, site, "restore", "--as", name, "--latest")
    assert shown.exit_code == 0, shown.output
    assert f"expressway:database.restoreFrom: {name}" in shown.stdout
    assert "aws rds delete-db-instance" in shown.stdout
    assert site.described(name)["MasterUserSecret"]["SecretArn"] in shown.stdout
    assert f"{name} is being made of {site.name}" in shown.stderr
    listed = json.loads(invoke(monkeypatch, site, "snapshots", "--json").stdout)
    assert {each["kind"] for each in listed} >= {"automated"}
    table = invoke(monkeypatch, site, "snapshots").output
    assert "automated" in table
    assert max(len(line) for line in table.splitlines()) <= 80, table


def test_who_may_log_in_is_what_the_secret_says_of_the_database_of_a_replica_and_of_a_copy(
    api: ApiServer, fleet: Fleet
) -> None:
    """The replica has its source's password, and a copy one of its own."""
    secret = api.client("secretsmanager").create_secret(
        Name=f"own-{uuid.uuid4().hex[:8]}", SecretString=json.dumps({"username": "expressway", "password": "ours"})
    )["ARN"]
    own = Site(api, fleet, MasterUserPassword="ours-of-the-first-day")
    told = stack(api, f"{own.name}.c0ffee.us-east-1.rds.amazonaws.com:5432", databasePasswordSecret=secret)
    copy = f"copy-{uuid.uuid4().hex[:8]}"
    restore.restore(told, copy, pause=lambda _: own.ready(copy))
    found = [connect.login(told, name) for name in (None, own.replica(), copy)]
    assert [(each.user, each.password) for each in found[:2]] == [("expressway", "ours")] * 2
    assert found[2].password != "ours"
    assert len({each.host for each in found}) == 3
    assert "ours" not in repr(found[0])
    with pytest.raises(RequestError, match="there is no database instance nobody in us-east-1"):
        connect.login(told, "nobody")


def test_psql_finds_its_way_in_the_environment_and_its_status_is_handed_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def way(_stack: Stack, host: str, _port: int) -> Generator[int]:
        (tmp_path / "to").write_text(host)
        yield 15432

    monkeypatch.setattr(forwarding, "forwarded", way)
    program = tmp_path / "psql"
    program.write_text(
        '#!/bin/sh\necho "$PGHOSTADDR $PGPORT $PGUSER $PGDATABASE $PGSSLMODE ${#PGPASSWORD} $*" > "$0.said"\nexit 3\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = invoke(monkeypatch, site, "connect", "-c", "select 1")
    wanted = connect.login(site.stack)
    assert done.exit_code == 3, done.output
    assert (tmp_path / "to").read_text() == wanted.host
    assert (tmp_path / "psql.said").read_text() == (
        f"127.0.0.1 15432 {wanted.user} {wanted.name} require {len(wanted.password)} -c select 1\n"
    )
    monkeypatch.setenv("PATH", "/nowhere")
    refused = invoke(monkeypatch, site, "connect")
    assert (refused.exit_code, "psql is not on PATH" in refused.output) == (2, True)
