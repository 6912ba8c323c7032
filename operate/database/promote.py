"""A read replica that becomes a database of its own: it takes writes, and follows nobody any more."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from operate.database.instance import (
    AVAILABLE,
    Instance,
    Listener,
    Pause,
    RequestError,
    clustered,
    describe,
    find,
    named,
    require_available,
    wait,
)
from operate.stack import Stack

SECONDS: Final = 3600.0
"""In which a promotion is over: RDS restarts the replica, and takes a backup of it first where it has none."""


@dataclass(frozen=True)
class Promoted:
    """A replica that is one no more."""

    id: str
    source: str
    """What it was a replica of."""
    endpoint: str
    """Host and port."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def promote(stack: Stack, replica: str, listener: Listener = lambda _: None, pause: Pause = time.sleep) -> Promoted:
    """Have RDS promote it, and wait until it takes writes. It keeps backups for as many days as the stack's database.

    RequestError for what is no replica of the stack's database, DatabaseError; botocore's errors.
    """
    if clustered(stack):
        raise RequestError(
            f"{named(stack)} is an Aurora cluster, whose readers are none of their own: expressway db failover makes "
            "one the writer, and expressway db restore makes a copy"
        )
    database = find(stack)
    identifier, replicas = database["DBInstanceIdentifier"], database.get("ReadReplicaDBInstanceIdentifiers", [])
    found = describe(stack, replica) if replica in replicas else None
    if found is None:
        there = f"there are: {', '.join(sorted(replicas))}" if replicas else "it has none"
        raise RequestError(f"{replica} is no replica of {identifier}: {there}")
    require_available(found)
    began = time.monotonic()
    stack.client("rds").promote_read_replica(
        DBInstanceIdentifier=replica, BackupRetentionPeriod=max(1, database.get("BackupRetentionPeriod", 1))
    )
    listener(f"{replica} follows {identifier} no more")
    made = wait(stack, replica, _is_own, SECONDS, listener, pause)
    endpoint = f"{made['Endpoint']['Address']}:{made['Endpoint']['Port']}"
    return Promoted(replica, identifier, endpoint, round(time.monotonic() - began, 1))


def _is_own(found: Instance, _: float) -> bool:
    return not found.get("ReadReplicaSourceDBInstanceIdentifier") and found["DBInstanceStatus"] == AVAILABLE
