"""What Auto Scaling tells EventBridge's default bus: rules there hand it on, to an SQS queue for instance.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pools-eventbridge-events.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-eventbridge-events.html
"""

import json
import logging
from typing import Any

from moto.core.utils import iso_8601_datetime_without_milliseconds
from moto.events.models import events_backends

from lab.api.activities import Activity
from lab.api.lifecycle import LAUNCHING, Action

log = logging.getLogger(__name__)

EC2, GROUP, WARM_POOL = "EC2", "AutoScalingGroup", "WarmPool"


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
