"""What a caller does with single instances of a group: standby, attach, detach, protect, and say how healthy one is.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-detach-attach-instances.html,
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetInstanceHealth.html
"""

import time
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import ASG_NAME_TAG
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import InvalidInstanceIdError

from lab.api import groups, target_groups
from lab.api.activities import Activity, record
from lab.api.members import HEALTHY, IN_SERVICE, STANDBY, UNHEALTHY, Member
from lab.api.patching import instead

INSTANCES_A_PAGE = 50


def install() -> None:
    """Change moto's Auto Scaling. Once a process, before the first request."""
    instead(AutoScalingResponse, "enter_standby", _enter_standby)
    instead(AutoScalingResponse, "exit_standby", _exit_standby)
    instead(AutoScalingResponse, "attach_instances", _attach)
    instead(AutoScalingResponse, "detach_instances", _detach)
    instead(AutoScalingResponse, "set_instance_protection", _protect)
    instead(AutoScalingResponse, "set_instance_health", _set_health)
    instead(AutoScalingResponse, "describe_auto_scaling_instances", _describe)


def _enter_standby(response: Any) -> ActionResult:
    group, chosen = _chosen(response, IN_SERVICE)
    decrement = response._get_bool_param("ShouldDecrementDesiredCapacity")
    before, after = _shrink(group, len(chosen) if decrement else 0)
    activities: list[Activity] = []
    for member in chosen:
        target_groups.leave(group, member.instance_id)
        member.lifecycle_state, member.since = STANDBY, None
        cause = f"instance {member.instance_id} was moved to standby in response to a user request{_by(before, after)}."
        activities.append(_done(group, member, f"Moving EC2 instance to Standby: {member.instance_id}", cause))
    return ActionResult({"Activities": activities})


def _exit_standby(response: Any) -> ActionResult:
    group, chosen = _chosen(response, STANDBY)
    before, after = _grow(group, len(chosen))
    activities: list[Activity] = []
    for member in chosen:
        # EC2 Auto Scaling makes no health checks in standby, and begins anew with one that comes back.
        member.health_status = HEALTHY
        cause = (
            f"instance {member.instance_id} was moved out of standby in response to a user request{_by(before, after)}."
        )
        activities.append(_done(group, member, f"Moving EC2 instance out of Standby: {member.instance_id}", cause))
        groups.enter_service(group, member, time.monotonic())
    return ActionResult({"Activities": activities})


def _attach(response: Any) -> EmptyResult:
    backend = response.autoscaling_backend
    group = groups.named(backend, response._get_param("AutoScalingGroupName"))
    instances = [_free_instance(backend, group, identifier) for identifier in response._get_param("InstanceIds", [])]
    before, after = _grow(group, len(instances))
    for instance in instances:
        group.ec2_backend.create_tags([instance.id], {ASG_NAME_TAG: group.name})
        member = Member(
            instance,
            protected_from_scale_in=group.new_instances_protected_from_scale_in,
            autoscaling_group=group,
        )
        group.instance_states.append(member)
        cause = f"an instance was attached in response to a user request{_by(before, after)}."
        _done(group, member, f"Attaching an existing EC2 instance: {instance.id}", cause)
        groups.enter_service(group, member, time.monotonic())
    return EmptyResult()


def _detach(response: Any) -> ActionResult:
    group, chosen = _chosen(response, IN_SERVICE, STANDBY)
    counted = sum(member.counts for member in chosen)
    before, after = _shrink(group, counted if response._get_bool_param("ShouldDecrementDesiredCapacity", False) else 0)
    activities: list[Activity] = []
    for member in chosen:
        target_groups.leave(group, member.instance_id)
        group.ec2_backend.delete_tags([member.instance_id], {ASG_NAME_TAG: group.name})
        group.instance_states.remove(member)
        # moto keeps the first group of an instance for ever.
        delattr(member.instance, "autoscaling_group")
        cause = f"instance {member.instance_id} was detached in response to a user request{_by(before, after)}."
        activities.append(_done(group, member, f"Detaching EC2 instance: {member.instance_id}", cause))
    return ActionResult({"Activities": activities})


