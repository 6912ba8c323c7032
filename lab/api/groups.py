"""Auto Scaling groups at work: launches, lifecycle hooks, replacements and scale-in on moto's groups.

moto keeps the groups and starts EC2 instances at once; here each group is brought step by step from what it has to what
it wants, as AWS does. The caller holds the API's lock.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from moto.autoscaling import models
from moto.autoscaling.exceptions import ValidationError
from moto.core.exceptions import ServiceException

from lab.api import events, instances, lifecycle, replacement, target_groups
from lab.api.activities import record
from lab.api.balance import Candidate, Place, first_to_go, out_of_balance, place_next
from lab.api.launch import launch
from lab.api.members import (
    HEALTHY,
    IN_SERVICE,
    PENDING,
    UNHEALTHY,
    Member,
)

log = logging.getLogger(__name__)

REPLACEMENT_PAUSE = 3.0
"""Seconds until the next launch after one that failed or was abandoned: a broken image must not spin."""


@dataclass(frozen=True)
class Configuration:
    """What a group launches: a template, and its version as the caller names it, such as 2 or $Latest."""

    template: Any
    version: str

    @property
    def identity(self) -> tuple[str, int]:
        """The template's id and the version's number by now."""
        return self.template.id, self.template.get_version(self.version).number


@dataclass(frozen=True)
class Replacing:
    """Machines that have to be replaced, between percentages of the desired capacity."""

    due: tuple[str, ...]
    least: int
    most: int
    warm_up: float
    cause: str


def groups() -> Iterator[Any]:
    """Every group of every account and region."""
    for account in list(models.autoscaling_backends.values()):
        for backend in list(account.values()):
            yield from list(backend.autoscaling_groups.values())


def named(backend: Any, name: str) -> Any:
    """The group of that name; an error in AWS's words when there is none."""
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def member(backend: Any, instance_id: str) -> tuple[Any, Member]:
    """An instance and its group; an error in AWS's words when no group has it."""
    for group in backend.autoscaling_groups.values():
        for each in group.instance_states:
            if each.instance_id == instance_id:
                return group, each
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def page(found: Sequence[Any], token: str | None, size: int) -> tuple[Sequence[Any], str | None]:
    """One page of a list, and the token of the next: a token is a place in the list."""
    try:
        start = int(token or 0)
    except ValueError:
        raise ValidationError(f"The token {token} is not valid") from None
    end = start + size
    return found[start:end], str(end) if end < len(found) else None


def own(group: Any) -> Configuration:
    """What the group itself says that it launches."""
    if group.ec2_launch_template is None:
        raise ValidationError(
            f"Auto Scaling group '{group.name}' has no launch template; the lab launches by template only"
        )
    return Configuration(group.ec2_launch_template, group.launch_template_version)


def in_order_of_going(group: Any) -> list[Member]:
    """The members, those first that the termination policy would take first; unhealthy ones before all others."""
    members = {each.instance_id: each for each in group.instance_states}
    order = first_to_go(map(_candidate, members.values()), len(members))
    return sorted((members[identifier] for identifier in order), key=lambda each: each.health_status == HEALTHY)


def reconcile(group: Any, now: float) -> bool:
    """Take the group a step towards what it wants; returns whether anything changed."""
    before = [(each.instance_id, each.lifecycle_state) for each in group.instance_states]
    for each in list(group.instance_states):
        _expire(group, each, now)
        _go_on_leaving(group, each, now)
        _proceed(group, each)
        _check_health(group, each, now)
    _replace(group, now)
    return before != [(each.instance_id, each.lifecycle_state) for each in group.instance_states]


def start_terminating(group: Any, member: Member, cause: str, now: float) -> Any:
    """Begin an instance's way out; without a hook it is terminated at once."""
    if member.activity and member.activity.waits:
        member.activity.finish("Cancelled")
    member.activity = record(
        group,
        f"Terminating EC2 instance: {member.instance_id}",
        cause,
        member.availability_zone,
        member.instance.subnet_id,
    )
    member.lifecycle_state = "Terminating"
    activity = member.activity
    target_groups.leave(group, member.instance_id)
    _go_on_leaving(group, member, now)
    return activity


