"""S3 as AWS has it, where moto differs and the stack would notice: conditions in bucket policies."""

import json
from typing import Any

from moto.iam.access_control import IAMPolicy
from moto.s3.models import FakeBucket, S3Backend

from lab.api.patching import around

# Both sides count as TLS: the plain one is this host's own loopback, that no packet leaves.
CONTEXT = {("Bool", "aws:SecureTransport"): "true"}


def install() -> None:
    """Change moto's S3. Once a process, before the first request."""
    around(FakeBucket, "get_permission", _get_permission)
    around(S3Backend, "put_bucket_policy", _put_policy)


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


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    statements = document["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _tests(statement: dict[str, Any]) -> dict[tuple[str, str], Any]:
    conditions = statement.get("Condition", {})
    return {(operator, key): wanted for operator, keys in conditions.items() for key, wanted in keys.items()}


def _applies(statement: dict[str, Any]) -> bool:
    return all(str(wanted).lower() == CONTEXT[test] for test, wanted in _tests(statement).items())
