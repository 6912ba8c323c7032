"""The bucket that machines fetch their archives from at boot: one of a component's own, or one that is there."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class ArchiveBucket:
    """A bucket to store archives in."""

    name: pulumi.Output[str]
    """Known once the bucket keeps versions, and nothing in it is public."""
    arn: pulumi.Output[str]


def existing(name: pulumi.Input[str], parent: pulumi.ComponentResource) -> ArchiveBucket:
    """The bucket of that name. One that isn't there stops the deployment here, not machines at boot."""
    found = aws.s3.get_bucket_output(bucket=name, opts=pulumi.InvokeOutputOptions(parent=parent))
    return ArchiveBucket(found.bucket, found.arn)


def private(name: str, old_versions_days: int, force_destroy: bool, parent: pulumi.ComponentResource) -> ArchiveBucket:
    """A new bucket that only its account reads. With `force_destroy` it goes with all that is in it."""
    child = pulumi.ResourceOptions(parent=parent)
    bucket = aws.s3.Bucket(f"{name}-bucket", force_destroy=force_destroy, opts=child)
    protections = _protect(name, bucket, old_versions_days, child)
    # An object that somebody stores earlier has no version, and would be overwritten for good.
    ready = pulumi.Output.all(*[each.id for each in protections])
    return ArchiveBucket(pulumi.Output.all(bucket.bucket, ready).apply(lambda known: known[0]), bucket.arn)


def _protect(
    name: str, bucket: "aws.s3.Bucket", old_versions_days: int, child: pulumi.ResourceOptions
) -> list[pulumi.CustomResource]:
    """Nothing public, nothing unencrypted at rest or on the way, nothing overwritten for good."""
    versioning = aws.s3.BucketVersioning(
        f"{name}-versioning", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"}, opts=child
    )
    encryption = aws.s3.BucketServerSideEncryptionConfiguration(
        f"{name}-encryption",
        bucket=bucket.bucket,
        rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
        opts=child,
    )
    closed = aws.s3.BucketPublicAccessBlock(
        f"{name}-private",
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child,
    )
    refuse_plain_http = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
    policy = aws.s3.BucketPolicy(
        f"{name}-tls-only",
        bucket=bucket.bucket,
        policy=pulumi.Output.json_dumps(refuse_plain_http),
        # S3 refuses two changes of a bucket's access settings at once.
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[closed])),
    )
    aws.s3.BucketLifecycleConfiguration(
        f"{name}-lifecycle",
        bucket=bucket.bucket,
        rules=[
            {
                "id": "old-versions",
                "status": "Enabled",
                "filter": {},
                "noncurrent_version_expiration": {"noncurrent_days": old_versions_days},
                "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            },
            {
                # Machines renew theirs twice a day and more: what is left belongs to a machine that is gone.
                "id": "reports",
                "status": "Enabled",
                "filter": {"prefix": "reports/"},
                "expiration": {"days": 2},
                "noncurrent_version_expiration": {"noncurrent_days": 1},
            },
            {
                # Written every few seconds by the machine that has one.
                "id": "leases",
                "status": "Enabled",
                "filter": {"prefix": "leases/"},
                "expiration": {"days": 2},
                "noncurrent_version_expiration": {"noncurrent_days": 1},
            },
        ],
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[versioning])),
    )
    return [versioning, encryption, policy]
