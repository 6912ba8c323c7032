"""Warm pools: machines that are launched ahead, stopped or running, and come into service when the group grows.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-warm-pools.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html
"""

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from lab.api import groups
from lab.api.members import Member
from lab.api.patching import around, instead

READY = {"Stopped": "Warmed:Stopped", "Running": "Warmed:Running"}


def install() -> None:
    """Change moto's Auto Scaling. Once a process, before the first request."""
    instead(FakeAutoScalingGroup, "instances", property(_in_group))
    around(AutoScalingResponse, "put_warm_pool", _put)
    instead(AutoScalingResponse, "describe_warm_pool", _describe)
    instead(AutoScalingResponse, "delete_warm_pool", _delete)


def size(group: Any) -> int:
    """How many machines the pool is to have: what the prepared capacity leaves, and the pool's own minimum at least."""
    pool = group.warm_pool
    if pool is None:
        return 0
    prepared = pool.max_group_prepared_capacity
    ahead = (group.max_size if prepared is None or prepared < 0 else prepared) - group.desired_capacity
    return max(pool.min_size, ahead, 0)


def members(group: Any) -> list[Member]:
    """The machines of the pool."""
    return [each for each in group.instance_states if each.warm]


def reconcile(group: Any, now: float) -> bool:
    """Fill the pool up, or take from it what is too much, the youngest first."""
    pool = members(group)
    wanted = size(group)
    for member in pool[wanted:]:
        groups.start_terminating(group, member, "a warm pool instance was taken out to match the pool's size.", now)
    missing = wanted - len(pool)
    launched = 0
    while launched < missing and groups.launch_warm(group, now):
        launched += 1
    return missing != 0


def _in_group(group: Any) -> list[Member]:
    """What the group's own description lists: those of the pool are described with it."""
    return [each for each in group.instance_states if not each.warm]


def _put(original: Any, response: Any) -> Any:
    asked = response._get_params()
    groups.named(response.autoscaling_backend, asked["AutoScalingGroupName"])
    if asked.get("PoolState", "Stopped") not in READY:
        raise ValidationError(f"The lab's pools are Stopped or Running, and not {asked['PoolState']}")
    if (asked.get("InstanceReusePolicy") or {}).get("ReuseOnScaleIn"):
        raise ValidationError("The lab returns no machines to a warm pool on scale-in")
    return original(response)


def _describe(response: Any) -> ActionResult:
    asked = response._get_params()
    group = groups.named(response.autoscaling_backend, asked["AutoScalingGroupName"])
    page, token = groups.page(members(group), asked.get("NextToken"), asked.get("MaxRecords") or 50)
    return ActionResult({"WarmPoolConfiguration": group.warm_pool, "Instances": page, "NextToken": token})


def _delete(response: Any) -> EmptyResult:
    group = groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    group.warm_pool = None  # the next step ends its machines
    return EmptyResult()
