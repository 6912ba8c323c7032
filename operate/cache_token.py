"""Another token for the cache, without a refused client: the order of docs/rotation.md, and whatever cuts it short.

How far it has come is in AWS: the new token is a version of the secret that is `AWSPENDING` from before the cache knows
it until the old one is good for nothing. Whoever runs it again goes on with that one. A second new token beside it
would take the old one from the cache while machines still have it: ElastiCache knows the latest two.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from operate.cache import POLL_SECONDS, CacheError, Listener, asked_again, replication
from operate.stack import Stack

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
FOLLOW_SECONDS: Final = 120.0
"""In which machines follow the secret: they look at it once a minute, and reload their workers."""
CHANGE_SECONDS: Final = 1800.0
"""In which ElastiCache has made a change of tokens."""
BEGUN_SECONDS: Final = 30.0
"""In which ElastiCache has begun a change: until then it may still say that it is available."""
LENGTH: Final = 64


@dataclass(frozen=True)
class Rotated:
    """A rotation that is over."""

    secret: str
    version: str
    """Of the secret, that has the new token."""
    resumed: bool
    """Whether it was begun before."""
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True)
class _Version:
    id: str
    text: str
    made: datetime


def rotate(
    stack: Stack,
    listener: Listener = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> Rotated:
    """Draw a token, or go on with one that was drawn, and return when it is the only one that is good.

    CacheError when it can't be, or takes too long; botocore's errors.
    """
    secret = str(stack.outputs.get("cacheTokenSecret") or "")
    if not secret:
        raise CacheError("the stack's outputs don't name the token's secret: run pulumi up with this release once")
    group = replication(stack)
    if not group.get("AuthTokenEnabled"):
        raise CacheError(f"{group['ReplicationGroupId']} has no token")
    if group["Status"] != "available":
        raise CacheError(f"{group['ReplicationGroupId']} is {group['Status']}: wait until it is available")
    began = time.monotonic()
    current, pending = _version(stack, secret, CURRENT), _version(stack, secret, PENDING)
    if current is None:
        raise CacheError(f"{secret} has no value")
    wanted = pending or _draw(stack, secret)
    if wanted.id != current.id:
        if pending is None or group["AuthTokenLastModifiedDate"] < wanted.made:
            _change(stack, group, wanted, "ROTATE", pause)
        listener("the cache takes the old token and the new one")
        stack.client("secretsmanager").update_secret_version_stage(
            SecretId=secret, VersionStage=CURRENT, MoveToVersionId=wanted.id, RemoveFromVersionId=current.id
        )
    listener(f"machines follow the secret, for which they get {FOLLOW_SECONDS:.0f} s")
    pause(FOLLOW_SECONDS)
    _change(stack, group, wanted, "SET", pause)
    listener("the cache takes the new token alone")
    stack.client("secretsmanager").update_secret_version_stage(
        SecretId=secret, VersionStage=PENDING, RemoveFromVersionId=wanted.id
    )
    return Rotated(secret, wanted.id, pending is not None, round(time.monotonic() - began, 1))


def _version(stack: Stack, secret: str, stage: str) -> _Version | None:
    secrets = stack.client("secretsmanager")
    try:
        found = secrets.get_secret_value(SecretId=secret, VersionStage=stage)
    except secrets.exceptions.ResourceNotFoundException:
        return None
    return _Version(found["VersionId"], found["SecretString"], found["CreatedDate"])


def _draw(stack: Stack, secret: str) -> _Version:
    """A new token, kept before anybody is told of it."""
    secrets = stack.client("secretsmanager")
    # Tokens take only some punctuation, and a URL would have to escape it.
    drawn = secrets.get_random_password(PasswordLength=LENGTH, ExcludePunctuation=True)["RandomPassword"]
    secrets.put_secret_value(SecretId=secret, SecretString=drawn, VersionStages=[PENDING])
    kept = _version(stack, secret, PENDING)
    if kept is None:
        raise CacheError(f"{secret} doesn't have the new token that it was given")
    return kept


def _change(stack: Stack, group: Any, version: _Version, strategy: str, pause: Callable[[float], object]) -> None:
    """Have ElastiCache take a token beside the old one, or alone, and wait until every node does."""
    identifier = group["ReplicationGroupId"]
    group = stack.client("elasticache").modify_replication_group(
        ReplicationGroupId=identifier,
        AuthToken=version.text,
        AuthTokenUpdateStrategy=strategy,
        ApplyImmediately=True,
    )["ReplicationGroup"]
    waited, begun = 0.0, False
    while waited < CHANGE_SECONDS:
        begun = begun or group["Status"] != "available"
        pause(POLL_SECONDS)
        waited += POLL_SECONDS
        group = asked_again(stack, group)
        if group["Status"] == "available" and (begun or waited >= BEGUN_SECONDS):
            return
    raise CacheError(f"{identifier} is still {group['Status']} after {CHANGE_SECONDS:.0f} s: run this again to go on")
