"""Where releases are kept, and which of them is current."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import _bucket, planning
from ._checks import check_values, require, require_names
from .access import AppReleaseArgs
from .planning import Finding

RELEASES, RUNTIMES = "releases", "runtime"
"""The bucket's folders that machines' roles may read."""

_RULES = {"release_id": planning.RELEASE_ID, "old_versions_days": planning.OLD_VERSIONS_DAYS}
_APP_RULES = {"key": planning.key_in(RELEASES), "sha256": planning.SHA256}
_RUNTIME_RULES = {"key": planning.key_in(RUNTIMES), "sha256": planning.SHA256}


class ArtifactArgs(TypedDict):
    """An archive that `expressway build` made, and where it goes in the bucket."""

    path: str
    """The file on this machine."""
    sha256: NotRequired[str]
    """Its SHA-256, in hexadecimal, which machines check before they unpack it. Default: computed from the file."""
    key: NotRequired[str]
    """Its key in the bucket. It contains the hash, so that what is behind a key never changes. Default: the hash."""


class ReleaseArgs(TypedDict):
    """Arguments of Release."""

    app: ArtifactArgs
    """The app with its dependencies."""
    runtime: ArtifactArgs
    """Node, npm and PM2 for the app servers' architecture."""
    release_id: NotRequired[str]
    """Short name of the release, as people and machines call it. Default: 12 digits of the app's SHA-256."""
    bucket: NotRequired[pulumi.Input[str]]
    """An S3 bucket of yours for the releases, which should be private and keep versions. Default: one is made."""
    old_versions_days: NotRequired[int]
    """Days to keep overwritten or deleted objects in the bucket that is made. Default: 30."""
    force_destroy: NotRequired[bool]
    """Whether destroying the stack deletes the bucket that is made while it still holds releases. Default: false."""


class Release(pulumi.ComponentResource):
    """A private, versioned bucket of releases, or one of yours, and the pointer that machines read at boot.

    The pointer is written once, with the first release. From then on deployments move it, and `pulumi up` lets it be.
    """

    bucket: pulumi.Output[str]
    """The artifact bucket's name; known once the bucket keeps versions, and nothing in it is public."""
    bucket_arn: pulumi.Output[str]
    """The artifact bucket's ARN."""
    parameter_name: pulumi.Output[str]
    """The SSM parameter that says which release is current: JSON with release_id, key and sha256."""
    parameter_arn: pulumi.Output[str]
    """The SSM parameter's ARN."""
    runtime_key: pulumi.Output[str]
    """The runtime's key in the bucket; known once it is there."""
    runtime_sha256: pulumi.Output[str]
    """The runtime's SHA-256."""
    access: AppReleaseArgs
    """All of the above, which AppServers takes as `release`."""

    def __init__(self, name: str, args: ReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:Release", name, None, opts)
        require_names("Release", name, args, ReleaseArgs)
        require("Release", name, _find_mistakes(args))
        app_archive, runtime_archive = _Archive.of(args["app"], RELEASES), _Archive.of(args["runtime"], RUNTIMES)
        release_id = args.get("release_id", app_archive.sha256[:12])
        child = pulumi.ResourceOptions(parent=self)
        bucket = self._find_bucket(name, args)
        # Machines may still run, start from, or be rolled back to what the program has gone past.
        kept = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(retain_on_delete=True))
        runtime = _upload(f"{name}-runtime", bucket, runtime_archive, kept)
        app = _upload(f"{name}-app", bucket, app_archive, kept)
        pointer = aws.ssm.Parameter(
            f"{name}-pointer",
            type="String",
            value=app.key.apply(
                lambda key: json.dumps(
                    {"release_id": release_id, "key": key, "sha256": app_archive.sha256}, sort_keys=True
                )
            ),
            description="The release that app servers run; moved by deployments",
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=["value"])),
        )

        self.bucket = bucket.name
        self.bucket_arn = bucket.arn
        self.parameter_name = pointer.name
        self.parameter_arn = pointer.arn
        self.runtime_key = runtime.key
        self.runtime_sha256 = pulumi.Output.from_input(runtime_archive.sha256)
        self.access = {
            "bucket": self.bucket,
            "bucket_arn": self.bucket_arn,
            "parameter_name": self.parameter_name,
            "parameter_arn": self.parameter_arn,
            "runtime_key": self.runtime_key,
            "runtime_sha256": self.runtime_sha256,
        }
        self.register_outputs(
            {
                "bucket": self.bucket,
                "bucket_arn": self.bucket_arn,
                "parameter_name": self.parameter_name,
                "parameter_arn": self.parameter_arn,
                "runtime_key": self.runtime_key,
                "runtime_sha256": self.runtime_sha256,
                "access": self.access,
            }
        )

    def _find_bucket(self, name: str, args: ReleaseArgs) -> _bucket.ArchiveBucket:
        if "bucket" in args:
            return _bucket.existing(args["bucket"], self)
        return _bucket.private(name, args.get("old_versions_days", 30), args.get("force_destroy", False), self)


@dataclass(frozen=True)
class _Archive:
    path: str
    sha256: str
    key: str

    @staticmethod
    def of(args: ArtifactArgs, folder: str) -> "_Archive":
        """`folder` is what machines' roles may read."""
        path = Path(args["path"])
        sha256 = args.get("sha256") or hashlib.sha256(path.read_bytes()).hexdigest()
        return _Archive(str(path.absolute()), sha256, args.get("key", f"{folder}/{sha256}.tar.gz"))


def _find_mistakes(args: ReleaseArgs) -> list[Finding]:
    findings = check_values(args, _RULES)
    findings += check_values(args["app"], _APP_RULES, "app.")
    findings += check_values(args["runtime"], _RUNTIME_RULES, "runtime.")
    rule, remedy = "there is no such file", "Make it with: expressway build --app <dir> --into <dir>"
    given = {"app.path": args["app"]["path"], "runtime.path": args["runtime"]["path"]}
    findings += [Finding(path, value, rule, remedy) for path, value in given.items() if not Path(value).is_file()]
    return findings


def _upload(
    name: str, bucket: _bucket.ArchiveBucket, archive: _Archive, opts: pulumi.ResourceOptions
) -> "aws.s3.BucketObjectv2":
    return aws.s3.BucketObjectv2(
        name,
        bucket=bucket.name,
        key=archive.key,
        source=pulumi.FileAsset(archive.path),
        content_type="application/gzip",
        opts=opts,
    )
