"""S3: buckets, what is set on them, and objects."""

import json
from pathlib import Path
from typing import Any

import pulumi

from lab.provider.aws import Aws
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Properties, Resource
from lab.provider.values import Spec, aws_tags, present, translate

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

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        name = inputs["bucket"]
        # The oldest region is the one that must not be named.
        place = {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        aws("s3").create_bucket(Bucket=name, **place)
        if tags := inputs["tagsAll"]:
            aws("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": aws_tags(tags)})
        outputs = {
            "arn": f"arn:aws:s3:::{name}",
            "region": aws.region,
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
        }
        return Created(name, outputs)


class BucketPublicAccessBlock(Resource):
    """What keeps a bucket private."""

    pulumi_type = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    required = ("bucket",)
    optional = tuple(PUBLIC_ACCESS)

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        given = {key: value for key, value in inputs.items() if key != "bucket"}
        configuration = translate(given, PUBLIC_ACCESS, "inputs")
        aws("s3").put_public_access_block(Bucket=inputs["bucket"], PublicAccessBlockConfiguration=configuration)
        return Created(inputs["bucket"], {})


class BucketVersioning(Resource):
    """Whether a bucket keeps old versions."""

    pulumi_type = "aws:s3/bucketVersioning:BucketVersioning"
    required = ("bucket", "versioningConfiguration")

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        spec: Spec = {"status": "Status", "mfaDelete": "MFADelete"}
        configuration = translate(inputs["versioningConfiguration"], spec, "versioningConfiguration")
        aws("s3").put_bucket_versioning(Bucket=inputs["bucket"], VersioningConfiguration=configuration)
        return Created(inputs["bucket"], {})


class BucketServerSideEncryptionConfiguration(Resource):
    """How a bucket encrypts."""

    pulumi_type = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    required = ("bucket", "rules")

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        configuration = {"Rules": translate(inputs["rules"], ENCRYPTION, "rules")}
        aws("s3").put_bucket_encryption(Bucket=inputs["bucket"], ServerSideEncryptionConfiguration=configuration)
        return Created(inputs["bucket"], {})


class BucketLifecycleConfiguration(Resource):
    """When a bucket's objects go."""

    pulumi_type = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    required = ("bucket", "rules")

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        rules = translate(inputs["rules"], LIFECYCLE, "rules")
        for rule in rules:
            # An empty filter means every object, which the API wants said.
            rule["Filter"] = rule.get("Filter") or {"Prefix": ""}
        configuration = {"Rules": rules}
        aws("s3").put_bucket_lifecycle_configuration(Bucket=inputs["bucket"], LifecycleConfiguration=configuration)
        return Created(inputs["bucket"], {})


class BucketPolicy(Resource):
    """Who may do what with a bucket."""

    pulumi_type = "aws:s3/bucketPolicy:BucketPolicy"
    required = ("bucket", "policy")

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        policy = inputs["policy"]
        text = policy if isinstance(policy, str) else json.dumps(policy)
        aws("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=text)
        return Created(inputs["bucket"], {})


class BucketObjectv2(Resource):
    """An object, from a file or from text."""

    pulumi_type = "aws:s3/bucketObjectv2:BucketObjectv2"
    required = ("bucket", "key")
    optional = ("source", "content", "contentType", "cacheControl")
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Upload it."""
        answer = aws("s3").put_object(
            Bucket=inputs["bucket"],
            Key=inputs["key"],
            Body=_body(inputs),
            **present(ContentType=inputs.get("contentType"), CacheControl=inputs.get("cacheControl")),
        )
        outputs = {
            "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}",
            "etag": answer["ETag"].strip('"'),
            "versionId": answer.get("VersionId", ""),
        }
        return Created(inputs["key"], outputs)


def _body(inputs: Properties) -> bytes:
    if "content" in inputs:
        return inputs["content"].encode()
    source: Any = inputs.get("source")
    if isinstance(source, pulumi.FileAsset):
        return Path(source.path).read_bytes()
    if isinstance(source, pulumi.StringAsset):
        return source.text.encode()
    raise InputError(f"source must be a FileAsset or a StringAsset, and is {type(source).__name__}")


RESOURCES: tuple[type[Resource], ...] = (
    Bucket,
    BucketPublicAccessBlock,
    BucketVersioning,
    BucketServerSideEncryptionConfiguration,
    BucketLifecycleConfiguration,
    BucketPolicy,
    BucketObjectv2,
)
