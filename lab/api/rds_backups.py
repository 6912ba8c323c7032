"""What RDS keeps of a database beside its machine: snapshots, backups, and the times that these go back to.

What a snapshot holds is a base backup that the controller takes where the database runs, and keeps with the write-ahead
log (WAL) outside of the machine. Here is what is to be taken, and what is to be kept. An automated snapshot is made as
soon as a database is there that keeps backups, and another one when the last is a day old.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithAutomatedBackups.html,
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreWindow.html,
API_DescribePendingMaintenanceActions.html; the wording of refusals is ours.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from moto.core.responses import ActionResult
from moto.rds import models, responses

from lab.api.patching import add, around, instead
from lab.api.rds import databases
from lab.api.rds_restore import AUTOMATED, AVAILABLE, Beginning, chain, check_available

CREATING, FAILED = "creating", "failed"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Kept:
    """What is kept of one database, which may be gone. `resource` is its DbiResourceId, and names the place."""

    resource: str
    database: str
    """Whose machine has it: an instance, by name."""
    node: str
    port: int
    archived: bool
    """Whether the WAL is kept too."""
    bases: tuple[str, ...]
    """The base backups."""
    pending: tuple[str, ...]
    """Those of them that have to be taken."""
    first: str | None
    """The oldest one that WAL goes on from."""


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    around(models.DBSnapshot, "__init__", _create)
    around(models.RDSBackend, "copy_db_snapshot", _copy)
    around(models.DBInstance, "save_automated_backup", _save)
    instead(models.DBInstance, "latest_restorable_time", property(lambda database: _times(database)[1]))
    add(models.DBInstanceAutomatedBackup, "restore_window", property(_window))
    add(responses.RDSResponse, "describe_pending_maintenance_actions", _maintenance)


def kept() -> list[Kept]:
    """All that there is, or has to be."""
    found: dict[str, tuple[Any, list[Any]]] = {each.dbi_resource_id: (each, []) for each in databases()}
    for snapshot in _snapshots():
        found.setdefault(snapshot.dbi_resource_id, (snapshot.database, []))[1].append(snapshot)
    begun = [beginning for each in databases() if (beginning := _under_way(each))]
    for beginning in begun:
        found.setdefault(beginning.resource, (None, []))
    return [
        _kept(resource, database, snapshots, [each for each in begun if each.resource == resource])
        for resource, (database, snapshots) in found.items()
    ]


def step(now: datetime) -> bool:
    """Have made what is due at `now` (UTC, naive), and forget what is older than asked for. Whether anything was."""
    # Not until the first one.
    stepped = [keep(database, now) for database in databases()]
    return any(stepped)


def keep(database: Any, now: datetime) -> bool:
    """`step`, of one database."""
    backend, resource = database.backend, database.dbi_resource_id
    mine = [
        each
        for each in backend.database_snapshots.values()
        if each.snapshot_type == AUTOMATED and each.dbi_resource_id == resource
    ]
    gone = [each for each in mine if each.status == FAILED or not _keeps(database)]
    whole = chain(backend, resource)
    oldest = now - timedelta(days=database.backup_retention_period or 0)
    # The newest of those that are older is where the days that are asked for begin.
    gone += [each for each, later in pairwise(whole) if later.ended <= oldest and each not in gone]
    for each in gone:
        backend.delete_db_snapshot(each.db_snapshot_identifier)
    young = [each for each in mine if each not in gone and each.created > now - DAY]
    due = _keeps(database) and database.status == AVAILABLE and not young
    if due:
        database.save_automated_backup()
    return bool(gone) or due


def taken(base: str, ended: float | None) -> bool:
    """A base backup was complete at that time, or couldn't be taken. Whether one waits for it."""
    waiting = [each for each in _snapshots() if each.base == base and each.status == CREATING]
    for snapshot in waiting:
        snapshot.status = FAILED if ended is None else AVAILABLE
        snapshot.percent_progress = 0 if ended is None else 100
        snapshot.ended = None if ended is None else datetime.fromtimestamp(ended, UTC).replace(tzinfo=None)
    return bool(waiting)


def set_latest(resource: str, latest: float) -> None:
    """A database's WAL is kept up to that time. Nothing is to be known of one that is gone with its backups."""
    until = datetime.fromtimestamp(latest, UTC).replace(tzinfo=None)
    # The snapshots are what there is of it once it is gone.
    for each in (*databases(), *(snapshot.database for snapshot in _snapshots())):
        if each.dbi_resource_id == resource:
            each.archived_until = until


def _snapshots() -> Iterable[Any]:
    for account in models.rds_backends.values():
        for backend in account.values():
            yield from backend.database_snapshots.values()


def _kept(resource: str, database: Any, snapshots: list[Any], begun: list[Beginning]) -> Kept:
    live = database is not None and database.backend.databases.get(database.db_instance_identifier) is database
    good = [each for each in snapshots if each.status != FAILED]
    automated = [each for each in good if each.snapshot_type == AUTOMATED]
    from_wal = [(each.ended, each.base) for each in automated if each.status == AVAILABLE]
    # One that is needed no longer but by whoever is beginning with it is older than the others.
    known = {each.base for each in automated}
    from_wal += [(datetime.min, each.base) for each in begun if each.archived and each.base not in known]
    return Kept(
        resource=resource,
        database=database.db_instance_identifier if database else "",
        node=getattr(database, "node", "1"),
        port=int(database.port) if database else 0,
        archived=bool(from_wal) or (live and _keeps(database)),
        bases=tuple(dict.fromkeys([*(each.base for each in good), *(each.base for each in begun)])),
        pending=tuple(dict.fromkeys(each.base for each in good if each.status == CREATING)),
        first=min(from_wal)[1] if from_wal else None,
    )


def _under_way(database: Any) -> Beginning | None:
    return database.beginning if database.status == "creating" else None


def _keeps(database: Any) -> bool:
    return bool(database.backup_retention_period) and not database.is_replica


def _create(original: Any, snapshot: Any, *args: Any, **kwargs: Any) -> None:
    original(snapshot, *args, **kwargs)
    # Not its name: one that is made again under the same name is another one.
    snapshot.base, snapshot.ended = secrets.token_hex(8), None
    snapshot.status, snapshot.percent_progress = CREATING, 0


def _copy(original: Any, backend: Any, source_db_snapshot_identifier: str, *args: Any, **kwargs: Any) -> Any:
    source = backend.get_db_snapshot(source_db_snapshot_identifier)
    check_available(source)
    copy = original(backend, source_db_snapshot_identifier, *args, **kwargs)
    for same in ("base", "ended", "status", "percent_progress", "dbi_resource_id"):
        setattr(copy, same, getattr(source, same))
    return copy


def _save(original: Any, database: Any) -> None:
    if _keeps(database):
        original(database)


def _times(database: Any) -> tuple[datetime | None, datetime | None]:
    """The first and the last time that a database can be had of; None while there is none."""
    whole = chain(database.backend, database.dbi_resource_id)
    if not whole:
        return None, None
    return whole[0].ended, max(whole[-1].ended, getattr(database, "archived_until", whole[-1].ended))


def _window(backup: Any) -> dict[str, datetime] | None:
    database = backup.backend.databases.get(backup.db_instance_identifier)
    earliest, latest = _times(database) if database else (None, None)
    return {"EarliestTime": earliest, "LatestTime": latest} if earliest and latest else None


def _maintenance(_: Any) -> ActionResult:
    """Nothing is to come: the lab makes no versions."""
    return ActionResult({"PendingMaintenanceActions": []})
