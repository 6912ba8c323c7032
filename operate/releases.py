"""Releases in the artifact bucket: the pointer to the current one, the archives, and what was deployed when."""

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from operate.doctor.account import code
from operate.stack import Stack

HISTORY = "deploys/history/"
KEPT = 10
"""Releases that can be rolled back to, whatever their age."""
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})

Pointer = Mapping[str, Any]
"""release_id, key, sha256; and deploy, unless Pulumi made it."""


class ReleaseError(Exception):
    """A release isn't there, or isn't what it should be; nothing was changed."""


@dataclass(frozen=True)
class Entry:
    """A release that was deployed, or should have been."""

    release: str
    key: str
    sha256: str
    at: float
    """When it was last deployed, going back to it apart."""
    by: str
    good: bool
    """Whether the whole fleet ran it once."""


def pointer(stack: Stack) -> Pointer:
    """Which release is current."""
    value = stack.client("ssm").get_parameter(Name=stack.parameter)["Parameter"]["Value"]
    try:
        told = json.loads(value)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not {"release_id", "key", "sha256"} <= told.keys():
        raise ReleaseError(f"SSM parameter {stack.parameter} doesn't name a release: deploy one")
    return told


def point(stack: Stack, to: Pointer) -> None:
    """Make `to` the release that machines install from now on."""
    value = json.dumps(dict(to), sort_keys=True)
    stack.client("ssm").put_parameter(Name=stack.parameter, Value=value, Type="String", Overwrite=True)


def upload(stack: Stack, archive: Path, key: str, sha256: str) -> bool:
    """Store an archive, unless it is there. Whether it had to be sent. ReleaseError when it isn't what it should be."""
    found = _file_digest(archive)
    if found != sha256:
        raise ReleaseError(f"{archive} has SHA-256 {found}, not {sha256}: remove it, and build again")
    if stored(stack, key, sha256):
        return False
    with archive.open("rb") as body:
        stack.client("s3").put_object(
            Bucket=stack.bucket,
            Key=key,
            Body=body,
            ContentType="application/gzip",
            ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
        )
    return True


def stored(stack: Stack, key: str, sha256: str) -> bool:
    """Whether the bucket has that very archive."""
    s3 = stack.client("s3")
    try:
        head = s3.head_object(Bucket=stack.bucket, Key=key, ChecksumMode="ENABLED")
    except ClientError as error:
        if code(error) in MISSING:
            return False
        raise
    if told := head.get("ChecksumSHA256"):
        return base64.b64decode(told).hex() == sha256
    # Stored by a client that sent no such checksum.
    digest = hashlib.sha256()
    for chunk in s3.get_object(Bucket=stack.bucket, Key=key)["Body"].iter_chunks(1 << 20):
        digest.update(chunk)
    return digest.hexdigest() == sha256


def history(stack: Stack) -> list[Entry]:
    """All releases that are known, the newest first."""
    return entries(stack.client("s3"), stack.bucket)


def entries(s3: Any, bucket: str) -> list[Entry]:
    """The same, of a bucket."""
    found: list[Entry] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=HISTORY):
        for each in page.get("Contents", []):
            told = json.loads(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())
            found.append(
                Entry(
                    release=told["release_id"],
                    key=told["key"],
                    sha256=told["sha256"],
                    at=float(told.get("at", 0)),
                    by=str(told.get("by", "")),
                    good=bool(told.get("good", False)),
                )
            )
    return sorted(found, key=lambda entry: entry.at, reverse=True)


def remember(stack: Stack, release: Pointer, by: str, *, good: bool, at: float | None = None) -> None:
    """Write down that a release was deployed."""
    told = {**release, "at": time.time() if at is None else at, "by": by, "good": good}
    key = f"{HISTORY}{release['release_id']}.json"
    stack.client("s3").put_object(
        Bucket=stack.bucket, Key=key, Body=json.dumps(told, sort_keys=True).encode(), ContentType="application/json"
    )


def choose(known: list[Entry], current: str, wanted: str | None) -> Entry:
    """The release to go back to: the `wanted` one by its name's beginning, or the one before the `current` one."""
    if wanted is not None:
        found = [each for each in known if each.release == wanted] or [
            each for each in known if each.release.startswith(wanted)
        ]
        if len(found) == 1:
            return found[0]
        there = ", ".join(each.release for each in known) or "none yet"
        raise ReleaseError(f"{wanted!r} names {'no' if not found else 'more than one'} release; there are: {there}")
    now = next((each.at for each in known if each.release == current), None)
    for each in known:
        if each.good and each.release != current and (now is None or each.at < now):
            return each
    raise ReleaseError(f"there is no release before {current} to go back to: expressway releases lists those there are")


def _file_digest(archive: Path) -> str:
    try:
        with archive.open("rb") as body:
            return hashlib.file_digest(body, "sha256").hexdigest()
    except OSError as error:
        raise ReleaseError(f"{archive}: {error.strerror}: build it again") from error
