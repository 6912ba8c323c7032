"""Auto Scaling groups at work: launches, lifecycle hooks, replacements and scale-in on moto's groups.

moto keeps the groups and starts EC2 instances at once; here each group is brought step by step from what it has to what
it wants, as AWS does. The caller holds the API's lock.
"""

import logging
from collections.abc import Iterator
from typing import Any

from moto.autoscaling import models
from moto.core.exceptions import ServiceException
from moto.core.utils import utcnow

from lab.api import instances, lifecycle, target_groups
from lab.api.balance import Candidate, Place, first_to_go, place_next
from lab.api.launch import launch

log = logging.getLogger(__name__)

REPLACEMENT_PAUSE = 3.0
"""Seconds until the next launch after one that failed or was abandoned: a broken image must not spin."""

ACTIVITIES_KEPT = 200

PENDING, IN_SERVICE, STANDBY = "Pending", "InService", "Standby"
LEAVING = ("Terminating", "Terminating:Wait", "Terminating:Proceed")


class Member(models.InstanceState):
    """One instance of a group, with the lifecycle actions that it waits for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actions: list[lifecycle.Action] = []
        self.activity: models.Activity | None = None
        self.launched_version: int | None = None

    @property
    def launch_template(self) -> dict[str, Any] | None:
        """The version that the instance was launched from; moto shows the template's default one."""
        shown = super().launch_template
        return shown if shown is None or self.launched_version is None else shown | {"Version": self.launched_version}

    @property
    def counts(self) -> bool:
        """Whether it is part of the desired capacity."""
        return self.lifecycle_state not in (*LEAVING, STANDBY)


def groups() -> Iterator[Any]:
    """Every group of every account and region."""
    for account in list(models.autoscaling_backends.values()):
        for backend in list(account.values()):
            yield from list(backend.autoscaling_groups.values())


def reconcile(group: Any, now: float) -> bool:
    """Take the group a step towards what it wants; returns whether anything changed."""
    before = [(member.instance_id, member.lifecycle_state) for member in group.instance_states]
    for member in list(group.instance_states):
        _expire(group, member, now)
        _check_health(group, member, now)
    missing = group.desired_capacity - sum(member.counts for member in group.instance_states)
    if missing < 0:
        _scale_in(group, -missing, now)
    for _ in range(missing):
        if _suspended(group, "Launch") or now < getattr(group, "next_launch", 0.0):
            break
        _launch(group, now)
    return before != [(member.instance_id, member.lifecycle_state) for member in group.instance_states]


def start_terminating(group: Any, member: Member, cause: str, now: float) -> models.Activity:
    """Begin an instance's way out; without a hook it is terminated at once."""
    if member.activity and member.activity.status_code == "MidLifecycleAction":
        _finish(member.activity, "Cancelled")
    member.activity = record(group, f"Terminating EC2 instance: {member.instance_id}", cause)
    member.lifecycle_state = "Terminating"
    target_groups.leave(group, member.instance_id)
    member.actions = _actions(group, lifecycle.TERMINATING, now)
    if member.actions:
        member.lifecycle_state = "Terminating:Wait"
        member.activity.status_code = "MidLifecycleAction"
    else:
        terminate(group, member)
    return member.activity


def terminate(group: Any, member: Member) -> None:
    """End an instance that nothing waits for any more."""
    member.actions = []
    group.instance_states.remove(member)
    if member.instance.state != "terminated":
        group.ec2_backend.terminate_instances([member.instance_id])
    if member.activity:
        _finish(member.activity, "Successful")


def complete(group: Any, member: Member, action: lifecycle.Action, result: str, now: float) -> None:
    """A lifecycle action has its result, given by a caller or by default."""
    member.actions.remove(action)
    if member.lifecycle_state == "Pending:Wait" and result == lifecycle.ABANDON:
        if member.activity:
            _finish(
                member.activity,
                "Cancelled",
                "Instance failed to complete user's Lifecycle Action: "
                f"Lifecycle Action with token {action.token} was abandoned: {result} by hook {action.hook}",
            )
        group.next_launch = now + REPLACEMENT_PAUSE
        cause = f"instance {member.instance_id} was abandoned by lifecycle hook {action.hook}."
        member.activity = record(group, f"Terminating EC2 instance: {member.instance_id}", cause)
        terminate(group, member)
    elif member.lifecycle_state == "Terminating:Wait" and (result == lifecycle.ABANDON or not member.actions):
        terminate(group, member)
    elif not member.actions:
        _enter_service(group, member)
        if member.activity:
            _finish(member.activity, "Successful")


