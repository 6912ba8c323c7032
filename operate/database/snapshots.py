"""Snapshots of the database: which there are, and one by hand."""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operate.database import cluster
from operate.database.instance import (
    AVAILABLE,
    POLL_SECONDS,
    DatabaseError,
    Listener,
    Pause,
    RequestError,
    clustered,
    find,
    find_available,
)
from operate.stack import Stack, lasting

SECONDS: Final = 6 * 3600.0
"""In which a snapshot is made: the first one of a large database takes hours."""
STEP: Final = 10
"""Percent of progress that are told of."""
_NAME: Final = re.compile(r"[A-Za-z](-?[A-Za-z0-9]){0,254}")
"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html"""
_LONGEST: Final = 255


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of the stack's database."""

    name: str
    kind: str
    """manual, or automated; RDS deletes those of the second kind after some days."""
    status: str
    made: datetime | None
    """None while it is being made."""
    storage_gb: int | None
    """GiB that the database had; what RDS stores of it is less. None with Aurora, of which RDS doesn't say."""
    stored_bytes: int | None
    """What a whole snapshot takes; None where RDS doesn't say."""
    version: str
    """PostgreSQL's."""
    encrypted: bool
    progress: int | None = None
    """Percent."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "made": self.made.isoformat() if self.made else None}


@dataclass(frozen=True)
class Taken:
    """A snapshot that was made, and how long that took."""

    snapshot: Snapshot
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**self.snapshot.as_json(), "seconds": self.seconds}


def every(stack: Stack) -> list[Snapshot]:
    """Those of the stack's database, the newest first. DatabaseError without a database; botocore's errors."""
    if clustered(stack):
        pages = stack.client("rds").get_paginator("describe_db_cluster_snapshots")
        asked = pages.paginate(DBClusterIdentifier=cluster.find(stack)["DBClusterIdentifier"])
        found = [_read(each) for page in asked for each in page["DBClusterSnapshots"]]
    else:
        pages = stack.client("rds").get_paginator("describe_db_snapshots")
        asked = pages.paginate(DBInstanceIdentifier=find(stack)["DBInstanceIdentifier"])
        found = [_read(each) for page in asked for each in page["DBSnapshots"]]
    return sorted(found, key=lambda each: each.made or datetime.max.replace(tzinfo=UTC), reverse=True)


def describe(stack: Stack, name: str) -> Mapping[str, Any] | None:
    """A snapshot as RDS has it, by name; None when there is none. botocore's errors."""
    rds = stack.client("rds")
    if clustered(stack):
        try:
            return next(
                iter(rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]), None
            )
        except rds.exceptions.DBClusterSnapshotNotFoundFault:
            return None
    try:
        return next(iter(rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"]), None)
    except rds.exceptions.DBSnapshotNotFoundFault:
        return None


def restorable(stack: Stack, name: str, database: Mapping[str, Any]) -> Mapping[str, Any]:
    """A snapshot that the stack's database can be made of, as RDS has it.

    RequestError for one that it can't, DatabaseError for one that isn't there yet; botocore's errors.
    """
    found = describe(stack, name)
    if found is None:
        raise RequestError(f"there is no snapshot {name}: expressway db snapshots lists them")
    if found["Status"] != AVAILABLE:
        raise DatabaseError(f"{name} is {found['Status']}: wait until it is available")
    if found["Engine"] != database["Engine"]:
        raise RequestError(f"{name} is of {found['Engine']}, and the stack's database is {database['Engine']}")
    if not _read(found).encrypted:
        copy = "copy-db-cluster-snapshot" if clustered(stack) else "copy-db-snapshot"
        raise RequestError(
            f"{name} is not encrypted, and the copy wouldn't be: aws rds {copy} --kms-key-id alias/aws/rds makes one "
            "that is"
        )
    return found


def take(
    stack: Stack, name: str | None = None, listener: Listener = lambda _: None, pause: Pause = time.sleep
) -> Taken:
    """Make one, and wait until it is there. Without a name, it has the database's and the time.

    RequestError for a name that can't be, DatabaseError; botocore's errors.
    """
    if name is not None and (len(name) > _LONGEST or not _NAME.fullmatch(name)):
        raise RequestError(
            f"{name!r} can't be a snapshot's name: letters, digits and single hyphens, a letter first, up to {_LONGEST}"
        )
    of_cluster = clustered(stack)
    identifier = (
        cluster.find_available(stack)["DBClusterIdentifier"]
        if of_cluster
        else find_available(stack)["DBInstanceIdentifier"]
    )
    wanted = name or f"{identifier}-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S}"
    rds, began = stack.client("rds"), time.monotonic()
    try:
        if of_cluster:
            rds.create_db_cluster_snapshot(DBClusterIdentifier=identifier, DBClusterSnapshotIdentifier=wanted)
        else:
            rds.create_db_snapshot(DBInstanceIdentifier=identifier, DBSnapshotIdentifier=wanted)
    except (rds.exceptions.DBSnapshotAlreadyExistsFault, rds.exceptions.DBClusterSnapshotAlreadyExistsFault):
        raise RequestError(f"there is a snapshot {wanted} already: give another name") from None
    listener(f"{wanted} is being made of {identifier}")
    waited, told = 0.0, 0
    while waited < SECONDS:
        found = _asked_again(stack, wanted)
        if found is not None:
            if found.status == AVAILABLE:
                return Taken(found, round(time.monotonic() - began, 1))
            if found.status == "failed":
                source = "db-cluster-snapshot" if of_cluster else "db-snapshot"
                raise DatabaseError(f"{wanted} failed: aws rds describe-events --source-type {source} says why")
            if (found.progress or 0) >= told + STEP:
                told = (found.progress or 0) // STEP * STEP
                listener(f"{wanted}: {found.progress} %")
        pause(POLL_SECONDS)
        waited += POLL_SECONDS
    raise DatabaseError(f"{wanted} is not there after {SECONDS / 3600:.0f} hours: expressway db snapshots shows it")


def _asked_again(stack: Stack, name: str) -> Snapshot | None:
    """The snapshot as it is now, or None where AWS doesn't say."""
    try:
        found = describe(stack, name)
    except (ClientError, BotoCoreError) as error:
        if lasting(error):
            raise
        return None
    return _read(found) if found is not None else None


def _read(found: Mapping[str, Any]) -> Snapshot:
    of_cluster = "DBClusterSnapshotIdentifier" in found
    return Snapshot(
        name=found["DBClusterSnapshotIdentifier" if of_cluster else "DBSnapshotIdentifier"],
        kind=found.get("SnapshotType", ""),
        status=found["Status"],
        made=found.get("SnapshotCreateTime"),
        storage_gb=None if of_cluster else found.get("AllocatedStorage", 0),
        stored_bytes=found.get("FullSnapshotSizeInBytes"),
        version=found.get("EngineVersion", ""),
        encrypted=found.get("StorageEncrypted" if of_cluster else "Encrypted", False),
        progress=found.get("PercentProgress"),
    )
