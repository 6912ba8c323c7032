"""Auto Scaling as AWS has it, on moto's groups: see groups.py for what the groups do; here are the API's actions."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling import models, responses
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from lab.api import groups, lifecycle, policies, refreshes, schedules, target_groups, warm_pools
from lab.api.activities import history
from lab.api.members import Member
from lab.api.patching import add, around, instead

log = logging.getLogger(__name__)

Group = models.FakeAutoScalingGroup
Backend = models.AutoScalingBackend
Response = responses.AutoScalingResponse

STEPS_AT_ONCE = 5
DELETING = "Delete in progress"


def install() -> None:
    """Change moto's Auto Scaling. Once a process, before the first request."""
    instead(models, "InstanceState", Member)
    instead(Group, "set_desired_capacity", _record_desired)
    around(Group, "update", _update_group)
    instead(Backend, "terminate_instance", _terminate_instance)
    instead(
        Backend, "notify_terminate_instances", lambda _self, _instance_ids: None
    )  # the next step's health check sees it
    instead(Backend, "update_attached_target_groups", target_groups.attach)
    around(Backend, "set_desired_capacity", _set_desired_capacity)
    around(Backend, "put_scaling_policy", _keep_policy)
    around(Response, "create_auto_scaling_group", _create_group)
    around(Response, "update_auto_scaling_group", _update_settings)
    instead(Response, "delete_auto_scaling_group", _delete_group)
    around(Response, "put_lifecycle_hook", _put_hook)
    around(Response, "delete_lifecycle_hook", _delete_hook)
    around(Response, "put_scaling_policy", _put_policy)
    instead(Response, "delete_policy", _delete_policy)
    instead(Response, "execute_policy", _execute_policy)
    instead(Response, "describe_scaling_activities", _describe_activities)
    add(Response, "complete_lifecycle_action", _complete_action)
    add(Response, "record_lifecycle_action_heartbeat", _heartbeat)


def step() -> bool:
    """Take every group a step; returns whether anything changed. The caller holds the API's lock."""
    now = time.monotonic()
    return sum(_settle(group, now) for group in groups.groups()) > 0


def _settle(group: Any, now: float) -> bool:
    """What one step makes possible is done by the next; the clock does what is left after a few."""
    steps = 0
    while steps < STEPS_AT_ONCE and _step(group, now):
        steps += 1
    return steps > 0


def _step(group: Any, now: float) -> bool:
    try:
        changed = schedules.run(group, datetime.now(UTC))
        changed |= policies.run(group, now, time.time())
        changed |= refreshes.advance(group, now)
        changed |= groups.reconcile(group, now)
        changed |= warm_pools.reconcile(group, now)
        if getattr(group, "status", None) == DELETING and not group.instance_states:
            _remove(group.autoscaling_backend, group.name)
    except Exception:
        # A bad group must not stop the others, nor the call after which they are looked at.
        log.exception("%s: the step failed", group.name)
        return False
    return changed


def _record_desired(group: Any, wanted: int | None) -> None:
    """moto starts and ends instances right here; the next step does, when the group is known and has its hooks."""
    group.desired_capacity = group.min_size if wanted is None else wanted


def _set_desired_capacity(original: Any, backend: Any, group_name: str, wanted: int) -> None:
    group = groups.named(backend, group_name)
    for above, bound, word in ((True, group.max_size, "above max"), (False, group.min_size, "below min")):
        if (wanted > bound) if above else (wanted < bound):
            message = f"New SetDesiredCapacity value {wanted} is {word} value {bound} for the AutoScalingGroup."
            raise ValidationError(message)
    original(backend, group_name, wanted)


def _update_group(original: Any, group: Any, **changes: Any) -> None:
    low = group.min_size if changes.get("min_size") is None else changes["min_size"]
    high = group.max_size if changes.get("max_size") is None else changes["max_size"]
    wanted = changes.get("desired_capacity")
    _check_sizes(low, high, wanted)
    kept = min(max(group.desired_capacity, low), high)
    original(group, **changes | {"desired_capacity": kept if wanted is None else wanted})


def _create_group(original: Any, response: Any) -> Any:
    params = response._get_params()
    name = params["AutoScalingGroupName"]
    if name in response.autoscaling_backend.autoscaling_groups:
        message = f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
        raise AutoscalingClientError("AlreadyExists", message)
    _check_sizes(params["MinSize"], params["MaxSize"], params.get("DesiredCapacity"))
    _check_maintenance_policy(params.get("InstanceMaintenancePolicy"))
    result = original(response)
    group = response.autoscaling_backend.autoscaling_groups[name]
    group.health_check_grace_period = params.get("HealthCheckGracePeriod", 0)
    _set_settings(response, group)
    _set_maintenance_policy(response)
    for hook in params.get("LifecycleHookSpecificationList", []):
        _add_hook(response.autoscaling_backend, name, hook)
    return result


