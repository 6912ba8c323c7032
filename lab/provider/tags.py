"""Reading and setting tags: every AWS service has calls of its own for it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from lab.aws import Aws
from lab.provider.values import aws_tags

Tags = Mapping[str, str]


def default(values: Mapping[str, Any]) -> dict[str, str]:
    """The AWS provider's default tags, out of a stack's configuration."""
    given = values.get("aws:defaultTags", {})
    given = json.loads(given) if isinstance(given, str) else given
    return {key: str(value) for key, value in (given or {}).get("tags", {}).items()}


def as_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """The API's list of tags as a map."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def set_ec2(aws: Aws, identifier: str, old: Tags, new: Tags) -> None:
    """Set the tags of anything in EC2 or VPC."""
    removed, added = _difference(old, new)
    if removed:
        aws("ec2").delete_tags(Resources=[identifier], Tags=[{"Key": key} for key in removed])
    if added:
        aws("ec2").create_tags(Resources=[identifier], Tags=aws_tags(added))


def of_ssm_parameter(aws: Aws, name: str) -> dict[str, str]:
    """Read the tags of a parameter."""
    return as_map(aws("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"])


def set_ssm_parameter(aws: Aws, name: str, old: Tags, new: Tags) -> None:
    """Set the tags of a parameter."""
    ssm = aws("ssm")
    where = {"ResourceType": "Parameter", "ResourceId": name}
    _set(ssm.remove_tags_from_resource, ssm.add_tags_to_resource, where, old, new)


def set_iam_role(aws: Aws, name: str, old: Tags, new: Tags) -> None:
    """Set the tags of a role."""
    _set(aws("iam").untag_role, aws("iam").tag_role, {"RoleName": name}, old, new)


def set_iam_instance_profile(aws: Aws, name: str, old: Tags, new: Tags) -> None:
    """Set the tags of an instance profile."""
    where = {"InstanceProfileName": name}
    _set(aws("iam").untag_instance_profile, aws("iam").tag_instance_profile, where, old, new)


def of_arn(aws: Aws, service: str, arn: str) -> dict[str, str]:
    """Read the tags of anything in a service that names it by ARN: RDS and ElastiCache do."""
    return as_map(aws(service).list_tags_for_resource(ResourceName=arn)["TagList"])


def set_by_arn(aws: Aws, service: str, arn: str, old: Tags, new: Tags) -> None:
    """Set the tags of anything in a service that names it by ARN."""
    client = aws(service)
    _set(client.remove_tags_from_resource, client.add_tags_to_resource, {"ResourceName": arn}, old, new)


def set_secret(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Set the tags of a secret."""
    manager = aws("secretsmanager")
    _set(manager.untag_resource, manager.tag_resource, {"SecretId": arn}, old, new)


def of_elb(aws: Aws, arn: str) -> dict[str, str]:
    """Of anything in Elastic Load Balancing."""
    return as_map(aws("elbv2").describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"])


def set_elb(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Of anything in Elastic Load Balancing."""
    elb = aws("elbv2")
    _set(elb.remove_tags, elb.add_tags, {"ResourceArns": [arn]}, old, new)


def set_events(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Set the tags of anything in EventBridge."""
    events = aws("events")
    _set(events.untag_resource, events.tag_resource, {"ResourceARN": arn}, old, new)


def set_alarm(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Set the tags of an alarm."""
    cloudwatch = aws("cloudwatch")
    _set(cloudwatch.untag_resource, cloudwatch.tag_resource, {"ResourceARN": arn}, old, new)


def set_topic(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Set the tags of a topic."""
    sns = aws("sns")
    _set(sns.untag_resource, sns.tag_resource, {"ResourceArn": arn}, old, new)


def set_logs(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Set the tags of a group of logs, which CloudWatch Logs has as a map."""
    removed, added = _difference(old, new)
    if removed:
        aws("logs").untag_resource(resourceArn=arn, tagKeys=removed)
    if added:
        aws("logs").tag_resource(resourceArn=arn, tags=added)


def set_queue(aws: Aws, url: str, old: Tags, new: Tags) -> None:
    """Set the tags of a queue, which SQS has as a map."""
    removed, added = _difference(old, new)
    if removed:
        aws("sqs").untag_queue(QueueUrl=url, TagKeys=removed)
    if added:
        aws("sqs").tag_queue(QueueUrl=url, Tags=added)


def _set(remove: Callable[..., Any], add: Callable[..., Any], where: Mapping[str, Any], old: Tags, new: Tags) -> None:
    """By the two calls that every service but EC2 has, which differ in how they name the resource: `where`."""
    removed, added = _difference(old, new)
    if removed:
        remove(**where, TagKeys=removed)
    if added:
        add(**where, Tags=aws_tags(added))


def _difference(old: Tags, new: Tags) -> tuple[list[str], dict[str, str]]:
    """Keys to remove, and what to set."""
    return sorted(set(old) - set(new)), {key: value for key, value in new.items() if old.get(key) != value}
