"""The stack's database as RDS has it, and waiting until an instance is as it should be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operate.load.metrics import database_identifier, is_cluster
from operate.stack import Stack, lasting

AVAILABLE: Final = "available"
BROKEN: Final = frozenset(
    {
        "failed",
        "inaccessible-encryption-credentials",
        "incompatible-create",
        "incompatible-network",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "restore-error",
        "storage-full",
    }
)
"""States that an instance doesn't come out of by itself.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html"""
POLL_SECONDS: Final = 2.0
BEGUN_SECONDS: Final = 30.0
"""In which RDS has begun what it was asked for: until then it may still say that an instance is available."""

Listener = Callable[[str], None]
Pause = Callable[[float], object]
Instance = Mapping[str, Any]
"""As DescribeDBInstances has it."""


@dataclass(frozen=True)
class Kind:
    """What can be waited for: an instance, or a cluster."""

    words: str
    """What people call it."""
    describe: Callable[[Stack, str], Mapping[str, Any] | None]
    identifier: str
    """Where its identifier is."""
    status: str
    """Where its status is."""
    source: str
    """What RDS's events call it."""


class DatabaseError(Exception):
    """It can't be done; the message says why, and how to mend it."""


class RequestError(DatabaseError):
    """It can't be done as it was asked for: other arguments would do."""


def named(stack: Stack) -> str:
    """Its identifier, of an instance or of a cluster. DatabaseError where the stack has no database."""
    if secret := stack.outputs.get("databaseUrlSecret"):
        raise DatabaseError(
            f"the database isn't the stack's (expressway:database.engine is external): see to it where it is kept; the "
            f"secret {secret} has its address"
        )
    identifier = database_identifier(_endpoint(stack))
    if identifier is None:
        raise DatabaseError("the stack's outputs name no database")
    return identifier


def clustered(stack: Stack) -> bool:
    """Whether it is a cluster of Aurora, and so cluster.py's to find."""
    return is_cluster(_endpoint(stack))


def _endpoint(stack: Stack) -> str:
    return str(stack.outputs.get("databaseEndpoint") or "")


def describe(stack: Stack, identifier: str) -> Instance | None:
    """An instance by its identifier; None when there is none. botocore's errors."""
    rds = stack.client("rds")
    try:
        return rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
    except rds.exceptions.DBInstanceNotFoundFault:
        return None


INSTANCE: Final = Kind("database instance", describe, "DBInstanceIdentifier", "DBInstanceStatus", "db-instance")


def find(stack: Stack, kind: Kind = INSTANCE) -> Mapping[str, Any]:
    """The stack's database. DatabaseError without one; botocore's errors."""
    identifier = named(stack)
    found = kind.describe(stack, identifier)
    if found is None:
        raise DatabaseError(f"there is no {kind.words} {identifier} in {stack.region}")
    return found


def find_available(stack: Stack, kind: Kind = INSTANCE) -> Mapping[str, Any]:
    """The same, which nothing is done to at the moment."""
    found = find(stack, kind)
    require_available(found, kind)
    return found


def require_available(found: Mapping[str, Any], kind: Kind = INSTANCE) -> None:
    """DatabaseError while RDS does something to it, which refuses most other things meanwhile."""
    if found[kind.status] != AVAILABLE:
        name, status = found[kind.identifier], found[kind.status]
        raise DatabaseError(f"{name} is {status}: wait until it is available; expressway db status shows it")


def major(found: Mapping[str, Any]) -> str:
    """The major version of PostgreSQL that a database, or a snapshot, is of."""
    return found["EngineVersion"].partition(".")[0]


class Settled:
    """Whether a change is over: it was seen to begin, or has had the time to, and the instance is available."""

    def __init__(self) -> None:
        self._begun = False

    def __call__(self, found: Instance, waited: float) -> bool:
        """Told of each look, and of the seconds before it."""
        self._begun = self._begun or found["DBInstanceStatus"] != AVAILABLE
        return found["DBInstanceStatus"] == AVAILABLE and (self._begun or waited >= BEGUN_SECONDS)


def wait(
    stack: Stack,
    identifier: str,
    over: Callable[[Instance, float], bool],
    most: float,
    listener: Listener,
    pause: Pause,
    kind: Kind = INSTANCE,
) -> Instance:
    """Look until `over` says so, and tell of each change of status.

    DatabaseError after `most` seconds, or when it is broken or gone; botocore's errors.
    """
    waited, status = 0.0, ""
    while waited < most:
        pause(POLL_SECONDS)
        waited += POLL_SECONDS
        found = _asked_again(stack, identifier, kind)
        if found is None:
            continue
        if found[kind.status] != status:
            status = found[kind.status]
            listener(f"{identifier} is {status}")
        if status in BROKEN:
            raise DatabaseError(f"{identifier} is {status}: {_events(identifier, kind)}")
        if over(found, waited):
            return found
    raise DatabaseError(f"{identifier} is still {status} after {most / 60:.0f} minutes: {_events(identifier, kind)}")


def _asked_again(stack: Stack, identifier: str, kind: Kind) -> Instance | None:
    """It as it is now, or None where AWS doesn't say."""
    try:
        found = kind.describe(stack, identifier)
    except (ClientError, BotoCoreError) as error:
        if lasting(error):
            raise
        return None
    if found is None:
        raise DatabaseError(f"{identifier} is gone: {_events(identifier, kind)}")
    return found


def _events(identifier: str, kind: Kind) -> str:
    return f"aws rds describe-events --source-type {kind.source} --source-identifier {identifier} says what happened"