def _update_settings(original: Any, response: Any) -> Any:
    group = groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    _check_maintenance_policy(response._get_params().get("InstanceMaintenancePolicy"))
    result = original(response)
    _set_settings(response, group)
    _set_maintenance_policy(response)
    return result


def _set_settings(response: Any, group: Any) -> None:
    """What moto drops or makes up. -1 takes a warm-up away.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """
    warm_up = response._get_int_param("DefaultInstanceWarmup")
    if warm_up is not None:
        group.default_instance_warmup = None if warm_up == -1 else warm_up
    if (policies := response._get_param("TerminationPolicies")) is not None:
        group.termination_policies = policies or ["Default"]


def _set_maintenance_policy(response: Any) -> None:
    """moto drops it. -1 and -1 take it away."""
    if given := response._get_params().get("InstanceMaintenancePolicy"):
        group = response.autoscaling_backend.autoscaling_groups[response._get_param("AutoScalingGroupName")]
        group.instance_maintenance_policy = None if -1 in given.values() else given


def _check_maintenance_policy(given: dict[str, int] | None) -> None:
    """Refuse what AWS does.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstanceMaintenancePolicy.html
    """
    if not given:
        return
    low, high = given.get("MinHealthyPercentage"), given.get("MaxHealthyPercentage")
    if low is None or high is None:
        raise ValidationError("MinHealthyPercentage and MaxHealthyPercentage must be specified together.")
    if (low, high) != (-1, -1) and not (0 <= low <= 100 <= high <= min(200, low + 100)):
        raise ValidationError(
            f"MinHealthyPercentage {low} must be from 0 to 100, MaxHealthyPercentage {high} from 100 to 200, "
            "and the difference between them at most 100."
        )


def _check_sizes(low: int, high: int, wanted: int | None) -> None:
    if low > high:
        raise ValidationError(f"Max bound, {high}, must be greater than or equal to min bound, {low}")
    if wanted is not None and not low <= wanted <= high:
        message = f"Desired capacity:{wanted} must be between the specified min size:{low} and max size:{high}"
        raise ValidationError(message)


def _delete_group(response: Any) -> Any:
    backend, name = response.autoscaling_backend, response._get_param("AutoScalingGroupName")
    group = groups.named(backend, name)
    if group.instance_states and not response._get_bool_param("ForceDelete", False):
        message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s)"
        raise AutoscalingClientError("ResourceInUse", f"{message} still in the group.")
    group.status, group.desired_capacity, group.min_size = DELETING, 0, 0
    for member in list(group.instance_states):
        groups.terminate(group, member)
    if not group.instance_states:
        _remove(backend, name)
    return EmptyResult()


def _remove(backend: Any, name: str) -> None:
    """Once its machines are gone, a group that was deleted is."""
    for hook in backend.describe_lifecycle_hooks(name):
        backend.delete_lifecycle_hook(name, hook.name)
    for policy in backend.describe_policies(autoscaling_group_name=name):
        backend.delete_policy((name, policy.name))
    schedules.forget(backend, name)
    del backend.autoscaling_groups[name]


def _put_hook(original: Any, response: Any) -> Any:
    groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    result = original(response)
    params = response._get_params()
    _complete_hook(response.autoscaling_backend, params["AutoScalingGroupName"], params)
    return result


def _add_hook(backend: Any, group_name: str, hook: dict[str, Any]) -> None:
    backend.create_lifecycle_hook(
        hook["LifecycleHookName"],
        group_name,
        hook["LifecycleTransition"],
        hook.get("HeartbeatTimeout"),
        hook.get("DefaultResult"),
    )
    _complete_hook(backend, group_name, hook)


def _complete_hook(backend: Any, group_name: str, given: dict[str, Any]) -> None:
    """What moto drops, or makes up."""
    hook = backend.describe_lifecycle_hooks(group_name, [given["LifecycleHookName"]])[0]
    hook.notification_target_arn = given.get("NotificationTargetARN")
    hook.role_arn = given.get("RoleARN")
    hook.notification_metadata = given.get("NotificationMetadata")
    hook.global_timeout = int(min(lifecycle.LONGEST_WAIT, 100 * hook.heartbeat_timeout))


