"""Where machines tell what they log: a group of CloudWatch Logs for each component, with a stream for each machine."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

RETENTION_DAYS = 30


def group(name: str, args: Mapping[str, Any], child: pulumi.ResourceOptions) -> "aws.cloudwatch.LogGroup | None":
    """The component's group; None without logs."""
    if not args.get("logs", True):
        return None
    days = args.get("log_retention_days", RETENTION_DAYS)
    return aws.cloudwatch.LogGroup(f"{name}-logs", retention_in_days=days, opts=child)


def permissions(group: "aws.cloudwatch.LogGroup | None") -> list[dict[str, Any]]:
    """What it takes to write to it, and to no other."""
    if group is None:
        return []
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    return [{"Action": actions, "Resource": pulumi.Output.concat(group.arn, ":*")}]


def told(group: "aws.cloudwatch.LogGroup | None", **further: str) -> dict[str, Any] | None:
    """What a machine is told of it."""
    return {"group": group.name, **further} if group else None


def name_of(group: "aws.cloudwatch.LogGroup | None") -> pulumi.Output[str]:
    """For a component's output; empty without logs."""
    return group.name if group else pulumi.Output.from_input("")
