"""A copy of the database beside it, as it was at a time or in a snapshot: RDS makes another one, and so does this.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html
"""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from operate.database import cluster, restore_cluster, snapshots
from operate.database.instance import (
    AVAILABLE,
    DatabaseError,
    Instance,
    Listener,
    Pause,
    RequestError,
    Settled,
    clustered,
    describe,
    find,
    major,
    wait,
)
from operate.database.window import Window, written
from operate.stack import Stack

SECONDS: Final = 6 * 3600.0
"""In which a copy is there: it takes minutes, and hours of a large database."""
PASSWORD_SECONDS: Final = 1800.0
_NAME: Final = re.compile(r"(?=.{1,63}$)[a-z](-?[a-z0-9])*")


@dataclass(frozen=True)
class Restored:
    """A copy that is there."""

    id: str
    source: str
    """The database, or the snapshot."""
    at: str | None
    """The time that it is of; None for a snapshot, and for the latest time."""
    endpoint: str
    """Host and port."""
    secret: str
    """Where RDS keeps its user's password, by ARN."""
    seconds: float
    writer: str | None = None
    """With Aurora, where the copy is a cluster, the one instance in it."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def moment(text: str) -> datetime:
    """A time as one writes it: ISO 8601, with its zone. RequestError."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    raise RequestError(f"{text!r} is no time with a zone: write it like 2026-11-26T09:30:00Z, where Z is UTC")


def window(stack: Stack, database: Instance) -> Window:
    """The times that `database` can be restored to. botocore's errors."""
    backups = stack.client("rds").describe_db_instance_automated_backups(
        DBInstanceIdentifier=database["DBInstanceIdentifier"]
    )["DBInstanceAutomatedBackups"]
    told: Mapping[str, Any] = next((each.get("RestoreWindow") or {} for each in backups), {})
    return Window(told.get("EarliestTime"), told.get("LatestTime") or database.get("LatestRestorableTime"))


def restore(
    stack: Stack,
    name: str,
    at: datetime | None = None,
    snapshot: str | None = None,
    listener: Listener = lambda _: None,
    pause: Pause = time.sleep,
) -> Restored:
    """Make `name`, an instance or with Aurora a cluster, of a time, a snapshot, or the latest time, and wait for it.

    It is in the same network, behind the same security groups and of the same class; without a standby. RDS keeps its
    password, in a secret of its own. RequestError for what can't be, DatabaseError; botocore's errors.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"{name!r} can't be an instance's name: lower-case letters, digits and single hyphens, a letter first, "
            "up to 63"
        )
    if clustered(stack):
        began = time.monotonic()
        source, copy = restore_cluster.make(stack, name, at, snapshot, listener, pause)
        return Restored(
            id=name,
            source=source,
            at=written(at) if at else None,
            endpoint=cluster.endpoint(copy),
            secret=copy["MasterUserSecret"]["SecretArn"],
            seconds=round(time.monotonic() - began, 1),
            writer=cluster.writer(copy),
        )
    database = find(stack)
    if describe(stack, name) is not None:
        raise RequestError(f"there is an instance {name} already, and nothing is restored over one: give another name")
    given = _given(database)
    began = time.monotonic()
    if snapshot is not None:
        given |= _of_snapshot(stack, snapshot, database)
        stack.client("rds").restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=name, DBSnapshotIdentifier=snapshot, **given
        )
    else:
        given |= _of_time(stack, at, database)
        stack.client("rds").restore_db_instance_to_point_in_time(
            SourceDBInstanceIdentifier=database["DBInstanceIdentifier"], TargetDBInstanceIdentifier=name, **given
        )
    listener(f"{name} is being made of {snapshot or database['DBInstanceIdentifier']}")
    made = wait(stack, name, _is_available, SECONDS, listener, pause)
    if not made.get("MasterUserSecret"):
        made = _have_password(stack, name, listener, pause)
    return Restored(
        id=name,
        source=snapshot or database["DBInstanceIdentifier"],
        at=written(at) if at else None,
        endpoint=f"{made['Endpoint']['Address']}:{made['Endpoint']['Port']}",
        secret=made["MasterUserSecret"]["SecretArn"],
        seconds=round(time.monotonic() - began, 1),
    )


def _is_available(found: Instance, _: float) -> bool:
    return found["DBInstanceStatus"] == AVAILABLE


def _have_password(stack: Stack, name: str, listener: Listener, pause: Pause) -> Instance:
    """Have RDS make it a password: whoever knew the one of that time may know it no more."""
    listener(f"{name} gets a password of its own, which RDS keeps")
    stack.client("rds").modify_db_instance(
        DBInstanceIdentifier=name, ManageMasterUserPassword=True, ApplyImmediately=True
    )
    settled = Settled()

    def over(found: Instance, waited: float) -> bool:
        return settled(found, waited) and bool(found.get("MasterUserSecret"))

    return wait(stack, name, over, PASSWORD_SECONDS, listener, pause)


def _given(database: Instance) -> dict[str, Any]:
    """What RDS would choose otherwise than the stack has it. Storage and its key are the source's in any case."""
    return {
        "DBInstanceClass": database["DBInstanceClass"],
        "DBSubnetGroupName": database["DBSubnetGroup"]["DBSubnetGroupName"],
        "VpcSecurityGroupIds": [each["VpcSecurityGroupId"] for each in database["VpcSecurityGroups"]],
        "DBParameterGroupName": database["DBParameterGroups"][0]["DBParameterGroupName"],
        "MultiAZ": False,
        "PubliclyAccessible": False,
        "CopyTagsToSnapshot": True,
        # Those of `aws:` are AWS's own to give.
        "Tags": [each for each in database.get("TagList", []) if not each["Key"].startswith("aws:")],
    }


def _of_snapshot(stack: Stack, snapshot: str, database: Instance) -> dict[str, Any]:
    found = snapshots.restorable(stack, snapshot, database)
    if major(found) == major(database):
        return {}
    # The group of another major version isn't taken; its family's own, which RDS has, is.
    return {"DBParameterGroupName": f"default.{database['Engine']}{major(found)}"}


def _of_time(stack: Stack, at: datetime | None, database: Instance) -> dict[str, Any]:
    identifier = database["DBInstanceIdentifier"]
    if not database.get("BackupRetentionPeriod"):
        raise DatabaseError(f"{identifier} keeps no backups: set expressway:database.backupDays, or give a snapshot")
    if at is None:
        return {"UseLatestRestorableTime": True}
    window(stack, database).require(identifier, at)
    return {"RestoreTime": at}
