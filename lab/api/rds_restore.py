"""Databases that start from a snapshot, or from another's backups: as their source in all that a call leaves open.

moto copies objects that two instances can't share, and changes that wait. What the source held isn't kept anywhere in
the lab, so that such a database is empty.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html,
API_RestoreDBInstanceToPointInTime.html
"""

import copy
import inspect
from typing import Any

from moto.core.exceptions import ServiceException
from moto.rds import models
from moto.rds.exceptions import DBInstanceAlreadyExists, InvalidParameterCombination

from lab.api.patching import instead

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


OF_THE_CALL = ("restore_time", "source_db_instance_identifier", "tags_specifications")
"""What is said of a copy when it is asked for, and not of the instance: one with a source would be a replica."""


class NoBackupsError(ServiceException):
    """There is no point in time to go back to."""

    code = "PointInTimeRestoreNotEnabled"


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


def _from_snapshot(backend: Any, from_snapshot_id: str, overrides: Any) -> Any:
    if overrides["db_instance_identifier"] in backend.databases:
        raise DBInstanceAlreadyExists()
    if from_snapshot_id.startswith("arn:"):
        from_snapshot_id = from_snapshot_id.partition(":snapshot:")[2]
    snapshot = backend.describe_db_snapshots(db_instance_identifier=None, db_snapshot_identifier=from_snapshot_id)[0]
    return backend.create_db_instance(
        {**like(snapshot.database, overrides), "storage_encrypted": snapshot.database.storage_encrypted}
    )


def _to_point_in_time(backend: Any, source_db_identifier: str, target_db_identifier: str, overrides: Any) -> Any:
    if target_db_identifier in backend.databases:
        raise DBInstanceAlreadyExists()
    source = backend.describe_db_instances(db_instance_identifier=source_db_identifier)[0]
    if not source.backup_retention_period:
        raise NoBackupsError(f"Point in time restore is not enabled for {source_db_identifier}")
    if bool(overrides.get("restore_time")) == bool(overrides.get("use_latest_restorable_time")):
        raise InvalidParameterCombination("Specify either RestoreTime or UseLatestRestorableTime, and not both.")
    given = {name: value for name, value in overrides.items() if name not in OF_THE_CALL}
    return backend.create_db_instance({**like(source, given), "db_instance_identifier": target_db_identifier})
