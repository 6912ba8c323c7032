"""Databases that start from a snapshot, or from another's backups: as their source in all that a call leaves open.

moto copies objects that two instances can't share, and changes that wait. What such a database holds is in a base
backup, and in the write-ahead log (WAL) since: its machine begins with them.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html,
API_RestoreDBInstanceToPointInTime.html; the wording of refusals is ours.
"""

import copy
import inspect
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.rds import models
from moto.rds.exceptions import (
    DBInstanceAlreadyExists,
    DBInstanceNotFoundError,
    InvalidParameterCombination,
    InvalidParameterValue,
)

from lab.api.patching import instead

AUTOMATED, AVAILABLE = "automated", "available"

FRESH = (
    "backend",
    "db_cluster_identifier",
    "db_instance_identifier",
    "db_parameter_group_name",
    "deletion_protection",
    "enable_cloudwatch_logs_exports",
    "max_allocated_storage",
    "option_group_name",
    "source_db_instance_identifier",
    "tags",
    "vpc_security_group_ids",
)
"""What a copy has of its own, or not at all."""
TAKEN = [name for name in inspect.signature(models.DBInstance.__init__).parameters if name not in ("self", *FRESH)]


OF_THE_CALL = ("restore_time", "source_db_instance_identifier", "source_dbi_resource_id", "tags_specifications")
"""What is said of a copy when it is asked for, and not of the instance: one with a source would be a replica."""


class NoBackupsError(ServiceException):
    """There is no point in time to go back to."""

    code = "PointInTimeRestoreNotEnabled"


class SnapshotStateError(ServiceException):
    """RDS does not do it with a snapshot that is as it is."""

    code = "InvalidDBSnapshotState"


@dataclass(frozen=True)
class Beginning:
    """What a database's machine begins with, where that isn't nothing. `resource` is the DbiResourceId that has it."""

    resource: str
    base: str
    """The base backup."""
    archived: bool
    """Whether it goes on with the WAL."""
    at: str | None = None
    """Up to this time, as PostgreSQL reads it; None: all of the WAL."""


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    instead(models.RDSBackend, "restore_db_instance_from_db_snapshot", _from_snapshot)
    instead(models.RDSBackend, "restore_db_instance_to_point_in_time", _to_point_in_time)


def like(source: Any, asked: Any) -> dict[str, Any]:
    """The arguments of an instance like `source`, but for what is asked for."""
    there = {name.removeprefix("_"): value for name, value in vars(source).items()}
    taken = {name: copy.copy(there[name]) for name in TAKEN if there.get(name) is not None}
    # moto has no way to read the group's name.
    taken["db_subnet_group_name"] = source.db_subnet_group.name
    return taken | {name: value for name, value in asked.items() if value is not None}


def beginning(database: Any) -> Beginning | None:
    """What a machine begins with that is made anew: of a database that has had one, the latest that is kept."""
    if database.status == "creating":
        return database.beginning
    whole = [] if database.is_replica else chain(database.backend, database.dbi_resource_id)
    return Beginning(database.dbi_resource_id, whole[-1].base, archived=True) if whole else None


def chain(backend: Any, resource: str) -> list[Any]:
    """The snapshots of one database that WAL is kept from, the oldest first."""
    mine = [
        each
        for each in backend.database_snapshots.values()
        if (each.dbi_resource_id, each.snapshot_type, each.status) == (resource, AUTOMATED, AVAILABLE)
    ]
    return sorted(mine, key=lambda each: each.ended)


def check_available(snapshot: Any) -> None:
    """Refuse one that is still being made, or couldn't be."""
    if snapshot.status != AVAILABLE:
        raise SnapshotStateError(
            f"The DB snapshot {snapshot.db_snapshot_identifier} is not in the available state; it is {snapshot.status}."
        )


def point(source: Any, time: Any) -> Beginning:
    """Where to begin, to get to a time or to the latest. Refused is what no backup has."""
    whole, latest = chain(source.backend, source.dbi_resource_id), source.latest_restorable_time
    if latest is None:
        raise InvalidParameterValue(f"{source.db_instance_identifier} has no backup yet that it can be restored from.")
    if not time:
        return Beginning(source.dbi_resource_id, whole[-1].base, archived=True)
    at = _moment(time)
    if not whole[0].ended <= at <= latest:
        raise InvalidParameterValue(
            f"The restore time {at:%Y-%m-%dT%H:%M:%SZ} is not one that {source.db_instance_identifier} can be restored "
            f"to: from {whole[0].ended:%Y-%m-%dT%H:%M:%SZ} to {latest:%Y-%m-%dT%H:%M:%SZ}."
        )
    base = next(each for each in reversed(whole) if each.ended <= at)
    return Beginning(source.dbi_resource_id, base.base, archived=True, at=f"{at:%Y-%m-%d %H:%M:%S.%f}+00")


def _from_snapshot(backend: Any, from_snapshot_id: str, overrides: Any) -> Any:
    if overrides["db_instance_identifier"] in backend.databases:
        raise DBInstanceAlreadyExists()
    if from_snapshot_id.startswith("arn:"):
        from_snapshot_id = from_snapshot_id.partition(":snapshot:")[2]
    snapshot = backend.describe_db_snapshots(db_instance_identifier=None, db_snapshot_identifier=from_snapshot_id)[0]
    check_available(snapshot)
    made = backend.create_db_instance(
        {**like(snapshot.database, overrides), "storage_encrypted": snapshot.database.storage_encrypted}
    )
    made.beginning = Beginning(snapshot.dbi_resource_id, snapshot.base, archived=False)
    return made


def _to_point_in_time(backend: Any, source_db_identifier: str, target_db_identifier: str, overrides: Any) -> Any:
    if target_db_identifier in backend.databases:
        raise DBInstanceAlreadyExists()
    source = _source(backend, source_db_identifier, overrides.get("source_dbi_resource_id"))
    if not source.backup_retention_period:
        raise NoBackupsError(f"Point in time restore is not enabled for {source.db_instance_identifier}")
    if bool(overrides.get("restore_time")) == bool(overrides.get("use_latest_restorable_time")):
        raise InvalidParameterCombination("Specify either RestoreTime or UseLatestRestorableTime, and not both.")
    found = point(source, overrides.get("restore_time"))
    given = {name: value for name, value in overrides.items() if name not in OF_THE_CALL}
    made = backend.create_db_instance({**like(source, given), "db_instance_identifier": target_db_identifier})
    made.beginning = found
    return made


def _source(backend: Any, name: str | None, resource: str | None) -> Any:
    """An instance by its name or its DbiResourceId, by which also one is found that is gone and left its backups."""
    if name or not resource:
        return backend.describe_db_instances(db_instance_identifier=name)[0]
    there = [each for each in backend.databases.values() if each.dbi_resource_id == resource]
    there += [each.database for each in reversed(chain(backend, resource))]
    if not there:
        raise DBInstanceNotFoundError(resource)
    return there[0]


def _moment(time: Any) -> datetime:
    """UTC, naive as moto's."""
    found = time if isinstance(time, datetime) else datetime.fromisoformat(str(time).replace("Z", "+00:00"))
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
