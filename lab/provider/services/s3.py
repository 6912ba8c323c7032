"""S3: buckets, what is set on them, and objects."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pulumi
from botocore.exceptions import ClientError
from typing_extensions import override

from lab.aws import Aws, says_missing
from lab.provider.errors import InputError, ProviderError
from lab.provider.resource import Autoname, Created, Found, Invoke, Properties, Resource
from lab.provider.tags import as_map
from lab.provider.values import (
    UNKNOWN,
    Spec,
    as_known,
    aws_tags,
    batches,
    present,
    translate,
    unless_default,
    untranslate,
)

AT_ONCE = 1000
"""How many objects S3 deletes in one call."""
DISABLED = "Disabled"

SOURCES = "terraform-provider-aws internal/service/s3/"
BUCKET = f"{SOURCES}bucket.go, ForceNew"
PUBLIC_ACCESS_BLOCK = f"{SOURCES}bucket_public_access_block.go, ForceNew"
BUCKET_VERSIONING = f"{SOURCES}bucket_versioning.go, ForceNew"
BUCKET_ENCRYPTION = f"{SOURCES}bucket_server_side_encryption_configuration.go, ForceNew"
BUCKET_LIFECYCLE = f"{SOURCES}bucket_lifecycle_configuration.go, RequiresReplace"
BUCKET_POLICY = f"{SOURCES}bucket_policy.go, ForceNew"
OBJECT = f"{SOURCES}object.go, ForceNew"

ENCRYPTION: Spec = {
    "applyServerSideEncryptionByDefault": (
        "ApplyServerSideEncryptionByDefault",
        {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"},
    ),
    "bucketKeyEnabled": "BucketKeyEnabled",
}
LIFECYCLE: Spec = {
    "id": "ID",
    "status": "Status",
    "filter": ("Filter", {"prefix": "Prefix"}),
    "expiration": ("Expiration", {"days": "Days", "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"}),
    "noncurrentVersionExpiration": (
        "NoncurrentVersionExpiration",
        {"noncurrentDays": "NoncurrentDays", "newerNoncurrentVersions": "NewerNoncurrentVersions"},
    ),
    "abortIncompleteMultipartUpload": (
        "AbortIncompleteMultipartUpload",
        {"daysAfterInitiation": "DaysAfterInitiation"},
    ),
}
VERSIONING: Spec = {"status": "Status", "mfaDelete": "MFADelete"}
PUBLIC_ACCESS: Spec = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


class Bucket(Resource):
    """A bucket."""

    pulumi_type = "aws:s3/bucket:Bucket"
    optional = ("forceDestroy",)
    autoname = Autoname("bucket", longest=63, lower=True)
    tagged = True
    replaces_on: ClassVar[Mapping[str, str]] = {"bucket": BUCKET}
    defaults = {"forceDestroy": False}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        name = inputs["bucket"]
        # The oldest region is the one that must not be named.
        place = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        aws("s3").create_bucket(Bucket=name, **place)
        _set_bucket_tags(aws, name, {}, inputs["tagsAll"])
        return Created(name, _bucket_outputs(aws, name))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The bucket alone: what is set on it are other resources."""
        aws("s3").head_bucket(Bucket=identifier)
        return Found(
            identifier, {"bucket": identifier, "tags": _bucket_tags(aws, identifier)}, _bucket_outputs(aws, identifier)
        )

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Tags."""
        _set_bucket_tags(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """With `forceDestroy` all that is in the bucket goes first; else S3 refuses while anything is."""
        if state.get("forceDestroy"):
            _delete_versions(aws, identifier, _versions(aws, identifier))
        aws("s3").delete_bucket(Bucket=identifier)


class PutOnBucket(Resource):
    """What is set on a bucket as a whole: to set it again is to change it."""

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again."""
        return self.create(aws, new).outputs


