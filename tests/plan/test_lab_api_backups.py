"""RDS's snapshots and backups: the API's answers, and what the controller makes and keeps of them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from lab.controller.plan import Base
from lab.machines.machine import Bind
from lab.machines.services import backups
from tests.plan.lab_backups import archive, fail_bases, take_bases
from tests.plan.lab_databases import PASSWORD, Databases
from tests.plan.lab_databases import databases as databases  # a fixture

KEPT = Path("/var/lib/expressway-lab/backups")


@pytest.fixture
def source(databases: Databases) -> Iterator[str]:
    """With a base backup of an hour ago, and WAL up to a minute ago."""
    name = databases.create()
    take_bases(databases.server, time.time() - 3600)
    archive(databases.server, name, time.time() - 60)
    yield name
    if any(each["DBInstanceIdentifier"] == name for each in databases.rds.describe_db_instances()["DBInstances"]):
        databases.delete(name)


def kept(databases: Databases, resource: str) -> dict[str, Any] | None:
    return next((each for each in databases.server.control("db-backups") if each["resource"] == resource), None)


def snapshot(databases: Databases, name: str) -> dict[str, Any]:
    return databases.rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]


def beginning(databases: Databases, name: str) -> Any:
    return next(each for each in databases.server.control("db-instances") if each["id"] == name)["beginning"]


def pit(databases: Databases, name: str, **given: Any) -> Any:
    at = {} if "RestoreTime" in given else {"UseLatestRestorableTime": True}
    return databases.rds.restore_db_instance_to_point_in_time(TargetDBInstanceIdentifier=name, **at, **given)


def test_a_snapshot_is_there_once_its_base_was_taken_where_the_database_runs(databases: Databases, source: str) -> None:
    made = databases.rds.create_db_snapshot(DBInstanceIdentifier=source, DBSnapshotIdentifier="by-hand")["DBSnapshot"]
    assert made["Status"] == "creating"
    resource = databases.found(source)["DbiResourceId"]
    (base,) = databases.wanted().bases
    assert (base.resource, base.machine, base.port, base.archived) == (resource, f"db-{source}", 5432, True)
    with pytest.raises(ClientError, match=r"InvalidDBSnapshotState.*it is creating"):
        databases.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="early", DBSnapshotIdentifier="by-hand")
    take_bases(databases.server)
    assert snapshot(databases, "by-hand")["Status"] == "available"
    assert databases.wanted().bases == ()
    with pytest.raises(requests.HTTPError, match="404"):
        databases.server.control(f"db-backups/{base.base}", "PUT", {"ended": time.time()})
    databases.rds.copy_db_snapshot(SourceDBSnapshotIdentifier="by-hand", TargetDBSnapshotIdentifier="copy-of-it")
    databases.rds.delete_db_snapshot(DBSnapshotIdentifier="by-hand")
    found = kept(databases, resource)
    assert found
    assert base.base in found["bases"], "its copy has it"
    databases.rds.delete_db_snapshot(DBSnapshotIdentifier="copy-of-it")
    found = kept(databases, resource)
    assert found
    assert base.base not in found["bases"], "nobody has it any more"


def test_a_snapshot_that_can_not_be_taken_has_failed(databases: Databases, source: str) -> None:
    databases.rds.create_db_snapshot(DBInstanceIdentifier=source, DBSnapshotIdentifier="broken")
    fail_bases(databases.server)
    assert snapshot(databases, "broken")["Status"] == "failed"
    assert databases.wanted().bases == (), "it is not tried again"
    databases.rds.delete_db_snapshot(DBSnapshotIdentifier="broken")


def test_a_database_that_is_gone_has_its_machine_until_its_last_snapshot_is_taken(databases: Databases) -> None:
    name = databases.create()
    take_bases(databases.server)
    resource = databases.found(name)["DbiResourceId"]
    databases.rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier="the-last")
    (base,) = databases.wanted().bases
    assert base == Base(base.base, resource, f"db-{name}", 5432, archived=False), "the WAL is gone with its backups"
    take_bases(databases.server)
    assert databases.wanted().bases == ()
    found = kept(databases, resource)
    assert found
    assert (found["bases"], found["archived"]) == ([base.base], False)
    databases.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="revived", DBSnapshotIdentifier="the-last")
    databases.rds.delete_db_snapshot(DBSnapshotIdentifier="the-last")
    assert kept(databases, resource), "whoever begins with it needs it"
    databases.there("revived")
    assert kept(databases, resource) is None
    databases.delete("revived")


def test_a_database_that_starts_from_a_snapshot_begins_with_its_base_and_with_a_password_of_its_own(
    databases: Databases, source: str, tmp_path: Path
) -> None:
    databases.rds.create_db_snapshot(DBInstanceIdentifier=source, DBSnapshotIdentifier="before")
    take_bases(databases.server)
    databases.rds.restore_db_instance_from_db_snapshot(
        DBInstanceIdentifier="copy", DBSnapshotIdentifier="before", ManageMasterUserPassword=True
    )
    whose, own = (databases.found(name)["DbiResourceId"] for name in (source, "copy"))
    found = beginning(databases, "copy")
    assert (found["resource"], found["archived"], found["at"]) == (whose, False, None)
    (spec,) = [each for each in databases.wanted().machines if each.id == "db-copy"]
    assert spec.binds == (
        Bind(KEPT / own, backups.folder(own)),
        Bind(KEPT / whose, backups.folder(whose), read_only=True),
    )
    told, login = databases.told("copy", tmp_path), databases.server.control("db-instances/copy/login")
    assert f"{backups.folder(whose)}/base/{found['base']}" in told
    assert f"ALTER ROLE \\\"owner\\\" PASSWORD '{login['password']}'" in told
    assert PASSWORD not in told
    assert login["replication"] in told
    assert "CREATE ROLE" not in told, "it has its users"
    assert "recovery.signal" not in told, "what came later is not its"
    databases.delete("copy")
    databases.rds.delete_db_snapshot(DBSnapshotIdentifier="before")


def test_a_time_is_reached_from_the_last_base_before_it(databases: Databases, source: str, tmp_path: Path) -> None:
    first = beginning(databases, source)["base"]
    at = datetime.now(UTC) - timedelta(minutes=30, microseconds=7)
    pit(databases, "then", SourceDBInstanceIdentifier=source, RestoreTime=at)
    found = beginning(databases, "then")
    assert (found["base"], found["archived"], found["at"]) == (first, True, f"{at:%Y-%m-%d %H:%M:%S.%f}+00")
    told = databases.told("then", tmp_path)
    assert f"recovery_target_time = '{found['at']}'" in told
    assert f"restore_command = 'cp {backups.folder(found['resource'])}/wal/%f %p" in told
    assert "recovery.signal" in told
    pit(databases, "latest", SourceDBInstanceIdentifier=source)
    assert beginning(databases, "latest")["at"] is None
    assert "recovery_target_time = " not in databases.told("latest", tmp_path)
    databases.there("latest")
    assert beginning(databases, "latest") is None, "it has data of its own, and no backup yet"
    databases.delete("then", "latest")


def test_a_database_goes_back_as_far_as_its_backups_and_forward_as_far_as_its_wal(
    databases: Databases, source: str
) -> None:
    (told,) = databases.rds.describe_db_instance_automated_backups(DBInstanceIdentifier=source)[
        "DBInstanceAutomatedBackups"
    ]
    earliest, latest = (told["RestoreWindow"][name] for name in ("EarliestTime", "LatestTime"))
    now = datetime.now(UTC)
    assert timedelta(minutes=59) < now - earliest < timedelta(minutes=61)
    assert timedelta(seconds=55) < now - latest < timedelta(seconds=90)
    assert databases.found(source)["LatestRestorableTime"] == latest
    for wrong in (earliest - timedelta(seconds=1), latest + timedelta(seconds=1)):
        with pytest.raises(
            ClientError, match=r"The restore time .* is not one that .* can be restored to: from .* to "
        ):
            pit(databases, "never", SourceDBInstanceIdentifier=source, RestoreTime=wrong)
    fresh = databases.create()
    assert "LatestRestorableTime" not in databases.found(fresh)
    with pytest.raises(ClientError, match="has no backup yet"):
        pit(databases, "never", SourceDBInstanceIdentifier=fresh)
    ended = datetime(2026, 7, 7, 7, 7, 7, tzinfo=UTC)
    take_bases(databases.server, ended.timestamp())
    assert databases.found(fresh)["LatestRestorableTime"] == ended, "its base is all there is"
    with pytest.raises(ClientError, match="and not both"):
        pit(databases, "never", SourceDBInstanceIdentifier=source, RestoreTime=now, UseLatestRestorableTime=True)
    databases.delete(fresh)


def test_backups_that_outlive_their_database_are_found_by_its_resource_id(databases: Databases, source: str) -> None:
    resource = databases.found(source)["DbiResourceId"]
    pit(databases, "beside", SourceDbiResourceId=resource)
    databases.rds.delete_db_instance(DBInstanceIdentifier=source, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    pit(databases, "after", SourceDbiResourceId=resource)
    assert beginning(databases, "after") == beginning(databases, "beside")
    found = kept(databases, resource)
    assert found
    assert found["archived"]
    with pytest.raises(ClientError, match="DBInstanceNotFound"):
        pit(databases, "never", SourceDbiResourceId="db-NOBODY")
    databases.delete("beside", "after")


def test_a_database_that_keeps_no_backups_has_none_and_has_one_as_soon_as_it_does(databases: Databases) -> None:
    name = databases.create(BackupRetentionPeriod=0)
    resource = databases.found(name)["DbiResourceId"]

    def known() -> Any:
        found = kept(databases, resource)
        assert found
        return len(found["bases"]), len(found["pending"]), found["archived"], bool(found["first"])

    def keep(days: int) -> None:
        databases.rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=days, ApplyImmediately=True)

    assert known() == (0, 0, False, False)
    with pytest.raises(ClientError, match="PointInTimeRestoreNotEnabled"):
        pit(databases, "never", SourceDBInstanceIdentifier=name)
    keep(3)
    assert known() == (1, 1, True, False)
    fail_bases(databases.server)
    databases.rds.add_tags_to_resource(ResourceName=databases.found(name)["DBInstanceArn"], Tags=[])
    assert known() == (1, 1, True, False), "another one is taken"
    take_bases(databases.server)
    assert known() == (1, 0, True, True)
    keep(0)
    assert known() == (0, 0, False, False)
    databases.delete(name)


def test_a_replica_keeps_nothing_until_it_is_promoted(databases: Databases, source: str) -> None:
    databases.replicate(source, "reader")
    databases.there("reader")
    databases.rds.modify_db_instance(DBInstanceIdentifier="reader", BackupRetentionPeriod=3, ApplyImmediately=True)
    resource = databases.found("reader")["DbiResourceId"]

    def known() -> Any:
        found = kept(databases, resource)
        assert found
        return len(found["pending"]), found["archived"]

    assert known() == (0, False)
    assert beginning(databases, "reader") is None, "it begins with a copy of its source"
    databases.rds.promote_read_replica(DBInstanceIdentifier="reader", BackupRetentionPeriod=3)
    databases.api.put("db-instances/reader/promoted")
    deadline = time.monotonic() + 10
    while known() != (1, True) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert known() == (1, True)
    take_bases(databases.server)
    databases.delete("reader")


def test_a_machine_that_is_made_anew_begins_with_the_newest_backup(
    databases: Databases, source: str, tmp_path: Path
) -> None:
    resource = databases.found(source)["DbiResourceId"]
    (spec,) = [each for each in databases.wanted().machines if each.id == f"db-{source}"]
    assert spec.binds == (Bind(KEPT / resource, backups.folder(resource)),), "it writes to it, so no second one"
    told = databases.told(source, tmp_path)
    assert f"{backups.folder(resource)}/base/{beginning(databases, source)['base']}" in told
    assert "recovery_target_time = " not in told, "all that was archived"
