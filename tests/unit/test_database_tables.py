"""What `expressway db` shows, with the longest that AWS has names for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from cli.db import tables
from operate.database.snapshots import Snapshot
from operate.database.status import Maintenance, Member, Status

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
PRIMARY = Member(
    id="prod-database-instance-0a1b2c3",
    role="primary",
    instance_class="db.m7g.2xlarge",
    zone="eu-central-1a",
    standby_zone="eu-central-1b",
    status="storage-optimization",
    storage_gb=200,
    storage_used_gb=130.4,
    cpu=45.6,
    connections=512,
    connections_most=901,
)
REPLICA = replace(PRIMARY, id="prod-database-replica-1-0a1b2c3", role="replica", standby_zone=None, lag=0.2)
DATABASE = Status(
    id=PRIMARY.id,
    engine="postgres",
    version="17.6",
    endpoint="host:5432",
    multi_az=True,
    storage_most_gb=500,
    backup_days=14,
    backup_window="03:00-03:30",
    earliest=NOON - timedelta(days=14),
    latest=NOON,
    maintenance_window="sun:04:00-sun:04:30",
    parameter_group="prod-database-postgres17-0a1b2c3",
    parameters="in-sync",
    pending={},
    maintenance=(),
    members=(PRIMARY, REPLICA),
)


def lines(table: Table) -> list[str]:
    told = Console(width=80)
    with told.capture() as shown:
        told.print(table)
    return shown.get().splitlines()


def test_each_instance_is_told_in_80_columns() -> None:
    shown = lines(tables.members(DATABASE))
    assert max(len(line) for line in shown) <= 80
    (primary,) = [line.split() for line in shown if line.strip().startswith("primary")]
    assert primary[:2] == ["primary", "eu-central-1a"]
    assert primary[-4:] == ["130/200", "46", "512/901", "-"]
    (other,) = [line.split() for line in shown if line.strip().startswith("replica-1-0a1b2c3")]
    assert other[-1] == "0.2", "its name is there without what the primary's begins with too"
    assert "\n".join(tables.remarks(DATABASE)).splitlines() == [
        "standby: in eu-central-1b",
        "replicas: prod-database-replica-1-0a1b2c3",
        "storage grows by itself up to 500 GiB",
        "can be restored as it was from 2026-11-12 12:00:00 UTC to 2026-11-26 12:00:00 UTC",
    ], "what promote and restore take can be copied from there"


def test_what_waits_and_what_is_missing_is_told() -> None:
    waiting = replace(
        DATABASE,
        multi_az=False,
        storage_most_gb=None,
        backup_days=0,
        parameters="pending-reboot",
        pending={"DBInstanceClass": "db.m7g.large"},
        maintenance=(Maintenance("system-update", "A new operating system", NOON),),
        members=(replace(PRIMARY, standby_zone=None),),
    )
    assert [line.partition(":")[0] for line in tables.remarks(waiting)] == [
        "no standby",
        "no backups",
        "waits for the window sun",
        "maintenance after 2026-11-26 12",
        "parameters of prod-database-postgres17-0a1b2c3 wait for a reboot",
    ]
    assert "standby: being made" in list(tables.remarks(replace(waiting, multi_az=True)))


def test_whose_parameters_wait_is_told_with_what_starts_it_anew() -> None:
    waits = replace(DATABASE, parameters="pending-reboot")
    group = "parameters of prod-database-postgres17-0a1b2c3 wait for a reboot: "
    (told,) = [line for line in tables.remarks(waits) if "wait" in line]
    assert told == f"{group}aws rds reboot-db-instance, or db failover"
    alone = replace(waits, members=(replace(PRIMARY, standby_zone=None),))
    assert f"{group}aws rds reboot-db-instance" in tables.remarks(alone), "there is nobody to fail over to"
    behind = replace(DATABASE, members=(PRIMARY, replace(REPLICA, parameters="pending-reboot")))
    (told,) = [line for line in tables.remarks(behind) if "wait" in line]
    assert told == f"replicas whose parameters wait for a reboot of each: {REPLICA.id}"
    assert not [line for line in tables.remarks(DATABASE) if "wait" in line]


def test_a_snapshot_is_told_with_its_size_and_age() -> None:
    now = datetime.now(UTC)
    whole = Snapshot(
        name="rds:prod-database-instance-0a1b2c3-2026-11-26-03-05",
        kind="automated",
        status="available",
        made=now - timedelta(hours=5),
        storage_gb=200,
        stored_bytes=150 * tables.GIB,
        version="17.6",
        encrypted=True,
    )
    begun = replace(whole, name="mine", kind="manual", status="creating", made=None, stored_bytes=None, progress=35)
    shown = lines(tables.snapshots([whole, begun]))
    assert max(len(line) for line in shown) <= 80
    rows = [line.split() for line in shown]
    assert ["automated", "available", "150", "5", "h"] in [row[1:] for row in rows]
    assert ["mine", "manual", "creating", "35", "%", "200", "-"] in rows
    assert [tables.age(each) for each in (-1, 59, 60, 7200, 3 * 86400)] == ["0 s", "59 s", "1 min", "2 h", "3 d"]
