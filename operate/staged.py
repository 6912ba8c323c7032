"""A secret of the stack's own whose value changes: the next one is `AWSPENDING` until whoever checks it knows it.

So how far a change has come is in AWS, and whoever was cut short goes on with the value that was drawn.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from operate.stack import Stack

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
LENGTH: Final = 64
"""Characters of a token or a password: ElastiCache and RDS take up to 128."""


@dataclass(frozen=True)
class Version:
    """One value of a secret."""

    id: str
    text: str
    made: datetime


@dataclass(frozen=True)
class Rotated:
    """A change that is over."""

    secret: str
    version: str
    """Of the secret, that has the new value."""
    resumed: bool
    """Whether it was begun before."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def find(stack: Stack, secret: str, stage: str) -> Version | None:
    """The version that has `stage`; None without one. botocore's errors."""
    try:
        return _read(stack, secret, stage)
    except stack.client("secretsmanager").exceptions.ResourceNotFoundException:
        return None


def draw(stack: Stack) -> str:
    """Random letters and digits."""
    # Tokens and passwords take only some punctuation, and a URL would have to escape it.
    drawn = stack.client("secretsmanager").get_random_password(PasswordLength=LENGTH, ExcludePunctuation=True)
    return drawn["RandomPassword"]


def keep(stack: Stack, secret: str, text: str, stage: str = PENDING) -> Version:
    """Keep the next value, before anybody is told of it; or with AWSCURRENT, for all at once. botocore's errors."""
    stack.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=text, VersionStages=[stage])
    return _read(stack, secret, stage)


def make_current(stack: Stack, secret: str, wanted: Version, former: Version) -> None:
    """Have machines follow a version in place of the former one."""
    stack.client("secretsmanager").update_secret_version_stage(
        SecretId=secret, VersionStage=CURRENT, MoveToVersionId=wanted.id, RemoveFromVersionId=former.id
    )


def settle(stack: Stack, secret: str, wanted: Version) -> None:
    """The version is pending no longer: there is nothing to go on with."""
    stack.client("secretsmanager").update_secret_version_stage(
        SecretId=secret, VersionStage=PENDING, RemoveFromVersionId=wanted.id
    )


def _read(stack: Stack, secret: str, stage: str) -> Version:
    found = stack.client("secretsmanager").get_secret_value(SecretId=secret, VersionStage=stage)
    return Version(found["VersionId"], found["SecretString"], found["CreatedDate"])
