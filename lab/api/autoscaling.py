"""Auto Scaling as AWS has it, on moto's groups: see groups.py for what the groups do; here are the API's actions."""

import time
from typing import Any

from moto.autoscaling import models, responses
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from lab.api import groups, lifecycle, target_groups
from lab.api.patching import add, around, instead

Group = models.FakeAutoScalingGroup
Backend = models.AutoScalingBackend
Response = responses.AutoScalingResponse


def install() -> None:
    """Change moto's Auto Scaling. Once a process, before the first request."""
    instead(models, "InstanceState", groups.Member)
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
    around(Response, "update_auto_scaling_group", _update_what_moto_drops)
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
    changed = [group for group in groups.groups() if groups.reconcile(group, time.monotonic())]
    return bool(changed)


def _record_desired(group: Any, wanted: int | None) -> None:
    """moto starts and ends instances right here; the next step does, when the group is known and has its hooks."""
    group.desired_capacity = group.min_size if wanted is None else wanted


def _set_desired_capacity(original: Any, backend: Any, group_name: str, wanted: int) -> None:
    group = _group(backend, group_name)
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
    _set_warm_up(response)
    _set_maintenance_policy(response)
    for hook in params.get("LifecycleHookSpecificationList", []):
        _add_hook(response.autoscaling_backend, name, hook)
    return result


def _update_what_moto_drops(original: Any, response: Any) -> Any:
    _check_maintenance_policy(response._get_params().get("InstanceMaintenancePolicy"))
    result = original(response)
    _set_warm_up(response)
    _set_maintenance_policy(response)
    return result


def _set_warm_up(response: Any) -> None:
    """moto drops it. -1 takes it away.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """
    given = response._get_int_param("DefaultInstanceWarmup")
    if given is not None:
        group = response.autoscaling_backend.autoscaling_groups[response._get_param("AutoScalingGroupName")]
        group.default_instance_warmup = None if given == -1 else given


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
    group = _group(backend, name)
    if group.instance_states and not response._get_bool_param("ForceDelete", False):
        message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s)"
        raise AutoscalingClientError("ResourceInUse", f"{message} still in the group.")
    for member in list(group.instance_states):
        groups.terminate(group, member)
    for hook in backend.describe_lifecycle_hooks(name):
        backend.delete_lifecycle_hook(name, hook.name)
    for policy in backend.describe_policies(autoscaling_group_name=name):
        backend.delete_policy((name, policy.name))
    del backend.autoscaling_groups[name]
    return EmptyResult()


def _put_hook(original: Any, response: Any) -> Any:
    _group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
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
    group = _group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    for member in list(group.instance_states):
        result = lifecycle.ABANDON if member.lifecycle_state == "Pending:Wait" else lifecycle.CONTINUE
        for action in [a for a in member.actions if a.hook == response._get_param("LifecycleHookName")]:
            groups.complete(group, member, action, result, time.monotonic())
    return original(response)


def _put_policy(original: Any, response: Any) -> Any:
    _group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
    enabled = response._get_bool_param("Enabled", True)
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
    group, member = _member(backend, instance_id)
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


def _action(response: Any) -> tuple[Any, groups.Member, lifecycle.Action]:
    """The outstanding action that a request names by instance, or by the action's token."""
    params = response._get_params()
    group = _group(response.autoscaling_backend, params["AutoScalingGroupName"])
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
    chosen = [_group(backend, name)] if name else list(backend.autoscaling_groups.values())
    activities = [a for group in chosen for a in groups.history(group) if not wanted or a.activity_id in wanted]
    return ActionResult({"Activities": activities[: params.get("MaxRecords", 100)]})


def _group(backend: Any, name: str) -> Any:
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def _member(backend: Any, instance_id: str) -> tuple[Any, groups.Member]:
    for group in backend.autoscaling_groups.values():
        for member in group.instance_states:
            if member.instance_id == instance_id:
                return group, member
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")
