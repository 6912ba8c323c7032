"""RDS's read replicas: instances of their own that stream from another one, until they are promoted.

A replica has its source's users and passwords, since it has all that the source has. One is asked for at once, and
there when the lab says so; a promotion too. Cascades are as deep as one likes, and sources of another region are
refused: the lab has one.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstanceReadReplica.html,
API_PromoteReadReplica.html, https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.html,
rds-secrets-manager.html (limitations); the wording is from reports of others in public issues.
"""

import secrets
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.utils import utcnow
from moto.rds import models
from moto.rds.exceptions import DBInstanceAlreadyExists, InvalidParameterCombination, InvalidParameterValue

from lab.api import rds_parameters, rds_standby
from lab.api.patching import add, around, instead
from lab.api.rds import alone, choose_subnet, databases, measure, place
from lab.api.rds_rules import InstanceStateError, check_class, check_family

MOST = 15
"""Replicas of one source."""
SOURCE_STATES = ("available", "backing-up", "creating", "modifying")
"""Of a source. On AWS it is there before a program goes on; the lab's machines start after the program has run."""
PROMOTED_RETENTION = 1
"""Days of backups, unless a promotion says another number."""


class TooManyError(ServiceException):
    """A source has as many replicas as it can have."""

    code = "InstanceQuotaExceeded"


def install() -> None:
    """Change moto's RDS. Once a process, before the first request."""
    around(models.RDSBackend, "create_db_instance_read_replica", _create)
    instead(models.RDSBackend, "promote_read_replica", _promote)
    around(models.RDSBackend, "delete_db_instance", _delete)
    add(models.DBInstance, "status_infos", property(_status_infos))


def finish_promotion(identifier: str) -> bool:
    """`identifier` takes writes now. Whether that is what it waits for."""
    for database in databases():
        if database.db_instance_identifier == identifier and getattr(database, "promoting", False):
            if database.is_replica:
                database.backend.databases[database.source_db_instance_identifier].remove_replica(database)
            database.is_replica = database.promoting = False
            database.source_db_instance_identifier = None
            database.status = "available"
            rds_standby.follow(database)
            return True
    return False


def _create(original: Any, backend: Any, db_kwargs: dict[str, Any]) -> Any:
    named, of = db_kwargs["db_instance_identifier"], db_kwargs["source_db_instance_identifier"]
    backend._validate_db_identifier(named)
    _refuse_other_region(backend, of)
    primary = backend.find_db_from_id(of)
    _check(backend, named, primary, db_kwargs)
    replica = original(backend, {**db_kwargs, "source_db_instance_identifier": primary.db_instance_identifier})
    # moto's is a copy of the source, with what belongs to that one alone.
    replica.status, replica.created = "creating", utcnow()
    replica.instance_create_time = replica.created
    replica.dbi_resource_id = f"db-{secrets.token_hex(13).upper()}"
    replica.waiting, replica.pending_modified_values = {}, {}
    replica.promoting, replica.password_known = False, replica.password_version
    alone(replica)
    replica.tags = db_kwargs.get("tags") or []
    replica.enabled_cloudwatch_logs_exports = list(db_kwargs.get("enable_cloudwatch_logs_exports") or [])
    for name, otherwise in (
        ("backup_retention_period", 0),
        ("copy_tags_to_snapshot", False),
        ("deletion_protection", False),
        ("multi_az", False),
        ("publicly_accessible", False),
    ):
        setattr(replica, name, otherwise if db_kwargs.get(name) is None else db_kwargs[name])
    # Growing and measuring are each instance's own.
    replica.max_allocated_storage = db_kwargs.get("max_allocated_storage") or replica.allocated_storage
    replica.performance_insights_enabled = False
    measure(replica, db_kwargs)
    rds_parameters.begin(replica)
    replica.db_subnet_group = _subnet_group(backend, primary, db_kwargs)
    groups = db_kwargs.get("vpc_security_group_ids") or list(primary.vpc_security_group_ids)
    # Where RDS puts it unless one says so; another zone is what most want of it.
    place(replica, groups, zone=db_kwargs.get("availability_zone"), besides=primary.availability_zone)
    return replica


def _subnet_group(backend: Any, primary: Any, asked: dict[str, Any]) -> Any:
    named = asked.get("db_subnet_group_name")
    return backend.describe_db_subnet_groups(named)[0] if named else primary.db_subnet_group


def _refuse_other_region(backend: Any, of: str) -> None:
    if backend.arn_regex.match(of) and of.split(":")[3] != backend.region_name:
        raise InvalidParameterCombination(
            f"The source {of} is in another region than {backend.region_name}, and the lab has one."
        )


def _check(backend: Any, named: str, primary: Any, asked: dict[str, Any]) -> None:
    """Refuse what RDS refuses."""
    if named in backend.databases:
        raise DBInstanceAlreadyExists()
    if primary.status not in SOURCE_STATES:
        raise InstanceStateError(
            f"DB instance {primary.db_instance_identifier} is not in the available state; it is {primary.status}."
        )
    if getattr(primary, "manage_master_user_password", False):
        raise InvalidParameterValue(
            f"Creating read replicas for source instance with engine {primary.engine} where ManageMasterUserPassword "
            "is enabled is not supported."
        )
    if not primary.backup_retention_period:
        raise InstanceStateError(
            "Automated backups are not enabled for this database instance. To enable automated backups, use "
            "ModifyDBInstance to set the backup retention period to a non-zero value."
        )
    if len(primary.replicas) >= MOST:
        raise TooManyError(f"The DB instance {primary.db_instance_identifier} has {MOST} read replicas already.")
    if asked.get("db_instance_class"):
        check_class(asked["db_instance_class"], primary.engine_version)
    check_family(backend, asked.get("db_parameter_group_name"), primary.engine_version)
    choose_subnet(_subnet_group(backend, primary, asked), asked.get("availability_zone"))


def _promote(backend: Any, db_kwargs: dict[str, Any]) -> Any:
    """Begin it: the replica's machine has to do it."""
    database = backend.describe_db_instances(db_kwargs["db_instance_identifier"])[0]
    if not database.is_replica:
        raise InstanceStateError(f"DB Instance {database.db_instance_identifier} is not a read replica.")
    if database.status != "available":
        raise InstanceStateError(
            f"DB instance {database.db_instance_identifier} is not in the available state; it is {database.status}."
        )
    retention = db_kwargs.get("backup_retention_period")
    database.backup_retention_period = PROMOTED_RETENTION if retention is None else retention
    if window := db_kwargs.get("preferred_backup_window"):
        database.preferred_backup_window = window
    database.promoting, database.status = True, "modifying"
    return database


def _delete(original: Any, backend: Any, db_instance_identifier: str, *args: Any, **kwargs: Any) -> Any:
    """The replicas of a source that goes are promoted."""
    deleted = original(backend, db_instance_identifier, *args, **kwargs)
    for database in backend.databases.values():
        if database.is_replica and database.source_db_instance_identifier == deleted.db_instance_identifier:
            database.backup_retention_period = database.backup_retention_period or PROMOTED_RETENTION
            database.is_replica, database.source_db_instance_identifier = False, None
            database.promoting, database.status = True, "modifying"
    return deleted


def _status_infos(database: Any) -> list[dict[str, Any]]:
    if not database.is_replica:
        return []
    replicating = {"StatusType": "read replication", "Normal": True, "Status": "replicating"}
    return [replicating] if database.status == "available" else []
