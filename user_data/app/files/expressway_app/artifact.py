"""Tarballs from the artifact bucket, checked by their SHA-256."""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import host

TRIES = 3
"""Whole downloads; within one, botocore repeats the request but not a body that broke off."""


class ArtifactError(Exception):
    """A tarball, or the pointer to it, isn't there or isn't what it should be."""


@dataclass(frozen=True)
class Release:
    """What the release pointer says."""

    release_id: str
    key: str
    sha256: str
    deploy: str | None = None
    """The deploy that made it current; None for the one that a stack begins with."""


def read_pointer(ssm: Any, parameter: str) -> Release:
    """The release that machines run from now on. ArtifactError when the parameter doesn't name one."""
    try:
        value = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    except (BotoCoreError, ClientError) as error:
        raise ArtifactError(f"release pointer {parameter}: {error}") from error
    try:
        pointer = json.loads(value)
        release = Release(pointer["release_id"], pointer["key"], pointer["sha256"], pointer.get("deploy"))
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"release pointer {parameter} doesn't name a release: {value!r}") from error
    # It becomes a folder's name.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", release.release_id):
        raise ArtifactError(f"release pointer {parameter} has an unfit release_id: {release.release_id!r}")
    return release


def fetch(
    s3: Any, bucket: str, key: str, sha256: str, target: Path, owner: str | None = None, mark: str | None = None
) -> bool:
    """Unpack `s3://bucket/key` to `target`, as the user `owner`, unless it is there. Whether it had to be fetched.

    It is unpacked beside `target` and renamed, so a folder that is there is whole. A file `mark` in it has the hash.
    """
    if target.is_dir():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    tarball = target.with_name(f".{target.name}.tar.gz")
    partial = target.with_name(f".{target.name}.partial")
    try:
        _download(s3, bucket, key, sha256, tarball)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        if owner:
            shutil.chown(partial, owner, owner)
        host.run(
            "tar", "--extract", "--gzip", "--no-same-owner", f"--file={tarball}", f"--directory={partial}", user=owner
        )
        if mark:
            (partial / mark).write_text(sha256)
        partial.rename(target)
    finally:
        tarball.unlink(missing_ok=True)
    return True


def _download(s3: Any, bucket: str, key: str, sha256: str, path: Path) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            found = _copy(s3.get_object(Bucket=bucket, Key=key)["Body"], path)
        except (BotoCoreError, ClientError) as error:
            if attempt == TRIES:
                raise ArtifactError(f"s3://{bucket}/{key}: {error}") from error
        else:
            if found != sha256:
                raise ArtifactError(f"s3://{bucket}/{key} has SHA-256 {found}, not {sha256}")
            return


def _copy(body: Any, path: Path) -> str:
    """Write a body to a file; the SHA-256 of what was written."""
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for chunk in body.iter_chunks(1 << 20):
            stream.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()
