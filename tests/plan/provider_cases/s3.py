"""S3."""

import hashlib
import json
from typing import Any

from tests.plan.provider_cases import Case
from tests.plan.provider_world import World

SIGNATURE = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17"}


def _text(text: str) -> dict[str, str]:
    """As the engine sends an asset."""
    return SIGNATURE | {"hash": hashlib.sha256(text.encode()).hexdigest(), "text": text}


def _policy(effect: str) -> str:
    statement = {"Effect": effect, "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::nothing/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _in_a_bucket(**inputs: Any) -> Any:
    return lambda world: {"bucket": world.bucket(), **inputs}


def _another_bucket(world: World) -> str:
    return world.bucket()


CASES = (
    Case(
        "aws:s3/bucket:Bucket",
        make=lambda world: {},
        changes={"bucket": lambda world: world.unique("another"), "forceDestroy": True},
        untold=("forceDestroy",),
    ),
    Case(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        make=_in_a_bucket(blockPublicAcls=True, blockPublicPolicy=True),
        changes={
            "bucket": _another_bucket,
            "blockPublicAcls": None,
            "blockPublicPolicy": None,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
    ),
    Case(
        "aws:s3/bucketVersioning:BucketVersioning",
        make=_in_a_bucket(versioningConfiguration={"status": "Enabled"}),
        changes={"bucket": _another_bucket, "versioningConfiguration": {"status": "Suspended"}},
        leaves_nothing=False,
    ),
    Case(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        make=_in_a_bucket(rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]),
        changes={
            "bucket": _another_bucket,
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "alias/a"},
                    "bucketKeyEnabled": True,
                }
            ],
        },
        leaves_nothing=False,  # S3's own way of encrypting
    ),
    Case(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        make=_in_a_bucket(
            rules=[
                {
                    "id": "old-versions",
                    "status": "Enabled",
                    "filter": {},
                    "noncurrentVersionExpiration": {"noncurrentDays": 30, "newerNoncurrentVersions": 2},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                }
            ]
        ),
        changes={
            "bucket": _another_bucket,
            "rules": [
                {"id": "logs", "status": "Enabled", "filter": {"prefix": "logs/"}, "expiration": {"days": 30}},
                {
                    "id": "old-versions",
                    "status": "Disabled",
                    "filter": {},
                    "expiration": {"expiredObjectDeleteMarker": True},
                },
            ],
        },
    ),
    Case(
        "aws:s3/bucketPolicy:BucketPolicy",
        make=_in_a_bucket(policy=_policy("Deny")),
        changes={"bucket": _another_bucket, "policy": _policy("Allow")},
    ),
    Case(
        "aws:s3/bucketObjectv2:BucketObjectv2",
        make=_in_a_bucket(key="a/b c", contentType="text/plain", cacheControl="no-cache"),
        changes={
            "bucket": _another_bucket,
            "key": "another",
            "content": "some text",
            "source": _text("some other text"),
            "contentType": "application/json",
            "cacheControl": None,
        },
        untold=("content", "source"),
    ),
)