def _protect(response: Any) -> EmptyResult:
    _, chosen = _chosen(response)
    protected = response._get_bool_param("ProtectedFromScaleIn")
    for member in chosen:
        member.protected_from_scale_in = protected
    return EmptyResult()


def _set_health(response: Any) -> EmptyResult:
    """One in its grace period stays as it is, unless the caller says otherwise."""
    status = response._get_param("HealthStatus")
    if status not in (HEALTHY, UNHEALTHY):
        raise ValidationError(f"Instance health status must be one of [{HEALTHY}, {UNHEALTHY}], and is {status}")
    group, member = groups.member(response.autoscaling_backend, response._get_param("InstanceId"))
    respects = response._get_bool_param("ShouldRespectGracePeriod", True)
    if not (status == UNHEALTHY and respects and groups.in_grace(group, member, time.monotonic())):
        member.health_status = status
    return EmptyResult()


def _describe(response: Any) -> ActionResult:
    asked = response._get_params()
    found = response.autoscaling_backend.describe_auto_scaling_instances(asked.get("InstanceIds", []))
    page, token = groups.page(found, asked.get("NextToken"), asked.get("MaxRecords") or INSTANCES_A_PAGE)
    return ActionResult({"AutoScalingInstances": page, "NextToken": token})


def _chosen(response: Any, *states: str) -> tuple[Any, list[Member]]:
    """The group and those of its members that a request names, which have to be in one of `states`."""
    asked = response._get_params()
    group = groups.named(response.autoscaling_backend, asked["AutoScalingGroupName"])
    members = {each.instance_id: each for each in group.instance_states}
    chosen: list[Member] = []
    for identifier in asked.get("InstanceIds", []):
        member = members.get(identifier)
        if member is None:
            message = f"The instance {identifier} is not part of Auto Scaling group {group.name}."
            raise ValidationError(message)
        if states and member.lifecycle_state not in states:
            raise ValidationError(f"The instance {identifier} is not in {' or '.join(states)}.")
        chosen.append(member)
    return group, chosen


def _free_instance(backend: Any, group: Any, identifier: str) -> Any:
    try:
        instance = group.ec2_backend.get_instance(identifier)
    except InvalidInstanceIdError:
        raise ValidationError(f"Invalid Instance ID: {identifier}") from None
    if instance.state != "running":
        raise ValidationError(f"Instance {identifier} is not in correct state (running)")
    for other in backend.autoscaling_groups.values():
        if any(each.instance_id == identifier for each in other.instance_states):
            raise ValidationError(f"Instance {identifier} is already part of AutoScalingGroup:{other.name}")
    if instance.placement.zone not in group.availability_zones:
        raise ValidationError(f"Instance {identifier} is not in the Availability Zones of {group.name}")
    return instance


def _shrink(group: Any, count: int) -> tuple[int, int]:
    before, after = group.desired_capacity, group.desired_capacity - count
    if after < group.min_size and count:
        message = f"AutoScalingGroup {group.name} has min-size={group.min_size}, max-size={group.max_size}, and "
        raise ValidationError(f"{message}desired-size={before}. To take {count} out would put it below its minimum.")
    group.desired_capacity = after
    return before, after


def _grow(group: Any, count: int) -> tuple[int, int]:
    before, after = group.desired_capacity, group.desired_capacity + count
    if after > group.max_size:
        message = f"New SetDesiredCapacity value {after} is above max value {group.max_size} for the AutoScalingGroup."
        raise ValidationError(message)
    group.desired_capacity = after
    return before, after


def _by(before: int, after: int) -> str:
    if before == after:
        return ""
    return f", {'shrinking' if after < before else 'increasing'} the capacity from {before} to {after}"


def _done(group: Any, member: Member, description: str, cause: str) -> Activity:
    zone, subnet = member.availability_zone, member.instance.subnet_id
    activity = record(group, description, cause, zone, subnet)
    activity.finish("Successful")
    return activity
