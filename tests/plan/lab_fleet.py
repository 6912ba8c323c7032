"""A VPC, a launch template and Auto Scaling groups for tests of the lab's API."""

import base64
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.plan.lab_api_server import PLAIN_X86, ApiServer

USER_DATA = "#cloud-config\n"
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


def hook(transition: str, default: str = "ABANDON", seconds: int = 300, name: str = "hook") -> dict[str, Any]:
    """A lifecycle hook's specification."""
    return {
        "LifecycleHookName": name,
        "LifecycleTransition": transition,
        "DefaultResult": default,
        "HeartbeatTimeout": seconds,
    }


class Fleet:
    """What a test makes its groups from: two private subnets in two zones, one public one, and a template."""

    def __init__(self, api: ApiServer, network: str = "10.20") -> None:
        """`network` is the first half of its addresses."""
        self.ec2, self.autoscaling, iam = (api.client(service) for service in ("ec2", "autoscaling", "iam"))
        self.unique = uuid.uuid4().hex[:8]
        self.groups: list[str] = []
        vpc = self.ec2.create_vpc(CidrBlock=f"{network}.0.0/16")["Vpc"]["VpcId"]
        self.private = [self._subnet(vpc, f"{network}.{n}.0/24", f"us-east-1{'ab'[n]}") for n in range(2)]
        self.public = self._subnet(vpc, f"{network}.9.0/24", "us-east-1a")
        self.ec2.modify_subnet_attribute(SubnetId=self.public, MapPublicIpOnLaunch={"Value": True})
        self.security_group = self.ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"]
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=self.unique, AssumeRolePolicyDocument=document)
        profile = iam.create_instance_profile(InstanceProfileName=self.unique)["InstanceProfile"]
        iam.add_role_to_instance_profile(InstanceProfileName=self.unique, RoleName=self.unique)
        self.profile = profile["Arn"]
        self.template = self.add_template(IamInstanceProfile={"Arn": self.profile})

    def add_template(self, **data: Any) -> str:
        """Another launch template; returns its id."""
        template = self.ec2.create_launch_template(
            LaunchTemplateName=uuid.uuid4().hex,
            LaunchTemplateData={
                "ImageId": PLAIN_X86.id,
                "InstanceType": "t3.small",
                "UserData": base64.b64encode(USER_DATA.encode()).decode(),
                "SecurityGroupIds": [self.security_group],
                "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "tier"}]}],
                **data,
            },
        )
        return template["LaunchTemplate"]["LaunchTemplateId"]

    def create(self, size: int, *hooks: dict[str, Any], **arguments: Any) -> str:
        """A group of `size`, at most 4; returns its name."""
        name = arguments.get("AutoScalingGroupName", f"{self.unique}-{len(self.groups)}")
        self.autoscaling.create_auto_scaling_group(
            **{
                "AutoScalingGroupName": name,
                "MinSize": 0,
                "MaxSize": 4,
                "DesiredCapacity": size,
                "VPCZoneIdentifier": ",".join(self.private),
                "LaunchTemplate": {"LaunchTemplateId": self.template, "Version": "1"},
                "LifecycleHookSpecificationList": list(hooks),
                "Tags": [{"Key": "tier", "Value": "app", "PropagateAtLaunch": True}],
            }
            | arguments,
        )
        self.groups.append(name)
        return name

    def describe(self, group: str) -> dict[str, Any]:
        """The group as the API has it."""
        return self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]

    def members(self, group: str) -> list[dict[str, Any]]:
        """The group's instances."""
        return self.describe(group)["Instances"]

    def states(self, group: str) -> list[str]:
        """Their lifecycle states, sorted."""
        return sorted(member["LifecycleState"] for member in self.members(group))

    def ids(self, group: str) -> set[str]:
        """Their ids."""
        return {member["InstanceId"] for member in self.members(group)}

    def instance(self, identifier: str) -> dict[str, Any]:
        """An instance as EC2 has it."""
        return self.ec2.describe_instances(InstanceIds=[identifier])["Reservations"][0]["Instances"][0]

    def complete(self, group: str, instance: str, result: str = "CONTINUE", name: str = "hook") -> None:
        """Complete a lifecycle action."""
        self.autoscaling.complete_lifecycle_action(
            AutoScalingGroupName=group, LifecycleHookName=name, InstanceId=instance, LifecycleActionResult=result
        )

    def clean_up(self) -> None:
        """Delete the groups that are left."""
        for group in self.groups:
            found = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])
            if found["AutoScalingGroups"]:
                self.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)

    def _subnet(self, vpc: str, cidr: str, zone: str) -> str:
        return self.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]


def eventually(holds: Callable[[], bool], message: str, seconds: float = 60) -> None:
    """Wait until `holds`, for as long as a busy host may need for it."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, message
        time.sleep(0.1)