def _go_on_leaving(group: Any, member: Member, now: float) -> None:
    """Its load balancers' deregistration delay comes before its hooks, and then its end.

    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Activity.html (WaitingForELBConnectionDraining)
    """
    if member.lifecycle_state != "Terminating" or member not in group.instance_states:
        return
    if target_groups.draining(group, member.instance_id):
        if member.activity:
            member.activity.status_code = "WaitingForELBConnectionDraining"
        return
    member.actions = _actions(group, lifecycle.TERMINATING, now)
    if not member.actions:
        terminate(group, member)
        return
    member.lifecycle_state = "Terminating:Wait"
    if member.activity:
        member.activity.wait()
    _tell(group, member, lifecycle.TERMINATING, events.GROUP, events.EC2)


def terminate(group: Any, member: Member) -> None:
    """End an instance that nothing waits for any more; its machine may take a while to shut down."""
    member.actions = []
    member.lifecycle_state = "Terminating:Proceed"
    if member.instance.state not in instances.ENDED:
        group.ec2_backend.terminate_instances([member.instance_id])
    _proceed(group, member)


def complete(group: Any, member: Member, action: lifecycle.Action, result: str, now: float) -> None:
    """A lifecycle action has its result, given by a caller or by default."""
    member.actions.remove(action)
    if member.lifecycle_state.endswith("Pending:Wait") and result == lifecycle.ABANDON:
        if member.activity:
            member.activity.finish(
                "Cancelled",
                "Instance failed to complete user's Lifecycle Action: "
                f"Lifecycle Action with token {action.token} was abandoned: {result} by hook {action.hook}",
            )
            _tell_end(group, member, launch=True)
        group.next_launch = now + REPLACEMENT_PAUSE
        cause = f"instance {member.instance_id} was abandoned by lifecycle hook {action.hook}."
        member.activity = record(group, f"Terminating EC2 instance: {member.instance_id}", cause)
        terminate(group, member)
    elif member.lifecycle_state == "Terminating:Wait" and (result == lifecycle.ABANDON or not member.actions):
        terminate(group, member)
    elif not member.actions:
        _launched(group, member, now)


def enter_service(group: Any, member: Member, now: float) -> None:
    """An instance is launched, or comes back from standby."""
    if not suspended(group, "AddToLoadBalancer"):
        target_groups.join(group, member.instance_id)
    launched = member.lifecycle_state in (PENDING, "Pending:Wait")
    member.lifecycle_state, member.since = IN_SERVICE, now
    if member.activity:
        member.activity.finish("Successful")
        if launched:
            _tell_end(group, member, launch=True)


def launch_warm(group: Any, now: float) -> bool:
    """Launch a machine into the group's warm pool; returns whether there is one more."""
    if suspended(group, "Launch") or now < getattr(group, "next_launch", 0.0):
        return False
    return _launch(group, now, warm=True)


def _leave_pool(group: Any, now: float) -> bool:
    """A machine of the warm pool that is ready comes into the group, through the launch hooks again."""
    for member in group.instance_states:
        if member.lifecycle_state == "Warmed:Stopped" and member.instance.state == "stopped":
            group.ec2_backend.start_instances([member.instance_id])
        elif member.lifecycle_state != "Warmed:Running":
            continue
        cause = f"the desired capacity is {group.desired_capacity}; an instance of the warm pool was ready."
        description = f"Launching a new EC2 instance from warm pool: {member.instance_id}"
        member.activity = record(group, description, cause, member.availability_zone, member.instance.subnet_id)
        member.lifecycle_state = PENDING
        _wait_or_enter(group, member, now, events.WARM_POOL, events.GROUP)
        return True
    return False


def _wait_or_enter(group: Any, member: Member, now: float, origin: str, destination: str) -> None:
    """A machine that is launched waits for its hooks, if there are any."""
    member.actions = _actions(group, lifecycle.LAUNCHING, now)
    if not member.actions:
        _launched(group, member, now)
        return
    member.lifecycle_state = f"{member.lifecycle_state}:Wait"
    if member.activity:
        member.activity.wait()
    _tell(group, member, lifecycle.LAUNCHING, origin, destination)


def _launched(group: Any, member: Member, now: float) -> None:
    """Its hooks are completed: it is in service, or in the warm pool."""
    if not member.warm:
        enter_service(group, member, now)
        return
    if group.warm_pool is None or group.warm_pool.pool_state == "Running":
        member.lifecycle_state = "Warmed:Running"
    else:
        group.ec2_backend.stop_instances([member.instance_id])
        member.lifecycle_state = "Warmed:Stopped"
    if member.activity:
        member.activity.finish("Successful")
        _tell_end(group, member, launch=True)


