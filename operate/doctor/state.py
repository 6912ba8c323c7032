"""The bucket that Pulumi keeps its state in: reachable, versioned, and not locked by an update that died."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import ClientError

from .account import Account, code
from .finding import Finding, failed, ok, unchecked, warning
from .wanted import Wanted

CHECK = "state"

WHERE = "PULUMI_BACKEND_URL"

LOCKS = ".pulumi/locks"
"""Where Pulumi's own backends keep locks: a file for each update that runs, under the stack's full name.
https://www.pulumi.com/docs/iac/guides/basics/using-a-diy-backend/"""


@dataclass(frozen=True)
class Bucket:
    """An S3 backend's URL, taken apart."""

    name: str
    prefix: str
    region: str


def bucket_of(url: str) -> Bucket | None:
    """The bucket behind a backend's URL; None for a backend of another kind."""
    parts = urlsplit(url)
    if parts.scheme != "s3":
        return None
    query = parse_qs(parts.query)
    path = parts.path.strip("/")
    return Bucket(parts.netloc, f"{path}/" if path else "", query.get("region", [""])[0])


def check_state(account: Account, wanted: Wanted) -> Iterator[Finding]:
    """The backend, as far as AWS knows it."""
    if wanted.backend is None:
        mend = "Name it in Pulumi.yaml (backend: url:) or in PULUMI_BACKEND_URL; `pulumi whoami -v` shows which it is."
        yield unchecked(CHECK, "only `pulumi login` knows where the state is", WHERE, mend)
        return
    bucket = bucket_of(wanted.backend)
    if bucket is None:
        yield judge_other(wanted.backend)
        return
    try:
        versioning = _ask(account, bucket, "GetBucketVersioning")
    except ClientError as error:
        if code(error) not in ("NoSuchBucket", "404"):
            raise
        mend = f"Make it: docs/aws.md, or aws s3 mb s3://{bucket.name}, and switch versioning on."
        yield failed(CHECK, f"there is no bucket {bucket.name}", WHERE, "the state's bucket must be there", mend)
        return
    yield judge_versioning(bucket, versioning)
    folder = f"{bucket.prefix}{LOCKS}/organization/{wanted.project}/{wanted.stack}/"
    listed = _ask(account, bucket, "ListObjectsV2", permission="ListBucket", Prefix=folder, MaxKeys=10)
    yield judge_locks(bucket, wanted.stack, listed.get("Contents", []))


def judge_other(backend: str) -> Finding:
    """Backends that are not on S3."""
    if backend.startswith("file:"):
        rule = "whoever deploys must reach the state, and it must outlive this machine"
        mend = "Before a team relies on the stack: pulumi login s3://<bucket> (docs/aws.md), or Pulumi's service."
        return warning(CHECK, f"the state is on this machine, {backend}", WHERE, rule, mend)
    return ok(CHECK, f"the state is kept by {backend}", WHERE)


def judge_versioning(bucket: Bucket, versioning: dict[str, Any]) -> Finding:
    """Without versions, a state that is overwritten or deleted is gone."""
    if versioning.get("Status") == "Enabled":
        return ok(CHECK, f"{bucket.name} is versioned", WHERE)
    mend = (
        f"aws s3api put-bucket-versioning --bucket {bucket.name} --versioning-configuration Status=Enabled; "
        "what was overwritten before stays lost."
    )
    return failed(CHECK, f"{bucket.name} is not versioned", WHERE, "the state's bucket must keep old versions", mend)


def judge_locks(bucket: Bucket, stack: str, locks: list[dict[str, Any]]) -> Finding:
    """A lock is there while an update runs, and stays when it was killed."""
    if not locks:
        return ok(CHECK, f"{stack} is not locked", WHERE)
    newest = max(locks, key=lambda each: each["LastModified"])
    when = f"{newest['LastModified']:%Y-%m-%d %H:%M} UTC"
    rule, mend = "an update waits for no lock, it fails", f"If none runs: pulumi cancel -s {stack}."
    return warning(CHECK, f"an update of {stack} has run since {when}, or was killed", WHERE, rule, mend)


def _ask(account: Account, bucket: Bucket, operation: str, **arguments: Any) -> dict[str, Any]:
    return account.ask("s3", operation, region=bucket.region, Bucket=bucket.name, **arguments)
