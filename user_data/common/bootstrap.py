"""Fetch this machine's bundle from the artifact bucket, check it, unpack it, and hand over to its install program.

Carried inside the user data, so it is short, and needs no more than Debian's python3-boto3. Killed at any point and run
again, it ends in the same state. A bundle is only ever visible whole, under the name of its own hash.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

MACHINE = Path("/etc/expressway/machine.json")
ROOT = Path("/opt/expressway")
PATIENCE = 120
"""Seconds. A role that was made a moment ago is refused until AWS has told all of its servers."""


def download(machine: dict[str, Any], patience: float = PATIENCE) -> bytes:
    """The bundle's bytes, as its hash says. RuntimeError when the bucket has other bytes, or none in time."""
    bundle = machine["bundle"]
    retries = {"mode": "standard", "total_max_attempts": 5}
    s3 = boto3.client("s3", region_name=machine["region"], config=Config(retries=retries))
    deadline = time.monotonic() + patience
    while True:
        try:
            body = s3.get_object(Bucket=machine["bucket"], Key=bundle["key"])["Body"].read()
            break
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no bundle at s3://{machine['bucket']}/{bundle['key']}: {error}") from error
            print(f"expressway: bundle not there yet, trying again: {error}", flush=True)
            time.sleep(2)
    found = hashlib.sha256(body).hexdigest()
    if found != bundle["sha256"]:
        raise RuntimeError(f"s3://{machine['bucket']}/{bundle['key']} has SHA-256 {found}, not {bundle['sha256']}")
    return body


def unpack(body: bytes, target: Path) -> None:
    """Unpack into a folder beside `target`, then rename: `target` is whole or not there."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        archive.extractall(partial, filter="data")
    partial.rename(target)


def prepare(machine: dict[str, Any], root: Path = ROOT, patience: float = PATIENCE) -> Path:
    """Make `<root>/bundle` point at the machine's bundle; the path of its install program."""
    print(f"expressway: {machine['tier']} machine of {machine['name']}", flush=True)
    target = root / "bundles" / machine["bundle"]["sha256"]
    if not target.is_dir():
        unpack(download(machine, patience), target)
    link = root / "bundle.new"
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    link.rename(root / "bundle")
    return root / "bundle" / "install"


if __name__ == "__main__":
    try:
        program = prepare(json.loads(MACHINE.read_text()))
    except Exception as error:  # whatever it was, the console should show one line, not a traceback
        sys.exit(f"expressway: bootstrap failed: {type(error).__name__}: {error}")
    os.execv(program, [str(program)])  # noqa: S606, the bundle's program takes over
