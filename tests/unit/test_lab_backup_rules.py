"""Which base backups there are to be of a database, and which one leads to a time: plain objects, no API."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from moto.rds.exceptions import InvalidParameterValue

from lab.api import rds_backups, rds_restore

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).replace(tzinfo=None)
RESOURCE = "db-ABC"


class Database:
    """An available database that keeps backups for two days, with automated snapshots that are so many hours old."""

    def __init__(self, *hours: float, retention: int = 2, **other: str) -> None:
        self.dbi_resource_id, self.db_instance_identifier = RESOURCE, "main"
        self.backup_retention_period, self.is_replica, self.status = retention, False, "available"
        self.backend: Any = SimpleNamespace(database_snapshots={})
        self.backend.delete_db_snapshot = self.backend.database_snapshots.pop
        self.latest_restorable_time = NOW
        for age in hours:
            self.add(age, **other)

    def add(self, age: float, status: str = "available", kind: str = "automated") -> None:
        ended = NOW - timedelta(hours=age)
        name = f"{kind}-{status}-{age:g}"
        self.backend.database_snapshots[name] = SimpleNamespace(
            db_snapshot_identifier=name,
            dbi_resource_id=RESOURCE,
            snapshot_type=kind,
            status=status,
            base=f"base-{age:g}",
            created=ended,
            ended=ended,
        )

    def save_automated_backup(self) -> None:
        self.add(0, "creating")

    def kept(self) -> set[str]:
        rds_backups.keep(self, NOW)
        return set(self.backend.database_snapshots)


@pytest.mark.parametrize(("age", "base"), [(49, "base-50"), (26, "base-26"), (25.9, "base-26"), (0.5, "base-2")])
def test_a_time_is_reached_from_the_last_base_before_it(age: float, base: str) -> None:
    found = rds_restore.point(Database(2, 50, 26), NOW - timedelta(hours=age))
    assert found.base == base
    assert found.at == f"{NOW - timedelta(hours=age):%Y-%m-%d %H:%M:%S.%f}+00"


def test_the_latest_time_is_reached_from_the_newest_base() -> None:
    assert rds_restore.point(Database(2, 50, 26), None) == rds_restore.Beginning(RESOURCE, "base-2", archived=True)


def test_only_what_wal_goes_on_from_leads_to_a_time() -> None:
    database = Database(26)
    database.add(3, kind="manual")
    database.add(2, status="failed")
    database.add(1, status="creating")
    assert rds_restore.point(database, NOW).base == "base-26"
    with pytest.raises(InvalidParameterValue, match="2026-11-25T10:00:00Z to 2026-11-26T12:00:00Z"):
        rds_restore.point(database, NOW - timedelta(hours=27))


def test_a_base_is_due_when_the_last_one_is_a_day_old() -> None:
    assert Database(23).kept() == {"automated-available-23"}
    assert Database(25).kept() == {"automated-available-25", "automated-creating-0"}
    assert Database().kept() == {"automated-creating-0"}
    assert Database(25, retention=0).kept() == set()
    replica = Database()
    replica.is_replica = True
    assert replica.kept() == set()
    for status in ("creating", "modifying"):
        busy = Database()
        busy.status = status
        assert busy.kept() == set(), "it isn't there"


def test_the_days_that_are_asked_for_can_be_reached_and_no_more_is_kept() -> None:
    database = Database(73, 60, 50, 40, 20)
    database.add(80, kind="manual")
    assert database.kept() == {
        *("manual-available-80", "automated-available-50", "automated-available-40", "automated-available-20"),
    }


def test_one_that_failed_goes_and_another_is_taken() -> None:
    assert Database(1, status="failed").kept() == {"automated-creating-0"}