def suspended(group: Any, process: str) -> bool:
    """Whether a process of the group is suspended."""
    return process in group._suspended_processes


def _replace(group: Any, now: float) -> None:
    """Launch what is missing, end what is too much, and replace what has to be, within its bounds."""
    counting = [each for each in group.instance_states if each.counts]
    replacing = _replacing(group, counting, now)
    due = set(replacing.due) if replacing else set()
    bounds = replacement.limits(
        group.desired_capacity, replacing.least if replacing else 100, replacing.most if replacing else 100
    )
    warm_up = replacing.warm_up if replacing else 0
    by_id = {each.instance_id: each for each in counting}
    order = [
        *(by_id[i] for i in (replacing.due if replacing else ()) if i in by_id),
        *(m for m in counting if m.instance_id not in due),
    ]
    step = replacement.plan(
        group.desired_capacity,
        bounds,
        [replacement.Standing(each.instance_id, each.ready(now, warm_up), each.instance_id in due) for each in order],
    )
    if replacing and not suspended(group, "Terminate"):
        for identifier in step.terminate:
            start_terminating(group, by_id[identifier], f"an instance was taken out of service {replacing.cause}.", now)
    excess = len(counting) - len(due & by_id.keys()) - group.desired_capacity
    if excess > 0:
        _scale_in(group, excess, now, spared=due)
    for _ in range(step.launch):
        if suspended(group, "Launch") or now < getattr(group, "next_launch", 0.0):
            break
        if not _leave_pool(group, now):
            _launch(group, now)


def _replacing(group: Any, counting: Sequence[Member], now: float) -> Replacing | None:
    """An instance refresh comes before unhealthy machines that a maintenance policy lets wait for their successor,
    and these before balance between zones.
    """
    active: Replacing | None = getattr(group, "replacing", None)
    if active and active.due:
        return active
    unhealthy = tuple(each.instance_id for each in counting if each.health_status == UNHEALTHY)
    policy = maintenance_policy(group)
    if policy and unhealthy and not suspended(group, "ReplaceUnhealthy"):
        return Replacing(unhealthy, *policy, 0, "in response to a health check")
    return _rebalancing(group, counting, now)


def _rebalancing(group: Any, counting: Sequence[Member], now: float) -> Replacing | None:
    """One machine at a time moves to a zone with fewer; a new one is there first, a tenth or one above the desired.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html (Rebalancing activities)
    """
    if any(suspended(group, process) for process in ("AZRebalance", "Launch", "Terminate")):
        return None
    ready = [each for each in counting if each.ready(now)]
    if len(counting) < group.desired_capacity or (len(ready) < len(counting) <= group.desired_capacity):
        return None  # what is being launched goes where there are fewest anyway
    movable = [_candidate(each) for each in ready if not each.protected_from_scale_in]
    moving = out_of_balance(movable, group.availability_zones)
    return Replacing((moving,), 100, 110, 0, "to balance the group between Availability Zones") if moving else None


def maintenance_policy(group: Any) -> tuple[int, int] | None:
    """The group's least and most healthy percentages while machines are replaced, if it has such a policy."""
    policy = getattr(group, "instance_maintenance_policy", None)
    return (policy["MinHealthyPercentage"], policy["MaxHealthyPercentage"]) if policy else None


def _actions(group: Any, transition: str, now: float) -> list[lifecycle.Action]:
    hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    return [
        lifecycle.Action(
            hook.name,
            float(hook.heartbeat_timeout),
            hook.default_result,
            now,
            metadata=getattr(hook, "notification_metadata", None),
        )
        for hook in hooks
        if hook.lifecycle_transition == transition
    ]


def _tell(group: Any, member: Member, transition: str, origin: str, destination: str) -> None:
    for action in member.actions:
        events.waits(group, member.instance_id, action, transition, origin, destination)


def _tell_end(group: Any, member: Member, *, launch: bool) -> None:
    origin, destination = (events.EC2, events.GROUP) if launch else (events.GROUP, events.EC2)
    if member.activity:
        events.ended(group, member.instance_id, member.activity, launch=launch, origin=origin, destination=destination)


def _expire(group: Any, member: Member, now: float) -> None:
    for action in list(member.actions):
        if action in member.actions and action.expired(now):
            complete(group, member, action, action.default, now)


