"""What Auto Scaling tells EventBridge's default bus: rules there hand it on, to an SQS queue for instance.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pools-eventbridge-events.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-eventbridge-events.html
"""

import json
import logging
from fnmatch import fnmatchcase
from typing import Any

from moto.core.utils import iso_8601_datetime_without_milliseconds
from moto.events.models import Rule, events_backends
from moto.sqs.models import sqs_backends

from lab.api.activities import Activity
from lab.api.lifecycle import LAUNCHING, Action
from lab.api.patching import around

log = logging.getLogger(__name__)

EVENTBRIDGE = "events.amazonaws.com"
EC2, GROUP, WARM_POOL = "EC2", "AutoScalingGroup", "WarmPool"


def install() -> None:
    """Change moto's EventBridge. Once a process, before the first request."""
    around(Rule, "send_to_targets", _send_to_targets)
    around(Rule, "_send_to_sqs_queue", _send_to_queue)


def send(group: Any, kind: str, detail: dict[str, Any], instance: str | None = None) -> None:
    """Send one event of a group, and of one of its instances."""
    backend = events_backends[group.account_id][group.region]
    resources = [group.arn]
    if instance:
        resources.append(f"arn:aws:ec2:{group.region}:{group.account_id}:instance/{instance}")
    event = {
        "Source": "aws.autoscaling",
        "DetailType": kind,
        "Resources": resources,
        "Detail": json.dumps({"AutoScalingGroupName": group.name, **detail}),
    }
    try:
        backend.put_events([event])
    except Exception:
        # Events are sent as well as can be; a target that is gone must not stop a group.
        log.exception("%s: the event %s was not delivered", group.name, kind)


def waits(group: Any, instance: str, action: Action, transition: str, origin: str, destination: str) -> None:
    """An instance waits for a lifecycle action."""
    kind = "launch" if transition == LAUNCHING else "terminate"
    detail: dict[str, Any] = {
        "LifecycleActionToken": action.token,
        "LifecycleHookName": action.hook,
        "EC2InstanceId": instance,
        "LifecycleTransition": transition,
        "Origin": origin,
        "Destination": destination,
    }
    if action.metadata is not None:
        detail["NotificationMetadata"] = action.metadata
    send(group, f"EC2 Instance-{kind} Lifecycle Action", detail)


def ended(group: Any, instance: str, activity: Activity, *, launch: bool, origin: str, destination: str) -> None:
    """A launch or a termination succeeded or did not."""
    word = "Successful" if activity.status_code == "Successful" else "Unsuccessful"
    detail = {
        "StatusCode": activity.status_code if word == "Unsuccessful" else "InProgress",
        "Description": activity.description,
        "EC2InstanceId": instance,
        "Details": json.loads(activity.details),
        "Cause": activity.cause,
        "StartTime": iso_8601_datetime_without_milliseconds(activity.start_time),
        "EndTime": activity.end_time and iso_8601_datetime_without_milliseconds(activity.end_time),
        "RequestId": activity.activity_id,
        "ActivityId": activity.activity_id,
        "StatusMessage": activity.status_message or "",
        "Origin": origin,
        "Destination": destination,
    }
    send(group, f"EC2 Instance {'Launch' if launch else 'Terminate'} {word}", detail, instance or None)


def allows(policy: dict[str, Any], source: str, by: str = EVENTBRIDGE) -> bool:
    """Whether a queue's policy lets the service `by` send to it for the rule, or the topic, of the ARN `source`.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions
    """
    return any(_allows(statement, source, by) for statement in _list(policy.get("Statement", [])))


def _allows(statement: dict[str, Any], source: str, by: str) -> bool:
    principal = statement.get("Principal", {})
    services = ["*"] if principal == "*" else _list(principal.get("Service", principal.get("AWS", [])))
    sources = [
        pattern
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
        for pattern in (_list(values) if operator.startswith("Arn") and key.lower() == "aws:sourcearn" else [])
    ]
    return (
        statement["Effect"] == "Allow"
        and any(service in ("*", by) for service in services)
        and any(fnmatchcase("sqs:sendmessage", action.lower()) for action in _list(statement.get("Action", [])))
        and (not sources or any(fnmatchcase(source, pattern) for pattern in sources))
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _send_to_targets(original: Any, rule: Any, event: Any, transform_input: bool = True) -> None:
    """moto takes no rule for disabled, sends a field of its own, and wants a further library to change nothing."""
    if rule.state == "ENABLED":
        changed = transform_input and any("InputTransformer" in target for target in rule.targets)
        original(rule, {key: value for key, value in event.items() if key != "ingestion-time"}, changed)


def _send_to_queue(original: Any, rule: Any, name: str, event: Any, group: str | None = None) -> None:
    """Nothing reaches a queue whose policy does not let EventBridge in."""
    queue = sqs_backends[rule.account_id][rule.region_name].queues.get(name)
    policy = getattr(queue, "policy", None) if queue else None
    if policy and allows(policy if isinstance(policy, dict) else json.loads(policy), rule.arn):
        original(rule, name, event, group)
    else:
        log.warning("the rule %s may not send to the queue %s: its policy does not say so", rule.name, name)