class BucketPublicAccessBlock(PutOnBucket):
    """What keeps a bucket private."""

    pulumi_type = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    required = ("bucket",)
    optional = tuple(PUBLIC_ACCESS)
    replaces_on: ClassVar[Mapping[str, str]] = {"bucket": PUBLIC_ACCESS_BLOCK}
    defaults = dict.fromkeys(PUBLIC_ACCESS, False)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it. What is not given is off."""
        configuration = {str(name): inputs.get(key, False) for key, name in PUBLIC_ACCESS.items()}
        aws("s3").put_public_access_block(Bucket=inputs["bucket"], PublicAccessBlockConfiguration=configuration)
        return Created(inputs["bucket"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = aws("s3").get_public_access_block(Bucket=identifier)["PublicAccessBlockConfiguration"]
        told = untranslate(found, PUBLIC_ACCESS)
        inputs = {key: unless_default(told.get(key, False), False, state.get(key)) for key in PUBLIC_ACCESS}
        return Found(identifier, {"bucket": identifier, **inputs}, {})

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("s3").delete_public_access_block(Bucket=identifier)


class BucketVersioning(Resource):
    """Whether a bucket keeps old versions."""

    pulumi_type = "aws:s3/bucketVersioning:BucketVersioning"
    required = ("bucket", "versioningConfiguration")
    replaces_on: ClassVar[Mapping[str, str]] = {"bucket": BUCKET_VERSIONING}

    @override
    def refusal(self, old: Properties, new: Properties) -> InputError | None:
        """S3 keeps what versions there are: terraform-provider-aws internal/service/s3/bucket_versioning.go."""
        before, after = (_status(each) for each in (old, new))
        if after != DISABLED or before in (None, DISABLED, UNKNOWN):
            return None
        return InputError(
            f"versioningConfiguration.status cannot be updated from {before} to {after}; it can be Suspended",
            "versioningConfiguration.status",
        )

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it. `Disabled` is what a new bucket is, and what S3 can't be told."""
        if inputs["versioningConfiguration"].get("status") != DISABLED:
            _put_versioning(aws, inputs)
        return Created(inputs["bucket"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """Whether versions are kept, which every bucket can tell."""
        found = untranslate(aws("s3").get_bucket_versioning(Bucket=identifier), VERSIONING)
        known = state.get("versioningConfiguration", {}).get("mfaDelete")
        configuration = present(
            status=found.get("status", DISABLED), mfaDelete=unless_default(found.get("mfaDelete"), DISABLED, known)
        )
        return Found(identifier, {"bucket": identifier, "versioningConfiguration": configuration}, {})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again."""
        _put_versioning(aws, new)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Suspend it: a bucket that has had versions never is without again."""
        if state["versioningConfiguration"].get("status") != DISABLED:
            aws("s3").put_bucket_versioning(Bucket=identifier, VersioningConfiguration={"Status": "Suspended"})


class BucketServerSideEncryptionConfiguration(PutOnBucket):
    """How a bucket encrypts."""

    pulumi_type = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    required = ("bucket", "rules")
    replaces_on: ClassVar[Mapping[str, str]] = {
        "bucket": f"{SOURCES}bucket_server_side_encryption_configuration.go, ForceNew"
    }

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        configuration = {"Rules": translate(inputs["rules"], ENCRYPTION, "rules")}
        aws("s3").put_bucket_encryption(Bucket=inputs["bucket"], ServerSideEncryptionConfiguration=configuration)
        return Created(inputs["bucket"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = aws("s3").get_bucket_encryption(Bucket=identifier)["ServerSideEncryptionConfiguration"]["Rules"]
        rules = untranslate(found, ENCRYPTION)
        for rule, known in zip(rules, state.get("rules", [{}] * len(rules)), strict=False):
            if not rule.get("bucketKeyEnabled") and "bucketKeyEnabled" not in known:
                rule.pop("bucketKeyEnabled", None)
        return Found(identifier, {"bucket": identifier, "rules": rules}, {})

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """S3's own way of encrypting remains."""
        aws("s3").delete_bucket_encryption(Bucket=identifier)


class BucketLifecycleConfiguration(PutOnBucket):
    """When a bucket's objects go."""

    pulumi_type = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    required = ("bucket", "rules")
    replaces_on: ClassVar[Mapping[str, str]] = {
        "bucket": f"{SOURCES}bucket_lifecycle_configuration.go, RequiresReplace"
    }

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        rules = translate(inputs["rules"], LIFECYCLE, "rules")
        for rule in rules:
            # An empty filter means every object, which the API wants said.
            rule["Filter"] = rule.get("Filter") or {"Prefix": ""}
        configuration = {"Rules": rules}
        aws("s3").put_bucket_lifecycle_configuration(Bucket=inputs["bucket"], LifecycleConfiguration=configuration)
        return Created(inputs["bucket"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        rules = untranslate(aws("s3").get_bucket_lifecycle_configuration(Bucket=identifier)["Rules"], LIFECYCLE)
        known = {rule.get("id"): rule for rule in state.get("rules", [])}
        for rule in rules:
            _every_object_as_given(rule, known.get(rule.get("id"), {"filter": {}}))
        return Found(identifier, {"bucket": identifier, "rules": rules}, {})

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("s3").delete_bucket_lifecycle(Bucket=identifier)


class BucketPolicy(PutOnBucket):
    """Who may do what with a bucket."""

    pulumi_type = "aws:s3/bucketPolicy:BucketPolicy"
    required = ("bucket", "policy")
    replaces_on: ClassVar[Mapping[str, str]] = {"bucket": BUCKET_POLICY}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        policy = inputs["policy"]
        text = policy if isinstance(policy, str) else json.dumps(policy)
        aws("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=text)
        return Created(inputs["bucket"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The rules, in the program's words when S3 says the same in others."""
        found, known = aws("s3").get_bucket_policy(Bucket=identifier)["Policy"], state.get("policy")
        return Found(identifier, {"bucket": identifier, "policy": as_known(found, known)}, {})

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("s3").delete_bucket_policy(Bucket=identifier)


class BucketObjectv2(Resource):
    """An object, from a file or from text."""

    pulumi_type = "aws:s3/bucketObjectv2:BucketObjectv2"
    required = ("bucket", "key")
    optional = ("source", "content", "contentType", "cacheControl")
    tagged = True
    replaces_on: ClassVar[Mapping[str, str]] = {"bucket": OBJECT, "key": OBJECT}
    volatile = {"etag": (), "versionId": ()}
    computed = ("contentType",)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Upload it."""
        answer = aws("s3").put_object(
            Bucket=inputs["bucket"],
            Key=inputs["key"],
            Body=_body(inputs),
            Tagging=urlencode(inputs["tagsAll"]),
            **present(ContentType=inputs.get("contentType"), CacheControl=inputs.get("cacheControl")),
        )
        return Created(f"{inputs['bucket']}/{inputs['key']}", _object_outputs(inputs, answer))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The object without its content, which S3 has no hash of that could be compared."""
        bucket, _, key = identifier.removeprefix("s3://").partition("/")
        place = {"bucket": bucket, "key": key}
        found = aws("s3").head_object(Bucket=bucket, Key=key)
        inputs = {
            **place,
            "contentType": found.get("ContentType"),
            "cacheControl": found.get("CacheControl"),
            "tags": as_map(aws("s3").get_object_tagging(Bucket=bucket, Key=key)["TagSet"]),
        }
        return Found(f"{bucket}/{key}", inputs, _object_outputs(place, found))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Upload it again, unless nothing but tags changed: an upload is a new version."""
        if _content(old) != _content(new):
            return self.create(aws, new).outputs
        if old["tagsAll"] != new["tagsAll"]:
            tagging = {"TagSet": aws_tags(new["tagsAll"])}
            aws("s3").put_object_tagging(Bucket=new["bucket"], Key=new["key"], Tagging=tagging)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """In a versioned bucket every version of the object goes."""
        bucket, key = state["bucket"], state["key"]
        if state.get("versionId"):
            versions = [version for version in _versions(aws, bucket, key) if version["Key"] == key]
            _delete_versions(aws, bucket, versions)
        else:
            aws("s3").delete_object(Bucket=bucket, Key=key)


def _bucket_outputs(aws: Aws, name: str) -> Properties:
    return {
        "arn": f"arn:aws:s3:::{name}",
        "region": aws.region,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
    }


def _bucket_tags(aws: Aws, name: str) -> dict[str, str]:
    try:
        return as_map(aws("s3").get_bucket_tagging(Bucket=name)["TagSet"])
    except ClientError as error:
        if not says_missing(error):
            raise
        return {}


def _set_bucket_tags(aws: Aws, name: str, old: Properties, new: Properties) -> None:
    if new and new != old:
        aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": aws_tags(new)})
    elif old and not new:
        aws("s3").delete_bucket_tagging(Bucket=name)


def _versions(aws: Aws, bucket: str, prefix: str = "") -> list[Properties]:
    """Versions and delete markers; an object of a bucket without versions has one that is called `null`."""
    pages = aws("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [
        {"Key": version["Key"], "VersionId": version["VersionId"]}
        for page in pages
        for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    ]


def _delete_versions(aws: Aws, bucket: str, versions: list[Properties]) -> None:
    for some in batches(versions, AT_ONCE):
        answer = aws("s3").delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
        if errors := answer.get("Errors"):
            raise ProviderError(f"deleting {errors[0]['Key']} of {bucket}: {errors[0]['Message']}")


def _status(inputs: Properties) -> Any:
    configuration = inputs.get("versioningConfiguration")
    return configuration.get("status") if isinstance(configuration, Mapping) else None


def _put_versioning(aws: Aws, inputs: Properties) -> None:
    configuration = translate(inputs["versioningConfiguration"], VERSIONING, "versioningConfiguration")
    aws("s3").put_bucket_versioning(Bucket=inputs["bucket"], VersioningConfiguration=configuration)


def _every_object_as_given(rule: Properties, known: Properties) -> None:
    """No filter, an empty one and one of an empty prefix say the same: it stays as the program has it."""
    if rule.get("filter") in ({}, {"prefix": ""}) and known.get("filter") in (None, {}, {"prefix": ""}):
        rule.pop("filter")
        if "filter" in known:
            rule["filter"] = known["filter"]


def _object_outputs(place: Properties, answer: Properties) -> Properties:
    return {
        "arn": f"arn:aws:s3:::{place['bucket']}/{place['key']}",
        "etag": answer["ETag"].strip('"'),
        "versionId": answer.get("VersionId", ""),
    }


def _content(inputs: Properties) -> Properties:
    """What an upload carries, tags aside. Files are compared by their content: where they lie doesn't matter."""
    told = {key: inputs.get(key) for key in ("content", "contentType", "cacheControl")}
    source = inputs.get("source")
    if isinstance(source, dict):  # as the engine keeps it in the state
        return told | {"source": source.get("hash")}
    return told | {"source": hashlib.sha256(_body(inputs)).hexdigest() if source else None}


def _body(inputs: Properties) -> bytes:
    source: Any = inputs.get("source")
    if source is not None and "content" in inputs:
        raise InputError("content and source exclude each other", "content")
    if isinstance(source, pulumi.FileAsset):
        return Path(source.path).read_bytes()
    if isinstance(source, pulumi.StringAsset):
        return source.text.encode()
    if source is not None:
        raise InputError(f"source must be a FileAsset or a StringAsset, and is {type(source).__name__}", "source")
    return inputs.get("content", "").encode()


def _get_bucket(aws: Aws, inputs: Properties) -> Properties:
    name = inputs["bucket"]
    aws("s3").head_bucket(Bucket=name)
    return {"id": name, "bucket": name, **_bucket_outputs(aws, name)}


RESOURCES: tuple[type[Resource], ...] = (
    Bucket,
    BucketPublicAccessBlock,
    BucketVersioning,
    BucketServerSideEncryptionConfiguration,
    BucketLifecycleConfiguration,
    BucketPolicy,
    BucketObjectv2,
)
INVOKES = (Invoke("aws:s3/getBucket:getBucket", ("bucket",), _get_bucket),)
