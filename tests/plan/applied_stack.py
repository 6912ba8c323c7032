"""What came of applying the real program: for the tests of the plan."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.plan.lab_api_server import ApiServer


@dataclass
class Applied:
    """What came of it: the stack's outputs, the ids by type and name, and the API that has it all."""

    api: ApiServer
    outputs: dict[str, Any]
    seconds: float
    ids: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return self.api.client(service)

    def group(self, tier: str) -> dict[str, Any]:
        """The tier's Auto Scaling group."""
        name = self.outputs[f"{tier}GroupName"]
        found = self.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return found["AutoScalingGroups"][0]

    def instances(self, tier: str) -> list[dict[str, Any]]:
        """The tier's machines, as EC2 has them."""
        ids = [member["InstanceId"] for member in self.group(tier)["Instances"]]
        reservations = self.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
        return [instance for reservation in reservations for instance in reservation["Instances"]]
