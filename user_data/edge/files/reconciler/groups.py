"""What AWS says of the groups, and what it is told about their machines."""

import ipaddress
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from .model import Answer, Hook, Member

FILTER_LIMIT = 200
"""Values that EC2 takes in one filter."""
DRAIN = "expressway:drain"
"""The tag by which an operator has a machine taken out of the list; any value but an empty one."""
REMEMBERED_SECONDS = 60.0
"""How long a group's hooks are remembered, or that this machine is in no group. Such things change with the stack."""
_ENDED = frozenset({"shutting-down", "terminated", "stopping", "stopped"})
_PROBED = ("Pending:", "InService", "Terminating")


class NoAnswerError(Exception):
    """The API answered, but nothing that could be true of these groups."""


@dataclass(frozen=True)
class Target:
    """A group to balance over."""

    group: str
    port: int
    path: str
    """Where a machine says whether it is ready."""
    hooks: tuple[str, ...]
    """Names of those that this edge completes; the group may have others, which are let be."""
    tracked: bool = False
    """Whether CloudWatch is told how many requests each of its machines gets."""


class Groups:
    """The groups, and the edge's own, asked through the API. Addresses, which never change, are asked for once."""

    def __init__(
        self,
        autoscaling: Any,
        ec2: Any,
        targets: Sequence[Target],
        instance_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`instance_id` is this machine's."""
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._targets = {each.group: each for each in targets}
        self._instance_id = instance_id
        self._clock = clock
        self._own_group: str | None = None
        self._own_asked: float | None = None
        self._addresses: dict[str, str] = {}
        self._hooks: dict[str, tuple[float, list[dict[str, Any]]]] = {}

    def observe(self) -> Answer:
        """The groups as they are. NoAnswerError, or botocore's errors, when that can't be said."""
        own = self._find_own_group()
        found = self._describe([*self._targets, *([own] if own else [])])
        if missing := sorted(self._targets.keys() - found.keys()):
            raise NoAnswerError(f"there is no Auto Scaling group {', '.join(missing)}")
        instances = [(name, each) for name in self._targets for each in found[name]["Instances"]]
        self._learn_addresses(
            [each["InstanceId"] for _, each in instances if each["LifecycleState"].startswith(_PROBED)]
        )
        drained = self._drained() if instances else frozenset()
        members = [self._member(name, each, drained) for name, each in instances]
        return Answer(
            tuple(sorted(members, key=lambda each: each.instance_id)),
            sum(found[name]["DesiredCapacity"] for name in self._targets),
            self._other_edges(found.get(own) if own else None),
        )

    def ended(self, instance_ids: Collection[str]) -> frozenset[str]:
        """Those of whom EC2 says that they end, or have. Of whom it says nothing is not among them."""
        return frozenset(
            each["InstanceId"] for each in self._instances(instance_ids) if each["State"]["Name"] in _ENDED
        )

    def complete(self, member: Member, hook: Hook) -> None:
        """Let the instance go on, unless it does already. botocore's errors when it can't."""
        self._tell(self._autoscaling.complete_lifecycle_action, member, hook, LifecycleActionResult="CONTINUE")

    def beat(self, member: Member, hook: Hook) -> None:
        """Have the instance wait on, unless it does no longer. botocore's errors when it can't."""
        self._tell(self._autoscaling.record_lifecycle_action_heartbeat, member, hook)

    def give_up(self, instance_id: str) -> None:
        """Have Auto Scaling replace the instance. botocore's errors when it can't.

        Its grace period is for machines that still boot; this one has been well, or had its time (replacements.py).
        """
        self._autoscaling.set_instance_health(
            InstanceId=instance_id, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
        )

    def _find_own_group(self) -> str | None:
        now = self._clock()
        if self._own_group is None and (self._own_asked is None or now - self._own_asked > REMEMBERED_SECONDS):
            answer = self._autoscaling.describe_auto_scaling_instances(InstanceIds=[self._instance_id])
            for each in answer["AutoScalingInstances"]:
                self._own_group = each["AutoScalingGroupName"]
            self._own_asked = now
        return self._own_group

    def _describe(self, names: list[str]) -> dict[str, Any]:
        pages = self._autoscaling.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=names)
        return {group["AutoScalingGroupName"]: group for page in pages for group in page["AutoScalingGroups"]}

    def _member(self, name: str, instance: Mapping[str, Any], drained: Collection[str]) -> Member:
        target, instance_id, state = self._targets[name], instance["InstanceId"], instance["LifecycleState"]
        return Member(
            instance_id,
            state,
            self._addresses.get(instance_id),
            target.port,
            target.path,
            name,
            self._waits_for(target, state),
            instance_id in drained,
        )

    def _waits_for(self, target: Target, state: str) -> tuple[Hook, ...]:
        if not target.hooks or state not in ("Pending:Wait", "Terminating:Wait"):
            return ()
        transition = "LAUNCHING" if state == "Pending:Wait" else "TERMINATING"
        return tuple(
            Hook(each["LifecycleHookName"], float(each["HeartbeatTimeout"]))
            for each in self._hooks_of(target.group)
            if each["LifecycleHookName"] in target.hooks and each["LifecycleTransition"].endswith(transition)
        )

    def _hooks_of(self, group: str) -> list[dict[str, Any]]:
        asked_at, hooks = self._hooks.get(group, (0.0, []))
        now = self._clock()
        if group not in self._hooks or now - asked_at > REMEMBERED_SECONDS:
            hooks = self._autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]
            self._hooks[group] = (now, hooks)
        return hooks

    def _learn_addresses(self, instance_ids: Collection[str]) -> None:
        for each in self._instances([each for each in instance_ids if each not in self._addresses]):
            if address := each.get("PrivateIpAddress"):
                self._addresses[each["InstanceId"]] = str(ipaddress.IPv4Address(address))
        self._addresses = {each: self._addresses[each] for each in instance_ids if each in self._addresses}

    def _instances(self, instance_ids: Collection[str]) -> Iterable[dict[str, Any]]:
        unknown = sorted(instance_ids)
        for start in range(0, len(unknown), FILTER_LIMIT):
            # A filter, not InstanceIds: EC2 may not know a new instance yet, and then would refuse the whole question.
            wanted = [{"Name": "instance-id", "Values": unknown[start : start + FILTER_LIMIT]}]
            for page in self._ec2.get_paginator("describe_instances").paginate(Filters=wanted):
                for reservation in page["Reservations"]:
                    yield from reservation["Instances"]

    def _drained(self) -> frozenset[str]:
        """As many as there are with the tag, not as many as there are machines."""
        wanted = [{"Name": "key", "Values": [DRAIN]}, {"Name": "resource-type", "Values": ["instance"]}]
        pages = self._ec2.get_paginator("describe_tags").paginate(Filters=wanted)
        return frozenset(tag["ResourceId"] for page in pages for tag in page["Tags"] if tag["Value"])

    def _other_edges(self, own: Mapping[str, Any] | None) -> tuple[str, ...]:
        instances = own["Instances"] if own else []
        return tuple(sorted(each["InstanceId"] for each in instances if each["InstanceId"] != self._instance_id))

    def _tell(self, operation: Callable[..., Any], member: Member, hook: Hook, **more: str) -> None:
        try:
            operation(
                AutoScalingGroupName=member.group,
                LifecycleHookName=hook.name,
                InstanceId=member.instance_id,
                **more,
            )
        except ClientError as error:
            # The group's answer may be a moment older than the last pass.
            if "No active Lifecycle Action" not in str(error):
                raise
