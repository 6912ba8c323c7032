"""Instance refreshes in Auto Scaling's API; how one goes on is in refresh.py.

Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_StartInstanceRefresh.html
"""

import time
from dataclasses import dataclass
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from lab.api import events, groups, refresh
from lab.api.members import IN_SERVICE, LEAVING, RESTING, Member
from lab.api.patching import add
from lab.api.refresh import Machine, Preferences, Refresh

KEPT = 100
MOVING_VERSIONS = ("$Latest", "$Default", None)

EVENTS = {
    refresh.IN_PROGRESS: "EC2 Auto Scaling Instance Refresh Started",
    refresh.SUCCESSFUL: "EC2 Auto Scaling Instance Refresh Succeeded",
    refresh.FAILED: "EC2 Auto Scaling Instance Refresh Failed",
    refresh.CANCELLED: "EC2 Auto Scaling Instance Refresh Cancelled",
    refresh.ROLLING_BACK: "EC2 Auto Scaling Instance Refresh Rollback Started",
    refresh.ROLLED_BACK: "EC2 Auto Scaling Instance Refresh Rollback Succeeded",
    refresh.ROLLBACK_FAILED: "EC2 Auto Scaling Instance Refresh Rollback Failed",
    "CheckpointReached": "EC2 Auto Scaling Instance Refresh Checkpoint Reached",
}


@dataclass
class Record:
    """A refresh as the API's callers know it. `asked` is its desired configuration, None for the group's own."""

    refresh: Refresh
    asked: dict[str, Any] | None
    configuration: groups.Configuration | None
    started: Any
    ended: Any = None
    rolled_back: Any = None


def install() -> None:
    """Give moto's Auto Scaling the calls. Once a process, before the first request."""
    add(AutoScalingResponse, "start_instance_refresh", _start)
    add(AutoScalingResponse, "cancel_instance_refresh", _cancel)
    add(AutoScalingResponse, "rollback_instance_refresh", _roll_back)
    add(AutoScalingResponse, "describe_instance_refreshes", _describe)


def advance(group: Any, now: float) -> bool:
    """Take the group's refresh a step further; returns whether its status changed."""
    record = _active(group)
    if record is None:
        return False
    current, before = record.refresh, record.refresh.status
    for name in current.advance(
        group.desired_capacity, _machines(group, current.preferences, now), _alarm(group, current), now
    ):
        if name in EVENTS:
            events.send(group, EVENTS[name], {"InstanceRefreshId": current.id, **_checkpoint(name, current)})
    if current.status != before:
        _take_over(group, record)
    _ask(group, record, now)
    return current.status != before


def _ask(group: Any, record: Record, now: float) -> None:
    """What the group's next step has to replace, and between which bounds."""
    current = record.refresh
    machines = _machines(group, current.preferences, now)
    group.replacing = groups.Replacing(
        due=tuple(current.due(group.desired_capacity, machines)),
        least=current.preferences.least,
        most=current.preferences.most,
        warm_up=current.preferences.warm_up,
        cause=f"in response to instance refresh {current.id}",
    )
    for identifier in current.standby_due(machines):
        member = next(each for each in group.instance_states if each.instance_id == identifier)
        cause = f"an instance was taken out of service in response to instance refresh {current.id}."
        groups.start_terminating(group, member, cause, now)


def _take_over(group: Any, record: Record) -> None:
    """The group has the desired configuration of a refresh that succeeded; new machines follow it from its start on."""
    current = record.refresh
    group.configuration = record.configuration if current.forward else None
    if current.status == refresh.ROLLING_BACK:
        record.rolled_back = utcnow()
    if current.active:
        return
    record.ended, group.replacing = utcnow(), None
    if current.status == refresh.SUCCESSFUL and record.configuration:
        template, version = record.configuration.template, record.configuration.version
        group.ec2_launch_template = template
        group.launch_template_version = group.provided_launch_template_version = version


def _machines(group: Any, preferences: Preferences, now: float) -> list[Machine]:
    own = groups.own(group).identity
    return [_machine(member, own, preferences.warm_up, now) for member in groups.in_order_of_going(group)]


def _machine(member: Member, own: Any, warm_up: float, now: float) -> Machine:
    ready = member.ready(now, warm_up)
    leaving = member.lifecycle_state in LEAVING
    return Machine(
        id=member.instance_id,
        counts=member.counts,
        ready=ready,
        moving=leaving or (member.counts and member.lifecycle_state != IN_SERVICE),
        standby=member.lifecycle_state in RESTING,
        protected=bool(member.protected_from_scale_in),
        own=member.template is not None and (member.template[0], member.template[2]) == own,
    )


