"""RDS's maintenance window: which changes of a database wait for it, and what happens when it comes.

The lab has no calendar: a window comes when the control surface says so, or with a change that is to be made at once.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html (ApplyImmediately, and what
each parameter says of the maintenance window); what a change of the parameter group does along with a major version:
https://github.com/hashicorp/terraform-provider-aws/pull/47121.
"""

from typing import Any

from moto.rds import models

WAITING = {
    "allocated_storage": "AllocatedStorage",
    "backup_retention_period": "BackupRetentionPeriod",
    "db_instance_class": "DBInstanceClass",
    "db_subnet_group_name": "DBSubnetGroupName",
    "engine_version": "EngineVersion",
    "iops": "Iops",
    "multi_az": "MultiAZ",
    "new_db_instance_identifier": "DBInstanceIdentifier",
    "storage_throughput": "StorageThroughput",
    "storage_type": "StorageType",
}
"""What waits, unless it is to be made at once -> what PendingModifiedValues calls it."""
PARAMETER_GROUP = "db_parameter_group_name"
"""Changes at once, but with a major version, which it then waits for. PendingModifiedValues has no word for it."""


def pending(database: Any) -> dict[str, Any]:
    """The changes that wait: moto's names, and values."""
    if not hasattr(database, "waiting"):
        database.waiting = {}
    return database.waiting


def defer(database: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Put off what waits, and return what is to be made at once. What is asked for again as it is waits no more."""
    queue, at_once = pending(database), dict(changes)
    upgrades = major(changes.get("engine_version")) not in (None, major(database.engine_version))
    for name in WAITING:
        if changes.get(name) is None or not _waits(database, name, changes[name]):
            continue
        value = at_once.pop(name)
        queue.pop(name, None)
        if value != _present(database, name):
            queue[name] = value
    if upgrades and at_once.get(PARAMETER_GROUP) is not None:
        queue[PARAMETER_GROUP] = at_once.pop(PARAMETER_GROUP)
    if "engine_version" not in queue:
        queue.pop(PARAMETER_GROUP, None)
    return at_once


def parameter_groups(database: Any) -> set[str]:
    """The parameter groups that an instance is a member of: the present one, and the one that is to come."""
    return {group for group in (database.db_parameter_group_name, pending(database).get(PARAMETER_GROUP)) if group}


def due(database: Any) -> dict[str, Any]:
    """Take what waits from the queue: it is made now."""
    waiting = dict(pending(database))
    database.waiting = {}
    return waiting


def told(database: Any) -> dict[str, Any]:
    """PendingModifiedValues."""
    return {WAITING[name]: value for name, value in pending(database).items() if name in WAITING}


def major(version: str | None) -> str | None:
    """The major version of a PostgreSQL."""
    return version.partition(".")[0] if version else None


def find(identifier: str) -> tuple[Any, Any] | None:
    """A database instance and the backend that has it."""
    for account in models.rds_backends.values():
        for backend in account.values():
            if identifier in backend.databases:
                return backend, backend.databases[identifier]
    return None


def open_window(identifier: str) -> list[str] | None:
    """Make what waits of an instance; what was made, or None when there is no such instance."""
    found = find(identifier)
    if found is None:
        return None
    backend, database = found
    made = sorted(told(database))
    if pending(database):
        changes = {**due(database), "apply_immediately": True, "allow_major_version_upgrade": True}
        backend.modify_db_instance(identifier, changes)
    return made


def _waits(database: Any, name: str, value: Any) -> bool:
    if name == "backup_retention_period":  # only where backups begin or end
        return bool(value) != bool(database.backup_retention_period)
    return True


def _present(database: Any, name: str) -> Any:
    if name == "db_subnet_group_name":  # moto only writes it
        return database.db_subnet_group.name
    return getattr(database, "db_instance_identifier" if name == "new_db_instance_identifier" else name, None)