def _proceed(group: Any, member: Member) -> None:
    """An instance that is terminated is no member any more; until then its machine shuts down."""
    if member.lifecycle_state != "Terminating:Proceed" or member.instance.state != "terminated":
        return
    group.instance_states.remove(member)
    if member.activity:
        member.activity.finish("Successful")
        _tell_end(group, member, launch=False)


def _check_health(group: Any, member: Member, now: float) -> None:
    """What EC2 says counts after the grace period; that an instance does not run any more, at once.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-check-grace-period.html
    """
    if not member.counts or member not in group.instance_states:
        return
    ended = member.instance.state not in ("pending", "running")
    failed = None if suspended(group, "HealthCheck") else _failed_check(group, member, now)
    if failed:
        member.health_status = UNHEALTHY
    if member.health_status != UNHEALTHY or suspended(group, "ReplaceUnhealthy") or suspended(group, "Terminate"):
        return
    # One that runs may wait for its successor, where the group says so.
    if ended or maintenance_policy(group) is None:
        check = failed or "a user health-check"
        start_terminating(group, member, f"an instance was taken out of service in response to {check}.", now)


def _failed_check(group: Any, member: Member, now: float) -> str | None:
    if member.instance.state not in ("pending", "running"):
        return "an EC2 health check"
    if in_grace(group, member, now):
        return None
    if instances.impaired(member.instance):
        return "an EC2 health check"
    failing = member.lifecycle_state == IN_SERVICE and target_groups.failing(group, member.instance_id)
    return "an ELB system health check failure" if failing else None


def in_grace(group: Any, member: Member, now: float) -> bool:
    """Whether failed health checks don't count yet: from the launch on until some time after it came into service."""
    return member.since is None or now < member.since + (group.health_check_grace_period or 0)


def _scale_in(group: Any, count: int, now: float, spared: set[str]) -> None:
    if suspended(group, "Terminate"):
        return
    removable = {
        each.instance_id: each
        for each in group.instance_states
        if each.counts and not each.protected_from_scale_in and each.instance_id not in spared
    }
    for instance in first_to_go(map(_candidate, removable.values()), count):
        cause = _reason(group) + (
            f"an instance was taken out of service to match the desired capacity of {group.desired_capacity}."
        )
        start_terminating(group, removable[instance], cause, now)


def warm_up(group: Any) -> float:
    """Seconds in service before an instance's load tells anything: the default cooldown where no warm-up is set.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-default-instance-warmup.html
    """
    given = getattr(group, "default_instance_warmup", None)
    return float(group.default_cooldown if given is None else given)


def _reason(group: Any) -> str:
    """Why a policy has set the desired capacity to what it is; nothing when it was not a policy."""
    wanted, said = getattr(group, "reason", (None, ""))
    return f"{said} " if wanted == group.desired_capacity else ""


def _candidate(member: Member) -> Candidate:
    return Candidate(member.instance_id, member.availability_zone, member.version, member.instance.launch_time)


def _launch(group: Any, now: float, *, warm: bool = False) -> bool:
    """Launch a machine, into the group or into its warm pool; returns whether there is one more."""
    subnets = group.ec2_backend.describe_subnets(subnet_ids=group.vpc_zone_identifier.split(","))
    places = [Place(subnet.id, subnet.availability_zone) for subnet in subnets]
    taken = [Place(each.instance.subnet_id, each.availability_zone) for each in group.instance_states if each.counts]
    place = place_next(places, taken)
    cause = f"{_reason(group)}the desired capacity is {group.desired_capacity}."
    activity = record(group, "Launching a new EC2 instance", cause, place.zone, place.subnet)
    try:
        configuration = getattr(group, "configuration", None) or own(group)
        instance, version = launch(group, configuration.template, configuration.version, place.subnet)
    except ServiceException as error:
        log.warning("%s: launch failed: %s", group.name, error)
        activity.finish("Failed", str(error))
        events.ended(group, "", activity, launch=True, origin=events.EC2, destination=events.GROUP)
        group.next_launch = now + REPLACEMENT_PAUSE
        return False
    activity.description = f"Launching a new EC2 instance: {instance.id}"
    member = Member(
        instance,
        lifecycle_state="Warmed:Pending" if warm else PENDING,
        protected_from_scale_in=group.new_instances_protected_from_scale_in,
        autoscaling_group=group,
    )
    member.template = (configuration.template.id, configuration.template.name, version)
    member.activity = activity
    group.instance_states.append(member)
    _wait_or_enter(group, member, now, events.EC2, events.WARM_POOL if warm else events.GROUP)
    return True