def _alarm(group: Any, current: Refresh) -> str | None:
    """The first of its alarms that is raised."""
    alarms = cloudwatch_backends[group.account_id][group.region].alarms if current.preferences.alarms else {}
    raised = (name for name in current.preferences.alarms if name in alarms and alarms[name].state_value == "ALARM")
    return next(raised, None)


def _checkpoint(name: str, current: Refresh) -> dict[str, Any]:
    return {"PercentageComplete": str(current.percent)} if name == "CheckpointReached" else {}


def _start(response: Any) -> ActionResult:
    asked = response._get_params()
    group = groups.named(response.autoscaling_backend, asked["AutoScalingGroupName"])
    if asked.get("Strategy", "Rolling") != "Rolling":
        raise ValidationError(f"The lab knows the strategy Rolling alone, and not {asked['Strategy']}")
    if _active(group):
        message = "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."
        raise AutoscalingClientError("InstanceRefreshInProgress", message)
    desired = asked.get("DesiredConfiguration")
    configuration = _configuration(group, desired)
    preferences = _preferences(group, asked.get("Preferences", {}), desired)
    now = time.monotonic()
    wanted = (configuration or groups.own(group)).identity
    matching = {
        member.instance_id
        for member in group.instance_states
        if member.template and (member.template[0], member.template[2]) == wanted
    }
    old = {
        machine.id
        for machine in _machines(group, preferences, now)
        if refresh.in_scope(machine, preferences) and not (preferences.skip_matching and machine.id in matching)
    }
    reversible = bool(desired) and desired["LaunchTemplate"].get("Version") not in MOVING_VERSIONS
    record = Record(Refresh(preferences, old, now, reversible), desired, configuration, utcnow())
    records(group).insert(0, record)
    del records(group)[KEPT:]
    group.configuration = configuration
    return ActionResult({"InstanceRefreshId": record.refresh.id})


def _configuration(group: Any, desired: dict[str, Any] | None) -> groups.Configuration | None:
    if desired is None:
        return None
    if "LaunchTemplate" not in desired:
        raise ValidationError("The lab knows a desired configuration with LaunchTemplate alone")
    named = desired["LaunchTemplate"]
    if "LaunchTemplateId" in named:
        template = group.ec2_backend.get_launch_template(named["LaunchTemplateId"])
    else:
        template = group.ec2_backend.get_launch_template_by_name(named["LaunchTemplateName"])
    version = named.get("Version") or "$Default"
    try:
        template.get_version(version)
    except (IndexError, KeyError, ValueError):
        message = f"You must use a valid fully-formed launch template. Could not find launch template version {version}"
        raise ValidationError(message) from None
    return groups.Configuration(template, version)


def _preferences(group: Any, asked: dict[str, Any], desired: dict[str, Any] | None) -> Preferences:
    policy = getattr(group, "instance_maintenance_policy", None) or {}
    least = asked.get("MinHealthyPercentage", policy.get("MinHealthyPercentage", 90))
    most = asked.get(
        "MaxHealthyPercentage", 100 if "MinHealthyPercentage" in asked else policy.get("MaxHealthyPercentage", 100)
    )
    if not 0 <= least <= 100:
        raise ValidationError(f"MinHealthyPercentage must be from 0 to 100, and is {least}")
    if not 100 <= most <= 200:
        raise ValidationError(f"MaxHealthyPercentage must be from 100 to 200, and is {most}")
    if "MaxHealthyPercentage" in asked and "MinHealthyPercentage" not in asked:
        raise ValidationError("MaxHealthyPercentage must be given together with MinHealthyPercentage")
    if "MaxHealthyPercentage" in asked and most - least > 100:
        raise ValidationError("The difference between MinHealthyPercentage and MaxHealthyPercentage cannot exceed 100")
    points = tuple(asked.get("CheckpointPercentages", ()))
    if list(points) != sorted(set(points)) or any(not 1 <= point <= 100 for point in points):
        raise ValidationError(f"CheckpointPercentages must ascend from 1 to 100, and are {list(points)}")
    if asked.get("CheckpointDelay") is not None and not points:
        raise ValidationError("CheckpointDelay must be given together with CheckpointPercentages")
    version = (desired or {}).get("LaunchTemplate", {}).get("Version")
    if asked.get("AutoRollback") and version in MOVING_VERSIONS:
        raise ValidationError("AutoRollback needs a DesiredConfiguration with a launch template version by number")
    warm_up = asked.get("InstanceWarmup")
    if warm_up is None:
        warm_up = getattr(group, "default_instance_warmup", None)
    if warm_up is None:
        warm_up = group.health_check_grace_period
    return Preferences(
        least=least,
        most=most,
        warm_up=float(warm_up),
        checkpoints=points,
        checkpoint_delay=float(asked.get("CheckpointDelay", 3600)),
        skip_matching=bool(asked.get("SkipMatching", False)),
        auto_rollback=bool(asked.get("AutoRollback", False)),
        protected=asked.get("ScaleInProtectedInstances", "Wait"),
        standby=asked.get("StandbyInstances", "Wait"),
        alarms=tuple(asked.get("AlarmSpecification", {}).get("Alarms", ())),
        bake=float(asked.get("BakeTime", 0)),
    )