def _delete_hook(original: Any, response: Any) -> Any:
    """Outstanding actions end with the hook: launches are abandoned, terminations go on."""
    group = groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    for member in list(group.instance_states):
        result = lifecycle.ABANDON if member.lifecycle_state == "Pending:Wait" else lifecycle.CONTINUE
        for action in [a for a in member.actions if a.hook == response._get_param("LifecycleHookName")]:
            groups.complete(group, member, action, result, time.monotonic())
    return original(response)


def _put_policy(original: Any, response: Any) -> Any:
    groups.named(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    enabled = response._get_bool_param("Enabled", True)
    if response._get_param("PolicyType") == policies.TRACKING:
        policies.check(response._get_params().get("TargetTrackingConfiguration"))
    result = original(response).result
    policy = _policy(response)
    # moto forgets the one, and tells the other of policies that have none.
    policy.enabled = enabled
    policy.predictive_scaling_configuration = policy.predictive_scaling_configuration or None
    # moto calls it PolicyArn, which no SDK knows.
    return ActionResult({"PolicyARN": result["PolicyArn"], "Alarms": []})


def _keep_policy(original: Any, backend: Any, name: str, *arguments: Any, **named: Any) -> Any:
    """A policy's name is its group's: moto knows one policy of a name, and a second group would take it over.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScalingPolicy.html
    """
    others, backend.policies = backend.policies, {}
    try:
        policy = original(backend, name, *arguments, **named)
    finally:
        backend.policies = others
    backend.policies[policy.auto_scaling_group_name, name] = policy
    return policy


def _delete_policy(response: Any) -> Any:
    policy = _policy(response)
    response.autoscaling_backend.delete_policy((policy.auto_scaling_group_name, policy.name))
    return EmptyResult()


def _execute_policy(response: Any) -> Any:
    _policy(response).execute()
    return EmptyResult()


def _policy(response: Any) -> Any:
    """The policy that a request names: by its ARN, or by its group's name and its own."""
    group, name = response._get_param("AutoScalingGroupName"), response._get_param("PolicyName")
    for policy in response.autoscaling_backend.describe_policies(autoscaling_group_name=group):
        if name in (policy.name, policy.arn):
            return policy
    raise ValidationError(f"PolicyName '{name}' not found")


def _terminate_instance(backend: Any, instance_id: str, should_decrement: bool) -> Any:
    group, member = groups.member(backend, instance_id)
    if should_decrement:
        if group.desired_capacity - 1 < group.min_size:
            message = (
                f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without replacement"
            )
            raise ValidationError(f"{message} will violate group's min size constraint.")
        group.desired_capacity -= 1
    cause = f"instance {instance_id} was taken out of service in response to a user request."
    return groups.start_terminating(group, member, cause, time.monotonic())


def _complete_action(response: Any) -> Any:
    group, member, action = _action(response)
    result = response._get_param("LifecycleActionResult")
    if result not in (lifecycle.CONTINUE, lifecycle.ABANDON):
        raise ValidationError(f"Lifecycle action result {result} is neither CONTINUE nor ABANDON")
    groups.complete(group, member, action, result, time.monotonic())
    return EmptyResult()


def _heartbeat(response: Any) -> Any:
    _action(response)[2].beat(time.monotonic())
    return EmptyResult()


def _action(response: Any) -> tuple[Any, Member, lifecycle.Action]:
    """The outstanding action that a request names by instance, or by the action's token."""
    params = response._get_params()
    group = groups.named(response.autoscaling_backend, params["AutoScalingGroupName"])
    instance, token = params.get("InstanceId"), params.get("LifecycleActionToken")
    for member in group.instance_states:
        for action in member.actions:
            named = action.token == token if token else member.instance_id == instance
            if named and action.hook == params["LifecycleHookName"]:
                return group, member, action
    raise ValidationError(
        f"No active Lifecycle Action found with {'token' if token else 'instance ID'} {token or instance}"
    )


def _describe_activities(response: Any) -> Any:
    params = response._get_params()
    name, wanted = params.get("AutoScalingGroupName"), params.get("ActivityIds", [])
    backend = response.autoscaling_backend
    chosen = [groups.named(backend, name)] if name else list(backend.autoscaling_groups.values())
    activities = [a for group in chosen for a in history(group) if not wanted or a.activity_id in wanted]
    page, token = groups.page(activities, params.get("NextToken"), params.get("MaxRecords") or 100)
    return ActionResult({"Activities": page, "NextToken": token})
