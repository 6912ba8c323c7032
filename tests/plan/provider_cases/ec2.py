"""EC2."""

import base64
from typing import Any

from tests.plan.lab_api_server import APP, PLAIN_X86
from tests.plan.provider_cases import Case
from tests.plan.provider_world import World


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _disk(size: int) -> list[dict[str, Any]]:
    ebs = {"volumeSize": size, "volumeType": "gp3", "encrypted": "true", "deleteOnTermination": "false"}
    return [{"deviceName": "/dev/xvda", "ebs": ebs}]


def _launch_template(world: World) -> dict[str, Any]:
    return {
        "imageId": PLAIN_X86.id,
        "instanceType": "t3.small",
        "userData": _encoded("first"),
        "iamInstanceProfile": {"arn": "arn:aws:iam::123456789012:instance-profile/first"},
        "vpcSecurityGroupIds": [world.security_group(), world.security_group()],
        "monitoring": {"enabled": True},
        "creditSpecification": {"cpuCredits": "unlimited"},
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": _disk(8),
        "tagSpecifications": [{"resourceType": "instance", "tags": {"Name": "first", "tier": "app"}}],
        "updateDefaultVersion": True,
        "description": "what it is",
        "tags": {"Name": "template"},
    }


CASES = (
    Case(
        "aws:ec2/launchTemplate:LaunchTemplate",
        make=_launch_template,
        changes={
            "name": "another-name",
            "imageId": APP.id,
            "instanceType": "t3.medium",
            "userData": _encoded("second"),
            "iamInstanceProfile": {"name": "second"},
            "vpcSecurityGroupIds": lambda world: [world.security_group()],
            "monitoring": {"enabled": False},
            "creditSpecification": {"cpuCredits": "standard"},
            "metadataOptions": {"httpTokens": "optional", "instanceMetadataTags": "enabled"},
            "blockDeviceMappings": _disk(16),
            "tagSpecifications": None,
            "updateDefaultVersion": None,
            "description": None,
        },
        untold=("updateDefaultVersion",),
    ),
)
