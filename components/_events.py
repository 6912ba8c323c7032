"""News of an Auto Scaling group for the machines that follow it: EventBridge hands it on to a queue of theirs."""

import pulumi
import pulumi_aws as aws

KEPT_SECONDS = 60
"""How long the queue keeps what nobody fetches; the least that SQS takes. Whoever asks anyway knows it by then."""

_KINDS = [
    "EC2 Instance-launch Lifecycle Action",
    "EC2 Instance-terminate Lifecycle Action",
    "EC2 Instance Launch Successful",
    "EC2 Instance Launch Unsuccessful",
    "EC2 Instance Terminate Successful",
    "EC2 Instance Terminate Unsuccessful",
]
"""Each may change who is in the group, or whom it waits for.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
"""


def queue(name: str, group_name: pulumi.Input[str], child: pulumi.ResourceOptions) -> "aws.sqs.Queue":
    """A queue that gets the events of the group, and nothing from anybody else."""
    made = aws.sqs.Queue(
        f"{name}-events",
        message_retention_seconds=KEPT_SECONDS,
        # With SQS's own key: EventBridge may not use one of KMS without being let in there.
        sqs_managed_sse_enabled=True,
        opts=child,
    )
    pattern = {
        "source": ["aws.autoscaling"],
        "detail-type": _KINDS,
        "detail": {"AutoScalingGroupName": [group_name]},
    }
    rule = aws.cloudwatch.EventRule(
        f"{name}-events",
        description=f"Launches and terminations that {name} looks at",
        event_pattern=pulumi.Output.json_dumps(pattern),
        opts=child,
    )
    lets_in = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": made.arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule.arn}},
    }
    aws.sqs.QueuePolicy(
        f"{name}-events",
        queue_url=made.url,
        policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [lets_in]}),
        opts=child,
    )
    aws.cloudwatch.EventTarget(f"{name}-events", rule=rule.name, arn=made.arn, opts=child)
    return made


def permissions(queue: "aws.sqs.Queue") -> dict[str, object]:
    """What a machine may do that listens to the queue."""
    return {"Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage"], "Resource": queue.arn}
