"""What there is to see: this machine's own services, its group, and who holds the address."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from expressway_machine import readiness

from .rules import Edge

STATUS = ("127.0.0.1", 8082, "/nginx_status")
"""Nginx's own page: its workers answer, and no app server is asked."""
HEARTBEAT = Path("/run/expressway/reconciler.json")
"""Written by the reconciler at each pass, whatever the API says."""
STATUS_TIMEOUT = 5.0


def nginx_answers() -> bool:
    """Whether Nginx answers on this machine; one that is busy may take its time."""
    return readiness.probe(*STATUS, timeout=STATUS_TIMEOUT).ready


def reconciler_beats(within: float, path: Path = HEARTBEAT) -> bool:
    """Whether the reconciler has made a pass in the last `within` seconds."""
    try:
        return time.time() - path.stat().st_mtime <= within
    except OSError:
        return False


class Api:
    """What AWS says. botocore's errors leave here: nothing is decided on half an answer."""

    def __init__(self, autoscaling: Any, ec2: Any, instance_id: str, allocation_id: str) -> None:
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._instance_id = instance_id
        self._allocation_id = allocation_id
        self._group: str | None = None
        self._launched: dict[str, float] = {}

    def holder(self) -> str | None:
        """The instance that the address points at."""
        address = self._ec2.describe_addresses(AllocationIds=[self._allocation_id])["Addresses"][0]
        return address.get("InstanceId") or None

    def members(self) -> tuple[Edge, ...]:
        """The machines of this one's group; none where it is in no group."""
        if self._group is None:
            mine = self._autoscaling.describe_auto_scaling_instances(InstanceIds=[self._instance_id])
            if not mine["AutoScalingInstances"]:
                return ()
            self._group = mine["AutoScalingInstances"][0]["AutoScalingGroupName"]
        answer = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self._group])
        found = [each for group in answer["AutoScalingGroups"] for each in group["Instances"]]
        self._learn_launches([each["InstanceId"] for each in found])
        return tuple(
            Edge(
                each["InstanceId"],
                each["LifecycleState"],
                each["HealthStatus"] == "Healthy",
                self._launched.get(each["InstanceId"], 0.0),
            )
            for each in found
        )

    def runs(self, instance_id: str) -> bool:
        """Whether the instance is on, or about to be."""
        return any(each["State"]["Name"] in ("pending", "running") for each in self._instances([instance_id]))

    def report(self) -> None:
        """Tell Auto Scaling that this machine is to be replaced."""
        self._autoscaling.set_instance_health(
            InstanceId=self._instance_id, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
        )

    def _learn_launches(self, instance_ids: Collection[str]) -> None:
        if unknown := [each for each in instance_ids if each not in self._launched]:
            for each in self._instances(unknown):
                self._launched[each["InstanceId"]] = each["LaunchTime"].timestamp()

    def _instances(self, instance_ids: Collection[str]) -> list[dict[str, Any]]:
        # A filter, not InstanceIds: an instance that EC2 doesn't know, yet or any more, would be an error.
        wanted = [{"Name": "instance-id", "Values": list(instance_ids)}]
        answer = self._ec2.describe_instances(Filters=wanted)
        return [each for reservation in answer["Reservations"] for each in reservation["Instances"]]