def _cancel(response: Any) -> ActionResult:
    record = _required(response)
    record.refresh.cancel(waits=response._get_bool_param("WaitForTransitioningInstances", True))
    group = groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    _take_over(group, record)
    return ActionResult({"InstanceRefreshId": record.refresh.id})


def _roll_back(response: Any) -> ActionResult:
    record = _required(response)
    group = groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    if not record.refresh.forward:
        message = "There is no in progress instance refresh that can be rolled back."
        raise AutoscalingClientError("ActiveInstanceRefreshNotFound", message)
    if not record.refresh.reversible:
        message = "The instance refresh has no desired configuration, or one without a version by number."
        raise AutoscalingClientError("IrreversibleInstanceRefresh", message)
    now = time.monotonic()
    machines = _machines(group, record.refresh.preferences, now)
    record.refresh.roll_back("Rollback requested by user.", machines, now)
    events.send(group, EVENTS[refresh.ROLLING_BACK], {"InstanceRefreshId": record.refresh.id})
    _take_over(group, record)
    return ActionResult({"InstanceRefreshId": record.refresh.id})


def _describe(response: Any) -> ActionResult:
    asked = response._get_params()
    group = groups.named(response.autoscaling_backend, asked["AutoScalingGroupName"])
    wanted = asked.get("InstanceRefreshIds", [])
    found = [record for record in records(group) if not wanted or record.refresh.id in wanted]
    page, token = groups.page(found, asked.get("NextToken"), asked.get("MaxRecords") or 50)
    return ActionResult({"InstanceRefreshes": [_shown(group, record) for record in page], "NextToken": token})


def _shown(group: Any, record: Record) -> dict[str, Any]:
    current = record.refresh
    shown: dict[str, Any] = {
        "InstanceRefreshId": current.id,
        "AutoScalingGroupName": group.name,
        "Status": current.status,
        "StatusReason": current.reason,
        "StartTime": record.started,
        "EndTime": record.ended,
        "PercentageComplete": current.percent,
        "InstancesToUpdate": current.to_update,
        "ProgressDetails": {
            "LivePoolProgress": {"PercentageComplete": current.percent, "InstancesToUpdate": current.to_update}
        },
        "Preferences": current.preferences.described(),
        "DesiredConfiguration": record.asked,
        "Strategy": "Rolling",
    }
    if current.before_rollback:
        reason, percent, left = current.before_rollback
        shown["RollbackDetails"] = {
            "RollbackReason": reason,
            "RollbackStartTime": record.rolled_back,
            "PercentageCompleteOnRollback": percent,
            "InstancesToUpdateOnRollback": left,
        }
    return shown


def records(group: Any) -> list[Record]:
    """The group's refreshes, newest first."""
    if not hasattr(group, "refreshes"):
        group.refreshes = []
    return group.refreshes


def _active(group: Any) -> Record | None:
    newest = next(iter(records(group)), None)
    return newest if newest and newest.refresh.active else None


def _required(response: Any) -> Record:
    group = groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    record = _active(group)
    if record is None or record.refresh.status == refresh.CANCELLING:
        message = "No in progress or pending Instance Refresh found for Auto Scaling group " + group.name
        raise AutoscalingClientError("ActiveInstanceRefreshNotFound", message)
    return record
