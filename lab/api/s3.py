"""S3 as AWS has it, where moto differs: bucket policies' conditions, lifecycle rules, encryption, single versions."""

import json
from typing import Any

from moto.iam.access_control import IAMPolicy
from moto.s3.models import FakeBucket, S3Backend
from moto.s3.responses import S3Response

from lab.api.patching import around

# Both sides count as TLS: the plain one is this host's own loopback, that no packet leaves.
CONTEXT = {("Bool", "aws:SecureTransport"): "true"}

ENABLED = "Enabled"
DEFAULT_ENCRYPTION = {
    "Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}
}
NEWER = "NewerNoncurrentVersions"


def install() -> None:
    """Change moto's S3. Once a process, before the first request."""
    around(FakeBucket, "get_permission", _get_permission)
    around(S3Backend, "put_bucket_policy", _put_policy)
    around(FakeBucket, "set_lifecycle", _set_lifecycle)
    around(S3Response, "get_bucket_lifecycle", _get_lifecycle)
    around(S3Backend, "get_bucket_encryption", _get_encryption)
    around(S3Backend, "delete_object", _delete_object)


def _get_permission(original: Any, bucket: Any, action: str, resource: str) -> Any:
    """moto denies what a statement's condition does not cover, where AWS skips the statement."""
    if bucket.policy is None:
        return original(bucket, action, resource)
    document = json.loads(bucket.policy)
    applying = [statement for statement in _statements(document) if _applies(statement)]
    return IAMPolicy(json.dumps(document | {"Statement": applying})).is_action_permitted(action, resource)


def _put_policy(original: Any, backend: Any, bucket_name: str, policy: bytes) -> Any:
    """Refuse a policy whose conditions can't be judged, rather than judge them wrongly."""
    for statement in _statements(json.loads(policy)):
        for test in _tests(statement):
            if test not in CONTEXT:
                raise NotImplementedError(f"the condition {test[0]} {test[1]} in a bucket policy")
    return original(backend, bucket_name, policy)


def _get_encryption(original: Any, backend: Any, bucket_name: str) -> Any:
    """Every bucket encrypts since 2023: https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html."""
    return original(backend, bucket_name) or DEFAULT_ENCRYPTION


def _delete_object(
    original: Any, backend: Any, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
) -> Any:
    """moto deletes every version along with one of a bucket whose versioning is suspended, and fails at a marker.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectsfromVersioningSuspendedBuckets.html
    """
    bucket = backend.get_bucket(bucket_name)
    status = bucket.versioning_status
    if version_id is not None:
        bucket.versioning_status = ENABLED
    try:
        return original(backend, bucket_name, key_name, version_id=version_id, bypass=bypass)
    finally:
        bucket.versioning_status = status


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    statements = document["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _tests(statement: dict[str, Any]) -> dict[tuple[str, str], Any]:
    conditions = statement.get("Condition", {})
    return {(operator, key): wanted for operator, keys in conditions.items() for key, wanted in keys.items()}


def _applies(statement: dict[str, Any]) -> bool:
    return all(str(wanted).lower() == CONTEXT[test] for test, wanted in _tests(statement).items())


def _set_lifecycle(original: Any, bucket: Any, rules: list[dict[str, Any]]) -> None:
    """moto forgets how many newer versions an old one has to have before it goes."""
    original(bucket, rules)
    for kept, given in zip(bucket.rules, rules, strict=True):
        kept.newer_noncurrent_versions = (given.get("NoncurrentVersionExpiration") or {}).get(NEWER)


def _get_lifecycle(original: Any, response: Any) -> Any:
    rules, serialized = response.backend.get_bucket_lifecycle(response.bucket_name), response.serialized

    def complete(answer: Any) -> Any:
        for told, kept in zip(answer.result["Rules"], rules, strict=True):
            if kept.newer_noncurrent_versions:
                told["NoncurrentVersionExpiration"][NEWER] = kept.newer_noncurrent_versions
        return serialized(answer)

    if rules:
        response.serialized = complete
    return original(response)
