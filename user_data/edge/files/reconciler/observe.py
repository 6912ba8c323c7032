"""What AWS says of the group, and what the servers say of themselves."""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError
from expressway_machine import readiness

from .model import Member, Observation
from .plan import SERVING_STATES

_FILTER_LIMIT = 200
"""Values that EC2 takes in one filter."""


class NoAnswerError(Exception):
    """The API answered, but not about this group."""


class Group:
    """One Auto Scaling group, asked through the API. Addresses, which never change, are asked for once."""

    def __init__(self, autoscaling: Any, ec2: Any, name: str, hooks: Collection[str]) -> None:
        """`hooks` are the names of those that this edge completes; the group may have others, which are let be."""
        self._own_hooks = hooks
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._name = name
        self._addresses: dict[str, str] = {}

    def observe(self) -> Observation:
        """The group as it is. NoAnswerError, or botocore's errors, when that can't be said."""
        pages = self._autoscaling.get_paginator("describe_auto_scaling_groups").paginate(
            AutoScalingGroupNames=[self._name]
        )
        groups = [group for page in pages for group in page["AutoScalingGroups"]]
        if not groups:
            raise NoAnswerError(f"there is no Auto Scaling group {self._name}")
        instances = [(each["InstanceId"], each["LifecycleState"]) for group in groups for each in group["Instances"]]
        self._learn_addresses([instance_id for instance_id, state in instances if state in SERVING_STATES])
        members = tuple(Member(*each, self._addresses.get(each[0])) for each in instances)
        waiting = any(each.state.endswith(":Wait") for each in members)
        hooks = self._hooks() if waiting and self._own_hooks else []
        return Observation(
            members,
            launch_hooks=tuple(name for name, transition in hooks if transition.endswith("LAUNCHING")),
            terminate_hooks=tuple(name for name, transition in hooks if transition.endswith("TERMINATING")),
        )

    def complete(self, instance_id: str, hook: str) -> None:
        """Let the instance go on, unless it does already. botocore's errors when it can't."""
        try:
            self._autoscaling.complete_lifecycle_action(
                AutoScalingGroupName=self._name,
                LifecycleHookName=hook,
                InstanceId=instance_id,
                LifecycleActionResult="CONTINUE",
            )
        except ClientError as error:
            # The group's answer may be a moment older than the last pass.
            if "No active Lifecycle Action" not in str(error):
                raise

    def _hooks(self) -> list[tuple[str, str]]:
        answer = self._autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=self._name)
        hooks = [(each["LifecycleHookName"], each["LifecycleTransition"]) for each in answer["LifecycleHooks"]]
        return [(name, transition) for name, transition in hooks if name in self._own_hooks]

    def _learn_addresses(self, instance_ids: Iterable[str]) -> None:
        unknown = [each for each in instance_ids if each not in self._addresses]
        for start in range(0, len(unknown), _FILTER_LIMIT):
            # A filter, not InstanceIds: EC2 may not know a new instance yet, and then would refuse the whole question.
            wanted = [{"Name": "instance-id", "Values": unknown[start : start + _FILTER_LIMIT]}]
            for page in self._ec2.get_paginator("describe_instances").paginate(Filters=wanted):
                for reservation in page["Reservations"]:
                    for instance in reservation["Instances"]:
                        if address := instance.get("PrivateIpAddress"):
                            self._addresses[instance["InstanceId"]] = address


def probe_all(members: Sequence[Member], port: int, path: str, pool: ThreadPoolExecutor) -> dict[str, bool]:
    """Who is ready, by instance id, of those that may have traffic."""
    asked = [(each.instance_id, each.address) for each in members if each.address and each.state in SERVING_STATES]
    answers = pool.map(lambda each: readiness.probe(each[1], port, path), asked)
    return {instance_id: answer.ready for (instance_id, _), answer in zip(asked, answers, strict=True)}
