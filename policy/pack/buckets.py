"""S3 buckets: each has its encryption chosen, and nothing in it can become public."""

from collections.abc import Iterator, Sequence
from typing import Final

from .model import HUB, UNKNOWN, Resource, Settings, StackRule, may_be_true, wrong

# The names with V2 are what pulumi-aws 6 called them; version 7 knows both.
BUCKETS: Final = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
ENCRYPTION: Final = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
)
BLOCK: Final = ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",)
FLAGS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def _check(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource, str]]:
    for bucket in (each for each in resources if each.type in BUCKETS):
        # S3 encrypts anyway since 2023. What is asked for is a choice, which shows with whose key.
        if not any(_belongs(each, bucket) for each in resources if each.type in ENCRYPTION):
            yield bucket, "It has no BucketServerSideEncryptionConfiguration. Add one whose bucket is this."
        if not any(_belongs(each, bucket) for each in resources if each.type in BLOCK):
            yield bucket, f"It has no BucketPublicAccessBlock. Add one whose bucket is this, with {', '.join(FLAGS)}."
    for block in (each for each in resources if each.type in BLOCK):
        for flag in FLAGS:
            if not may_be_true(block.get(flag)):
                yield block, wrong(flag, block.get(flag), "Set it to true.")


def _belongs(each: Resource, bucket: Resource) -> bool:
    if each.get("bucket") is UNKNOWN and not each.references.get("bucket"):
        return True  # Whose it is, nobody knows yet.
    return each.refers("bucket", bucket, "bucket", "id")


CLOSED_BUCKETS: Final = StackRule(
    name="closed-buckets",
    says="S3 buckets have their encryption chosen, and block public access.",
    source=f"{HUB}/s3-controls.html#s3-8",
    check=_check,
)
