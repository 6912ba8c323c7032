"""A group's machines in its load balancers' target groups: there from in service on until they begin to leave.

moto registers them at some of the group's API calls only, and those that still wait for a hook too.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
"""

from typing import Any

from lab.api import target_health

IN_SERVICE = "InService"


def join(group: Any, instance_id: str) -> None:
    """Register a machine with every target group of its group, at the target group's own port."""
    backend = group.autoscaling_backend.elbv2_backend
    for arn, target_group in _target_groups(group):
        backend.register_targets(arn, [{"Id": instance_id, "Port": target_group.port}])


def leave(group: Any, instance_id: str) -> None:
    """Take a machine out, where it is in: what is under way has the deregistration delay."""
    for _, target_group in _target_groups(group):
        if instance_id in target_group.targets:
            target_group.deregister([{"Id": instance_id}])


def draining(group: Any, instance_id: str) -> bool:
    """Whether a machine that leaves may still have requests under way, in any of its target groups."""
    return any(target_health.draining(target_group, instance_id) for _, target_group in _target_groups(group))


def failing(group: Any, instance_id: str) -> bool:
    """Whether the group goes by its load balancers' health checks, and a machine in service fails those of one."""
    if "ELB" not in group.health_check_type:
        return False
    return any(target_health.failing(each, instance_id) for _, each in _target_groups(group))


def attach(backend: Any, group_name: str) -> None:
    """The machines that are in service join, when target groups come to a group that is there."""
    group = backend.autoscaling_groups[group_name]
    for member in group.instance_states:
        if member.lifecycle_state == IN_SERVICE:
            join(group, member.instance_id)


def _target_groups(group: Any) -> list[tuple[str, Any]]:
    known = group.autoscaling_backend.elbv2_backend.target_groups
    # One that was deleted takes nobody any more; AWS leaves its ARN with the group as well.
    return [(arn, known[arn]) for arn in group.target_group_arns or () if arn in known]