def record(group: Any, description: str, cause: str) -> models.Activity:
    """Begin an activity in the group's history, newest first."""
    started = utcnow()
    activity = models.Activity(description, f"At {started:%Y-%m-%dT%H:%M:%SZ} {cause}", group, start_time=started)
    activity.end_time = None  # pyright: ignore[reportAttributeAccessIssue] - moto ends each activity at its start
    history(group).insert(0, activity)
    del history(group)[ACTIVITIES_KEPT:]
    return activity


def history(group: Any) -> list[models.Activity]:
    """The group's activities, newest first."""
    if not hasattr(group, "activities"):
        group.activities = []
    return group.activities


def _finish(activity: models.Activity, status: str, message: str | None = None) -> None:
    activity.status_code = status
    activity.progress = 100
    activity.end_time = utcnow()
    if message:
        activity.status_message = message  # pyright: ignore[reportAttributeAccessIssue] - moto's has no such field


def _actions(group: Any, transition: str, now: float) -> list[lifecycle.Action]:
    hooks = group.autoscaling_backend.describe_lifecycle_hooks(group.name)
    return [
        lifecycle.Action(hook.name, float(hook.heartbeat_timeout), hook.default_result, now)
        for hook in hooks
        if hook.lifecycle_transition == transition
    ]


def _expire(group: Any, member: Member, now: float) -> None:
    for action in list(member.actions):
        if action in member.actions and action.expired(now):
            complete(group, member, action, action.default, now)


def _check_health(group: Any, member: Member, now: float) -> None:
    if not member.counts or member not in group.instance_states:
        return
    failing = member.instance.state != "running" or instances.impaired(member.instance)
    if failing and not _suspended(group, "HealthCheck"):
        member.health_status = "Unhealthy"
    if member.health_status == "Unhealthy" and not _suspended(group, "ReplaceUnhealthy"):
        check = "an EC2 health check" if failing else "a user health-check"
        start_terminating(group, member, f"an instance was taken out of service in response to {check}.", now)


def _scale_in(group: Any, count: int, now: float) -> None:
    if _suspended(group, "Terminate"):
        return
    removable = {m.instance_id: m for m in group.instance_states if m.counts and not m.protected_from_scale_in}
    candidates = [
        Candidate(m.instance_id, m.availability_zone, m.launched_version or 0, m.instance.launch_time)
        for m in removable.values()
    ]
    for instance in first_to_go(candidates, count):
        cause = f"an instance was taken out of service to match the desired capacity of {group.desired_capacity}."
        start_terminating(group, removable[instance], cause, now)


def _launch(group: Any, now: float) -> None:
    subnets = group.ec2_backend.describe_subnets(subnet_ids=group.vpc_zone_identifier.split(","))
    places = [Place(subnet.id, subnet.availability_zone) for subnet in subnets]
    taken = [Place(m.instance.subnet_id, m.availability_zone) for m in group.instance_states if m.counts]
    activity = record(group, "Launching a new EC2 instance", f"the desired capacity is {group.desired_capacity}.")
    try:
        instance, version = launch(group, place_next(places, taken).subnet)
    except ServiceException as error:
        log.warning("%s: launch failed: %s", group.name, error)
        _finish(activity, "Failed", str(error))
        group.next_launch = now + REPLACEMENT_PAUSE
        return
    activity.description = f"Launching a new EC2 instance: {instance.id}"
    member = Member(
        instance,
        lifecycle_state=PENDING,
        protected_from_scale_in=group.new_instances_protected_from_scale_in,
        autoscaling_group=group,
    )
    member.launched_version, member.activity = version, activity
    member.actions = _actions(group, lifecycle.LAUNCHING, now)
    group.instance_states.append(member)
    if member.actions:
        member.lifecycle_state = "Pending:Wait"
        activity.status_code = "MidLifecycleAction"
    else:
        _enter_service(group, member)
        _finish(activity, "Successful")


def _enter_service(group: Any, member: Member) -> None:
    target_groups.join(group, member.instance_id)
    member.lifecycle_state = IN_SERVICE


def _suspended(group: Any, process: str) -> bool:
    return any(suspended["ProcessName"] == process for suspended in group.suspended_processes)
