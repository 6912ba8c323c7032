"""Emptying the cache: asked of one app server by a tag, answered by an object in the bucket.

Only app servers reach Redis, and the token is theirs to read. user_data/app/files/expressway_app/flush.py is the other
side.
"""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operate.cache import POLL_SECONDS, CacheError, Listener, replication
from operate.doctor.account import code
from operate.profile.request import ProfileError, choose
from operate.releases import MISSING
from operate.stack import Stack, lasting

TAG: Final = "expressway:flush-cache"
SECONDS: Final = 60.0
"""In which the machine has answered: AWS shows it its tags some seconds late."""
_LARGEST: Final = 65536
"""Bytes of an answer that are read."""


@dataclass(frozen=True)
class Flushed:
    """A cache that has forgotten what it had."""

    cache: str
    machine: str
    """The app server that asked for it."""
    before: int
    """Keys."""
    after: int
    """Keys: what was stored anew meanwhile."""
    seconds: float
    """That Redis took."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def flush(
    stack: Stack,
    listener: Listener = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> Flushed:
    """Have the cache forget everything. CacheError when it can't be, or nobody answers in time; botocore's errors.

    The tag is taken off again in any case.
    """
    identifier = replication(stack)["ReplicationGroupId"]
    try:
        machine = choose(stack, None)
    except ProfileError as error:
        raise CacheError(str(error)) from None
    ec2, request = stack.client("ec2"), secrets.token_hex(10)
    ec2.create_tags(Resources=[machine], Tags=[{"Key": TAG, "Value": request}])
    listener(f"asking {machine}")
    try:
        told = _await(stack, machine, request, pause)
    finally:
        # By its value: where somebody else has asked meanwhile, theirs stays.
        ec2.delete_tags(Resources=[machine], Tags=[{"Key": TAG, "Value": request}])
    if told.get("state") != "done":
        raise CacheError(f"{machine}: {told.get('reason') or 'it does not say why'}")
    try:
        return Flushed(identifier, machine, int(told["before"]), int(told["after"]), float(told["seconds"]))
    except (KeyError, TypeError, ValueError):
        raise CacheError(f"{machine} answered with what can't be read") from None


def _await(stack: Stack, machine: str, request: str, pause: Callable[[float], object]) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        told = _answer(stack, machine, request)
        if told is not None:
            return told
        pause(POLL_SECONDS)
    raise CacheError(
        f"{machine} did not answer in {SECONDS:.0f} s: it was made before a machine could flush the cache, and "
        "expressway deploy replaces it; or its expressway-deploys.service isn't well"
    )


def _answer(stack: Stack, machine: str, request: str) -> dict[str, Any] | None:
    """What a machine told of a request; None when nothing is there, or S3 doesn't say."""
    try:
        found = stack.client("s3").get_object(Bucket=stack.bucket, Key=f"reports/app/{machine}/flush-{request}.json")
        told = json.loads(found["Body"].read(_LARGEST))
    except ClientError as error:
        if code(error) not in MISSING and lasting(error):
            raise
        return None
    except BotoCoreError:
        return None
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"reason": "its answer can't be read"}
