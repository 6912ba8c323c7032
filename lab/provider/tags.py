"""Reading and setting tags: every AWS service has calls of its own for it."""

from collections.abc import Mapping
from typing import Any

from lab.provider.aws import Aws
from lab.provider.values import aws_tags

Tags = Mapping[str, str]


def as_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """The API's list of tags as a map."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def set_ec2(aws: Aws, identifier: str, old: Tags, new: Tags) -> None:
    """Of anything in EC2 or VPC."""
    removed, added = _difference(old, new)
    if removed:
        aws("ec2").delete_tags(Resources=[identifier], Tags=[{"Key": key} for key in removed])
    if added:
        aws("ec2").create_tags(Resources=[identifier], Tags=aws_tags(added))


def of_ssm_parameter(aws: Aws, name: str) -> dict[str, str]:
    """Of a parameter."""
    return as_map(aws("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"])


def set_ssm_parameter(aws: Aws, name: str, old: Tags, new: Tags) -> None:
    """Of a parameter."""
    removed, added = _difference(old, new)
    resource: Any = {"ResourceType": "Parameter", "ResourceId": name}
    if removed:
        aws("ssm").remove_tags_from_resource(**resource, TagKeys=removed)
    if added:
        aws("ssm").add_tags_to_resource(**resource, Tags=aws_tags(added))


def set_iam_role(aws: Aws, name: str, old: Tags, new: Tags) -> None:
    """Of a role."""
    removed, added = _difference(old, new)
    if removed:
        aws("iam").untag_role(RoleName=name, TagKeys=removed)
    if added:
        aws("iam").tag_role(RoleName=name, Tags=aws_tags(added))


def set_iam_instance_profile(aws: Aws, name: str, old: Tags, new: Tags) -> None:
    """Of an instance profile."""
    removed, added = _difference(old, new)
    if removed:
        aws("iam").untag_instance_profile(InstanceProfileName=name, TagKeys=removed)
    if added:
        aws("iam").tag_instance_profile(InstanceProfileName=name, Tags=aws_tags(added))


def of_rds(aws: Aws, arn: str) -> dict[str, str]:
    """Of anything in RDS."""
    return as_map(aws("rds").list_tags_for_resource(ResourceName=arn)["TagList"])


def set_rds(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Of anything in RDS."""
    _set_by_name(aws("rds"), arn, old, new)


def of_elasticache(aws: Aws, arn: str) -> dict[str, str]:
    """Of anything in ElastiCache."""
    return as_map(aws("elasticache").list_tags_for_resource(ResourceName=arn)["TagList"])


def set_elasticache(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Of anything in ElastiCache."""
    _set_by_name(aws("elasticache"), arn, old, new)


def set_secret(aws: Aws, arn: str, old: Tags, new: Tags) -> None:
    """Of a secret."""
    removed, added = _difference(old, new)
    if removed:
        aws("secretsmanager").untag_resource(SecretId=arn, TagKeys=removed)
    if added:
        aws("secretsmanager").tag_resource(SecretId=arn, Tags=aws_tags(added))


def _set_by_name(client: Any, arn: str, old: Tags, new: Tags) -> None:
    removed, added = _difference(old, new)
    if removed:
        client.remove_tags_from_resource(ResourceName=arn, TagKeys=removed)
    if added:
        client.add_tags_to_resource(ResourceName=arn, Tags=aws_tags(added))


def _difference(old: Tags, new: Tags) -> tuple[list[str], dict[str, str]]:
    """Keys to remove, and what to set."""
    return sorted(set(old) - set(new)), {key: value for key, value in new.items() if old.get(key) != value}
