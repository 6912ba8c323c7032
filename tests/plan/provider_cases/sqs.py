"""SQS."""

import json
from typing import Any

from tests.plan.provider_cases import Case


def _policy(action: str) -> str:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": action,
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


CASES = (
    Case(
        "aws:sqs/queue:Queue",
        make=lambda world: {"messageRetentionSeconds": 300, "visibilityTimeoutSeconds": 60},
        changes={
            "name": "another-name",
            "messageRetentionSeconds": None,
            "visibilityTimeoutSeconds": 10,
            "receiveWaitTimeSeconds": 20,
            "maxMessageSize": 4096,
            "sqsManagedSseEnabled": False,
        },
    ),
    Case(
        "aws:sqs/queuePolicy:QueuePolicy",
        make=lambda world: {"queueUrl": world.queue(), "policy": _policy("sqs:SendMessage")},
        changes={"queueUrl": lambda world: world.queue(), "policy": _policy("sqs:*")},
    ),
)
