"""Scheduled scaling in Auto Scaling's API; when an action is due is in schedule.py.

Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScheduledUpdateGroupAction.html
"""

import logging
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend
from moto.core.exceptions import ServiceException

from lab.api import groups
from lab.api.patching import around, instead
from lab.api.schedule import Schedule, ScheduleError

log = logging.getLogger(__name__)


def install() -> None:
    """Change moto's scheduled actions. Once a process, before the first request."""
    around(AutoScalingBackend, "put_scheduled_update_group_action", _put)
    instead(AutoScalingBackend, "delete_scheduled_action", _delete)


def run(group: Any, now: datetime) -> bool:
    """Do what has become due since the last call; returns whether there was anything."""
    since, group.schedules_done = getattr(group, "schedules_done", now), now
    actions = group.autoscaling_backend.scheduled_actions
    if not actions:
        return False
    mine = [(key, action) for key, action in actions.items() if action.auto_scaling_group_name == group.name]
    done = False
    for key, action in mine:
        if not _schedule(action).due(since, now):
            continue
        # A time that passes while they are suspended is not made up for.
        if not groups.suspended(group, "ScheduledActions"):
            _apply(group, action)
            done = True
        if action.recurrence is None:
            del actions[key]
    return done


def forget(backend: Any, group: str) -> None:
    """A group that is deleted has no actions."""
    for key in [key for key, action in backend.scheduled_actions.items() if action.auto_scaling_group_name == group]:
        del backend.scheduled_actions[key]


def _apply(group: Any, action: Any) -> None:
    sizes = {"min_size": action.min_size, "max_size": action.max_size, "desired_capacity": action.desired_capacity}
    low = group.min_size if action.min_size is None else action.min_size
    high = group.max_size if action.max_size is None else action.max_size
    wanted = group.desired_capacity if action.desired_capacity is None else action.desired_capacity
    sizes["desired_capacity"] = min(max(wanted, low), high)
    try:
        group.update(
            availability_zones=[],
            launch_config_name=None,
            launch_template={},
            vpc_zone_identifier=group.vpc_zone_identifier,
            health_check_period=None,
            health_check_type=None,
            **sizes,
        )
    except ServiceException:
        log.exception("%s: the scheduled action %s can't be done", group.name, action.scheduled_action_name)


def _put(original: Any, backend: Any, name: str, **given: Any) -> Any:
    """An action's name is its group's: moto knows one of a name, and a second group would take it over."""
    groups.named(backend, name)
    if all(given.get(size) is None for size in ("desired_capacity", "max_size", "min_size")):
        raise ValidationError("At least one of MinSize, MaxSize, or DesiredCapacity must be specified")
    others, backend.scheduled_actions = backend.scheduled_actions, {}
    try:
        action = original(backend, name, **given)
    finally:
        backend.scheduled_actions = others
    schedule = _schedule(action)
    if schedule.recurrence is not None:
        try:
            schedule.check()
        except ScheduleError as error:
            raise ValidationError(str(error)) from None
    elif schedule.start is None:
        raise ValidationError("StartTime or Recurrence must be specified")
    elif schedule.start <= datetime.now(UTC):
        raise ValidationError("Given start time is in the past")
    action.scheduled_action_arn = (
        f"arn:aws:autoscaling:{backend.region_name}:{backend.account_id}:scheduledUpdateGroupAction:"
        f"autoScalingGroupName/{name}:scheduledActionName/{action.scheduled_action_name}"
    )
    others[name, action.scheduled_action_name] = action
    return action


def _delete(backend: Any, auto_scaling_group_name: str, scheduled_action_name: str) -> None:
    if backend.scheduled_actions.pop((auto_scaling_group_name, scheduled_action_name), None) is None:
        raise ValidationError(f"ScheduledAction name not found - {scheduled_action_name}")


def _schedule(action: Any) -> Schedule:
    return Schedule(_time(action.start_time), _time(action.end_time), action.recurrence, action.time_zone)


def _time(given: Any) -> datetime | None:
    if given is None:
        return None
    found = given if isinstance(given, datetime) else datetime.fromisoformat(str(given).replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)
