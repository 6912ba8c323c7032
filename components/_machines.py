"""What the machines of both tiers have in common: image, identity and launch template."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_aws as aws

from .planning import image_query

_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


def find_image(image: str, instance_type: str, parent: pulumi.Resource) -> "pulumi.Output[aws.ec2.GetAmiResult]":
    """The newest AMI that `image` stands for and `instance_type` can run."""
    query = image_query(image, instance_type)
    return aws.ec2.get_ami_output(
        most_recent=True,
        owners=list(query.owners) or None,
        filters=[
            aws.ec2.GetAmiFilterArgs(name=query.key, values=[query.value]),
            aws.ec2.GetAmiFilterArgs(name="architecture", values=[query.architecture]),
        ],
        opts=pulumi.InvokeOutputOptions(parent=parent),
    )


@dataclass(frozen=True)
class MachineRole:
    """The role that a component's machines take on."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]


def role(
    name: str, description: str, existing: pulumi.Input[str] | None, parent: pulumi.ComponentResource
) -> MachineRole:
    """A role for EC2 machines, which may do nothing until `allow` says so; or the `existing` one of that name."""
    if existing is not None:
        found = aws.iam.get_role_output(name=existing, opts=pulumi.InvokeOutputOptions(parent=parent))
        return MachineRole(found.name, found.arn)
    opts = pulumi.ResourceOptions(parent=parent)
    made = aws.iam.Role(f"{name}-role", assume_role_policy=_TRUST, description=description, opts=opts)
    return MachineRole(made.name, made.arn)


def allow(
    name: str, to: MachineRole, statements: pulumi.Input[Sequence[Mapping[str, Any]]], child: pulumi.ResourceOptions
) -> "aws.iam.RolePolicy":
    """Let a role do what `statements` (action and resource) say."""
    document = pulumi.Output.from_input(statements).apply(
        lambda known: {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in known]}
    )
    return aws.iam.RolePolicy(name, role=to.name, policy=pulumi.Output.json_dumps(document), opts=child)


def attach(
    name: str, to: MachineRole, policy_arns: Mapping[str, pulumi.Input[str]], child: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Let a role do what managed policies say; their keys tell the attachments apart."""
    return [
        aws.iam.RolePolicyAttachment(f"{name}-policy-{key}", role=to.name, policy_arn=arn, opts=child)
        for key, arn in policy_arns.items()
    ]


TELLS_METRICS: Mapping[str, Any] = {
    # AWS can restrict it to a namespace alone.
    "Action": "cloudwatch:PutMetricData",
    "Resource": "*",
    "Condition": {"StringEquals": {"cloudwatch:namespace": "Expressway"}},
}
"""What it takes to tell CloudWatch how a machine is."""


def told_of_metrics(args: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a machine is told of measuring itself: whether others fetch it; None when it doesn't."""
    return {"scraped": bool(args.get("scrape_from"))} if args.get("metrics", True) else None


def allow_sessions(name: str, to: MachineRole, key: str | None, child: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Let machines with AWS's SSM agent be reached through Session Manager, and do nothing else with Systems Manager.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
    """
    if key is None:
        return []
    channels = [f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")]
    # AWS can't restrict these to resources.
    statement = {"Action": ["ssm:UpdateInstanceInformation", *channels], "Resource": "*"}
    return [allow(f"{name}-sessions", to, [statement], child)]


def launch_template(
    name: str,
    *,
    image: "pulumi.Output[aws.ec2.GetAmiResult]",
    instance_type: str,
    volume_size: int,
    user_data: pulumi.Input[str],
    role: MachineRole,
    security_group_ids: pulumi.Input[list[str]],
    tags: Mapping[str, pulumi.Input[str]],
    detailed_monitoring: bool,
    cpu_credits: str | None,
    child: pulumi.ResourceOptions,
    reads_tags: bool = False,
) -> "aws.ec2.LaunchTemplate":
    """How a machine of this component is made: no key pair, IMDSv2 only, encrypted disk.

    `reads_tags`: its metadata service tells it its tags.
    """
    profile = aws.iam.InstanceProfile(f"{name}-profile", role=role.name, opts=child)
    return aws.ec2.LaunchTemplate(
        f"{name}-template",
        image_id=image.id,
        instance_type=instance_type,
        user_data=user_data,
        iam_instance_profile={"arn": profile.arn},
        vpc_security_group_ids=security_group_ids,
        update_default_version=True,
        monitoring={"enabled": True} if detailed_monitoring else None,
        credit_specification={"cpu_credits": cpu_credits} if cpu_credits else None,
        # A hop limit of 1 keeps the machine's credentials out of reach of containers and of proxied requests.
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
            "instance_metadata_tags": "enabled" if reads_tags else "disabled",
        },
        block_device_mappings=[
            {
                "device_name": image.root_device_name,
                "ebs": {
                    "volume_size": volume_size,
                    "volume_type": "gp3",
                    "encrypted": "true",
                    "delete_on_termination": "true",
                },
            }
        ],
        # The provider's default tags stop at the template: what a template launches has only the tags named here.
        tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
        opts=child,
    )


def security_groups(own: pulumi.Output[str], further: pulumi.Input[list[str]] | None) -> pulumi.Input[list[str]]:
    """The component's own group, and those that it was given."""
    if further is None:
        return cast(Any, [own])
    return pulumi.Output.all(own, further).apply(lambda known: [known[0], *known[1]])


def tags(name: str, tier: str, given: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    """A machine's tags. Its tier (`edge` or `app`) is one, so that machines can be told apart wherever they are."""
    return {"Name": name, "expressway:tier": tier, **given}


def latest(template: "aws.ec2.LaunchTemplate") -> "aws.autoscaling.GroupLaunchTemplateArgs":
    """The template's newest version, by number: `$Latest` would change a group without a trace in Pulumi's plan."""
    version = template.latest_version.apply(lambda number: str(int(number)))
    return aws.autoscaling.GroupLaunchTemplateArgs(id=template.id, version=version)


def group_tags(tags: Mapping[str, pulumi.Input[str]]) -> "list[aws.autoscaling.GroupTagArgs]":
    """An Auto Scaling group's own notation of tags; the provider's default tags don't get into it."""
    return [
        # The template tags the machines already.
        aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=False)
        for key, value in tags.items()
    ]
