"""The record of the deploy that is under way, or was the last: an object in the artifact bucket, and a lock.

It is only ever written under a condition (S3's If-None-Match and If-Match), so that of two deploys one gets it, and one
that was taken for dead and is not notices that at its next word.
"""

import contextlib
import getpass
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from operate.doctor.account import code
from operate.stack import StackError

KEY = "deploys/current.json"
DEAD_SECONDS = 60.0
"""A deploy that has said nothing for so long is dead; it says something every BEAT_SECONDS."""
BEAT_SECONDS = 5.0

REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class BusyError(Exception):
    """Another deploy is under way."""


class LostError(Exception):
    """Another deploy took this one for dead, and went on in its place."""


@dataclass(frozen=True)
class Record:
    """One deploy."""

    id: str
    mode: str
    """rolling or in-place."""
    to: Mapping[str, Any]
    """The release pointer that it puts in place."""
    before: Mapping[str, Any]
    """The release pointer of the last whole deploy."""
    by: str
    at: float
    heartbeat: float
    process: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Who writes, as far as another program on the same machine can tell."""
    phase: str = "begun"
    """begun, first, baking, rest, edges, back; or deployed or failed, when it is over."""
    reason: str | None = None
    groups: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """By tier, what was there before: desired, maximum, template and machines."""

    @property
    def over(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.phase in ("deployed", "failed")

    def alive(self, now: float) -> bool:
        """Whether somebody is still at it."""
        if self.over or now - self.heartbeat > DEAD_SECONDS:
            return False
        here = identify()
        same_place = bool(here) and all(self.process.get(key) == here[key] for key in ("host", "boot", "space"))
        return not same_place or _runs(int(self.process.get("pid", 0)))


class Held:
    """A record that is this deploy's."""

    def __init__(self, s3: Any, bucket: str, record: Record, tag: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._tag = tag
        self.record = record

    def write(self, **changes: Any) -> None:
        """Change it, and show that this deploy is alive. LostError when it is another's by now."""
        self.record = replace(self.record, heartbeat=time.time(), **changes)
        self._tag = _put(self._s3, self._bucket, self.record, IfMatch=self._tag)

    def beat(self) -> None:
        """Show that this deploy is alive, if that is due."""
        if time.time() - self.record.heartbeat >= BEAT_SECONDS:
            self.write()

    def let_go(self) -> None:
        """Say that nobody is at it any more."""
        self.record = replace(self.record, heartbeat=0.0)
        with contextlib.suppress(LostError):
            self._tag = _put(self._s3, self._bucket, self.record, IfMatch=self._tag)


def read(s3: Any, bucket: str) -> tuple[Record, str] | None:
    """The record that is there, and its ETag. StackError for one that nobody who deploys has written."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=KEY)
    except s3.exceptions.NoSuchKey:
        return None
    known = Record.__dataclass_fields__
    try:
        told = json.loads(answer["Body"].read())
        return Record(**{key: value for key, value in told.items() if key in known}), answer["ETag"]
    except (ValueError, TypeError, AttributeError) as error:
        raise StackError(
            f"s3://{bucket}/{KEY} is no record of a deploy ({error}): take its last good version back, or delete it, "
            "after which expressway deploy begins anew"
        ) from None


def take(s3: Any, bucket: str, record: Record, former: tuple[Record, str] | None) -> Held:
    """Make `record` the one that counts, in the place of `former`. BusyError when somebody else was quicker."""
    condition = {"IfMatch": former[1]} if former else {"IfNoneMatch": "*"}
    try:
        return Held(s3, bucket, record, _put(s3, bucket, record, **condition))
    except LostError:
        found = read(s3, bucket)
        raise BusyError(busy(found[0]) if found else "another deploy was quicker") from None


def busy(record: Record) -> str:
    """Why another deploy has to wait."""
    since = time.strftime("%H:%M:%S UTC", time.gmtime(record.at))
    return (
        f"a deploy of {record.to.get('release_id')} by {record.by} is under way since {since} (phase: {record.phase}); "
        "wait for it to end, or interrupt it there"
    )


def identify() -> dict[str, Any]:
    """This process, as other processes of this machine can find it; nothing, where that can't be told."""
    try:
        return {
            "host": socket.gethostname(),
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            # Processes of another container have numbers of their own.
            "space": Path("/proc/self/ns/pid").stat().st_ino,
            "pid": os.getpid(),
        }
    except OSError:
        return {}


def operator() -> str:
    """Who deploys."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _put(s3: Any, bucket: str, record: Record, **condition: str) -> str:
    body = json.dumps(asdict(record), indent=1).encode()
    try:
        return s3.put_object(Bucket=bucket, Key=KEY, Body=body, ContentType="application/json", **condition)["ETag"]
    except ClientError as error:
        if code(error) in REFUSED:
            # A repeated request may meet its own first try, whose answer was lost.
            found = read(s3, bucket)
            if found and asdict(found[0]) == json.loads(body):
                return found[1]
            raise LostError("another deploy went on in the place of this one: expressway status shows it") from error
        raise


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
