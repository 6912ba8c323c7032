"""Auto Scaling: groups and scaling policies."""

import re
import time
from collections.abc import Callable, Collection

from typing_extensions import override

from lab.aws import Aws
from lab.provider.errors import InputError, ProviderError
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import Spec, present, translate, unless_default, untranslate

GROUP = "terraform-provider-aws internal/service/autoscaling/group.go, ForceNew"
HOOKS = "terraform-provider-aws internal/service/autoscaling/group.go, ForceNew of initial_lifecycle_hook"
LIFECYCLE_HOOK = "terraform-provider-aws internal/service/autoscaling/lifecycle_hook.go, ForceNew"
POLICY = "terraform-provider-aws internal/service/autoscaling/policy.go, ForceNew"

HOOK: Spec = {
    "name": "LifecycleHookName",
    "lifecycleTransition": "LifecycleTransition",
    "defaultResult": "DefaultResult",
    "heartbeatTimeout": "HeartbeatTimeout",
    "notificationMetadata": "NotificationMetadata",
}
TAG: Spec = {"key": "Key", "value": "Value", "propagateAtLaunch": "PropagateAtLaunch"}
TEMPLATE: Spec = {"id": "LaunchTemplateId", "name": "LaunchTemplateName", "version": ("Version", str)}
MAINTENANCE: Spec = {"minHealthyPercentage": "MinHealthyPercentage", "maxHealthyPercentage": "MaxHealthyPercentage"}
TARGET_TRACKING: Spec = {
    "predefinedMetricSpecification": (
        "PredefinedMetricSpecification",
        {"predefinedMetricType": "PredefinedMetricType", "resourceLabel": "ResourceLabel"},
    ),
    "customizedMetricSpecification": (
        "CustomizedMetricSpecification",
        {
            "namespace": "Namespace",
            "metricName": "MetricName",
            "metricDimensions": ("Dimensions", {"name": "Name", "value": "Value"}),
            "statistic": "Statistic",
            "unit": "Unit",
            "period": "Period",
        },
    ),
    "targetValue": "TargetValue",
    "disableScaleIn": "DisableScaleIn",
}
HEARTBEAT_SECONDS = range(30, 7201)

DRAIN_SECONDS = 600
"""How long a deletion waits for the machines, as the AWS provider does by default."""
CAPACITY_TIMEOUT = "10m"
POLL_SECONDS = 1.0

HEALTH_CHECK = "EC2"
GRACE_SECONDS = 300
HEARTBEAT = 3600
NO_MAINTENANCE = {"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1}
"""What takes an instance maintenance policy away."""
POLICY_TYPE = "SimpleScaling"


class Group(Resource):
    """A group of machines. Its tags say themselves which machines get them; default tags don't reach them."""

    pulumi_type = "aws:autoscaling/group:Group"
    required = ("minSize", "maxSize", "launchTemplate", "vpcZoneIdentifiers")
    optional = (
        "desiredCapacity",
        "targetGroupArns",
        "healthCheckType",
        "healthCheckGracePeriod",
        "defaultInstanceWarmup",
        "initialLifecycleHooks",
        "instanceMaintenancePolicy",
        "waitForCapacityTimeout",
        "forceDelete",
        "protectFromScaleIn",
        "tags",
    )
    autoname = Autoname()
    replaces_on = {"name": GROUP, "initialLifecycleHooks": HOOKS}
    volatile = {"desiredCapacity": ("minSize", "maxSize"), "availabilityZones": ("vpcZoneIdentifiers",)}
    computed = ("desiredCapacity", "healthCheckType", "targetGroupArns")
    defaults = {
        "forceDelete": False,
        "healthCheckGracePeriod": GRACE_SECONDS,
        "protectFromScaleIn": False,
        "waitForCapacityTimeout": CAPACITY_TIMEOUT,
    }

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """With the group's first hooks, so that already the first machines wait for them."""
        hooks = inputs.get("initialLifecycleHooks", [])
        _check_hooks(hooks)
        launches = any(hook["lifecycleTransition"] == "autoscaling:EC2_INSTANCE_LAUNCHING" for hook in hooks)
        if launches and str(inputs.get("waitForCapacityTimeout")) != "0":
            # Without a launch hook the machines are in service at once, and there is nothing to wait for.
            raise InputError('with a launch hook waitForCapacityTimeout must be "0": the lab boots machines later')
        aws("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=inputs["name"],
            MinSize=inputs["minSize"],
            MaxSize=inputs["maxSize"],
            LaunchTemplate=translate(inputs["launchTemplate"], TEMPLATE, "launchTemplate"),
            VPCZoneIdentifier=",".join(inputs["vpcZoneIdentifiers"]),
            LifecycleHookSpecificationList=translate(hooks, HOOK, "initialLifecycleHooks"),
            Tags=translate(inputs.get("tags", []), TAG, "tags"),
            HealthCheckGracePeriod=inputs.get("healthCheckGracePeriod", GRACE_SECONDS),
            **present(
                DesiredCapacity=inputs.get("desiredCapacity"),
                TargetGroupARNs=inputs.get("targetGroupArns"),
                HealthCheckType=inputs.get("healthCheckType"),
                DefaultInstanceWarmup=inputs.get("defaultInstanceWarmup"),
                InstanceMaintenancePolicy=_maintenance(inputs),
                NewInstancesProtectedFromScaleIn=inputs.get("protectFromScaleIn"),
            ),
        )
        return Created(inputs["name"], _group_outputs(_described(aws, inputs["name"])))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The group, less its first hooks: the API can't tell them from those that came later."""
        group = _group(aws, identifier)
        if group is None:
            return None
        inputs = {
            "name": identifier,
            "minSize": group["MinSize"],
            "maxSize": group["MaxSize"],
            "desiredCapacity": group["DesiredCapacity"],
            "launchTemplate": _template(group["LaunchTemplate"], state.get("launchTemplate")),
            "vpcZoneIdentifiers": group["VPCZoneIdentifier"].split(","),
            "targetGroupArns": group.get("TargetGroupARNs") or None,
            "healthCheckType": group["HealthCheckType"],
            "healthCheckGracePeriod": unless_default(
                group["HealthCheckGracePeriod"], GRACE_SECONDS, state.get("healthCheckGracePeriod")
            ),
            "defaultInstanceWarmup": unless_default(
                group.get("DefaultInstanceWarmup", 0), 0, state.get("defaultInstanceWarmup")
            ),
            "instanceMaintenancePolicy": untranslate(group.get("InstanceMaintenancePolicy", {}), MAINTENANCE) or None,
            "protectFromScaleIn": unless_default(
                group["NewInstancesProtectedFromScaleIn"], False, state.get("protectFromScaleIn")
            ),
            "tags": untranslate(group["Tags"], TAG) or None,
        }
        return Found(identifier, inputs, _group_outputs(group))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Machines that run stay as they are. A new capacity is waited for, unless the timeout is 0."""
        timeout = _seconds(str(new.get("waitForCapacityTimeout", CAPACITY_TIMEOUT)))
        failed = _failed_activities(aws, identifier)
        if changes := _changes(old, new):
            aws("autoscaling").update_auto_scaling_group(AutoScalingGroupName=identifier, **changes)
        _set_target_groups(aws, identifier, old.get("targetGroupArns", []), new.get("targetGroupArns", []))
        _set_tags(aws, identifier, old.get("tags", []), new.get("tags", []))
        if timeout and changes.keys() & {"MinSize", "DesiredCapacity"}:
            _wait(
                lambda: _has_capacity(aws, identifier, failed.keys()),
                timeout,
                f"the group {identifier} has not the machines in service that it is to have",
            )
        return _group_outputs(_described(aws, identifier))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """By force at once, whatever its machines wait for; else when they have all gone through their hooks."""
        group = _group(aws, identifier)
        if group is None:
            return
        force = bool(state.get("forceDelete"))
        if not force:
            _drain(aws, group)
        aws("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=identifier, ForceDelete=force)
        # What its machines use can't be deleted before them.
        _wait(lambda: _group(aws, identifier) is None, DRAIN_SECONDS, f"the group {identifier} is still there")


class LifecycleHook(Resource):
    """A hook added to a group that is there already."""

    pulumi_type = "aws:autoscaling/lifecycleHook:LifecycleHook"
    required = ("autoscalingGroupName", "lifecycleTransition")
    optional = ("defaultResult", "heartbeatTimeout", "notificationMetadata")
    autoname = Autoname()
    replaces_on = {"name": LIFECYCLE_HOOK}
    computed = ("defaultResult",)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        _put_hook(aws, inputs)
        return Created(inputs["name"], {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The hook; an import names it <group>/<hook>."""
        group, name = _group_and_name(identifier, state)
        hook = _hook(aws, group, name)
        if hook is None:
            return None
        inputs = {
            **dict.fromkeys(HOOK),
            **untranslate(hook, HOOK),
            "autoscalingGroupName": group,
            "defaultResult": hook["DefaultResult"],
            "heartbeatTimeout": unless_default(hook["HeartbeatTimeout"], HEARTBEAT, state.get("heartbeatTimeout")),
        }
        return Found(name, inputs, {})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again. Where it is another group's now, its first group keeps it: the AWS provider leaves it so."""
        _put_hook(aws, new)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """What waits for the hook goes on."""
        group = state["autoscalingGroupName"]
        if _hook(aws, group, identifier):
            aws("autoscaling").delete_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName=identifier)


class Policy(Resource):
    """When a group grows and shrinks."""

    pulumi_type = "aws:autoscaling/policy:Policy"
    required = ("autoscalingGroupName",)
    optional = ("policyType", "targetTrackingConfiguration")
    autoname = Autoname()
    replaces_on = {"name": POLICY, "autoscalingGroupName": POLICY}
    defaults = {"policyType": POLICY_TYPE}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        return Created(inputs["name"], {"arn": _put_policy(aws, inputs)})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The policy; an import names it <group>/<policy>."""
        group, name = _group_and_name(identifier, state)
        policy = _policy(aws, group, name)
        if policy is None:
            return None
        inputs = {
            "name": name,
            "autoscalingGroupName": group,
            "policyType": unless_default(policy["PolicyType"], POLICY_TYPE, state.get("policyType")),
        }
        if tracking := policy.get("TargetTrackingConfiguration"):
            # A policy of another type has none, and does not tell what it was given.
            inputs["targetTrackingConfiguration"] = _tracking(tracking, state.get("targetTrackingConfiguration", {}))
        return Found(name, inputs, {"arn": policy["PolicyARN"]})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again."""
        return {"arn": _put_policy(aws, new)}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        group = state["autoscalingGroupName"]
        if _policy(aws, group, identifier):
            aws("autoscaling").delete_policy(AutoScalingGroupName=group, PolicyName=identifier)


def _group(aws: Aws, name: str) -> Properties | None:
    groups = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return groups[0] if groups else None


def _described(aws: Aws, name: str) -> Properties:
    group = _group(aws, name)
    if group is None:
        raise ProviderError(f"the group {name} is gone")
    return group


def _group_outputs(group: Properties) -> Properties:
    return {
        "arn": group["AutoScalingGroupARN"],
        "desiredCapacity": group["DesiredCapacity"],
        "availabilityZones": group["AvailabilityZones"],
    }


def _template(found: Properties, known: Properties | None) -> Properties:
    """The launch template by what the program names it; the API always says id and name."""
    named = known.keys() if known else ("id", "version")
    return {key: value for key, value in untranslate(found, TEMPLATE).items() if key in named}


def _maintenance(inputs: Properties) -> Properties | None:
    policy = inputs.get("instanceMaintenancePolicy")
    return translate(policy, MAINTENANCE, "instanceMaintenancePolicy") if policy else None


def _changes(old: Properties, new: Properties) -> Properties:
    """What of a group has changed, as the API's arguments. What was taken away is its default again."""
    changed = {key for key in (*Group.required, *Group.optional) if old.get(key) != new.get(key)}
    arguments = {
        "minSize": {"MinSize": new["minSize"]},
        "maxSize": {"MaxSize": new["maxSize"]},
        # Taken away, it is scaling's from now on, and stays what it is.
        "desiredCapacity": present(DesiredCapacity=new.get("desiredCapacity")),
        "launchTemplate": {"LaunchTemplate": translate(new["launchTemplate"], TEMPLATE, "launchTemplate")},
        "vpcZoneIdentifiers": {"VPCZoneIdentifier": ",".join(new["vpcZoneIdentifiers"])},
        "healthCheckType": {"HealthCheckType": new.get("healthCheckType", HEALTH_CHECK)},
        "healthCheckGracePeriod": {"HealthCheckGracePeriod": new.get("healthCheckGracePeriod", GRACE_SECONDS)},
        # The AWS provider does not send -1, which would take it away.
        "defaultInstanceWarmup": {"DefaultInstanceWarmup": new.get("defaultInstanceWarmup", 0)},
        "instanceMaintenancePolicy": {"InstanceMaintenancePolicy": _maintenance(new) or NO_MAINTENANCE},
        "protectFromScaleIn": {"NewInstancesProtectedFromScaleIn": new.get("protectFromScaleIn", False)},
    }
    return {name: value for key, given in arguments.items() if key in changed for name, value in given.items()}


def _set_target_groups(aws: Aws, group: str, old: list[str], new: list[str]) -> None:
    autoscaling, whose = aws("autoscaling"), {"AutoScalingGroupName": group}
    if removed := [arn for arn in old if arn not in new]:
        autoscaling.detach_load_balancer_target_groups(**whose, TargetGroupARNs=removed)
    if added := [arn for arn in new if arn not in old]:
        autoscaling.attach_load_balancer_target_groups(**whose, TargetGroupARNs=added)


def _set_tags(aws: Aws, group: str, old: list[Properties], new: list[Properties]) -> None:
    before = {tag["key"]: tag for tag in old}
    after = {tag["key"]: tag for tag in new}
    whose = {"ResourceId": group, "ResourceType": "auto-scaling-group"}
    if removed := [whose | {"Key": key} for key in before if key not in after]:
        aws("autoscaling").delete_tags(Tags=removed)
    if added := [whose | translate(tag, TAG, "tags") for key, tag in after.items() if before.get(key) != tag]:
        aws("autoscaling").create_or_update_tags(Tags=added)


def _has_capacity(aws: Aws, name: str, failed_before: Collection[str]) -> bool:
    """Whether as many machines are in service as the group is to have. A launch that fails ends the waiting."""
    for identifier, message in _failed_activities(aws, name).items():
        if identifier not in failed_before:
            raise ProviderError(f"the group {name} does not get its machines: {message}")
    group = _described(aws, name)
    ready = [
        machine
        for machine in group["Instances"]
        if (machine["LifecycleState"], machine["HealthStatus"]) == ("InService", "Healthy")
    ]
    return len(ready) == group["DesiredCapacity"]


def _failed_activities(aws: Aws, group: str) -> dict[str, str]:
    """What went wrong in the group: message by activity."""
    activities = aws("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)["Activities"]
    return {
        activity["ActivityId"]: activity.get("StatusMessage", activity["Description"])
        for activity in activities
        if activity["StatusCode"] == "Failed"
    }


def _drain(aws: Aws, group: Properties) -> None:
    """Scale a group to nothing, and wait until its machines have gone through their hooks."""
    name = group["AutoScalingGroupName"]
    aws("autoscaling").update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
    protected = [machine["InstanceId"] for machine in group["Instances"] if machine["ProtectedFromScaleIn"]]
    if protected:
        aws("autoscaling").set_instance_protection(
            AutoScalingGroupName=name, InstanceIds=protected, ProtectedFromScaleIn=False
        )
    _wait(lambda: not (_group(aws, name) or {}).get("Instances"), DRAIN_SECONDS, f"the group {name} still has machines")


def _wait(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            raise ProviderError(f"{otherwise} after {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


def _seconds(duration: str) -> float:
    """A duration as Go writes it: 10m, 1h30m, 0."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    if duration != "0" and "".join(number + unit for number, unit in parts) != duration:
        raise InputError(f"waitForCapacityTimeout must be like 10m or 0, and is {duration}", "waitForCapacityTimeout")
    return sum(float(number) * units[unit] for number, unit in parts)


def _group_and_name(identifier: str, state: Properties) -> tuple[str, str]:
    """Group and name of what belongs to a group: from the state, or from the id of an import, <group>/<name>."""
    if "autoscalingGroupName" in state:
        return state["autoscalingGroupName"], identifier
    group, slash, name = identifier.partition("/")
    if not slash:
        raise InputError(f"the id to import must be <group>/<name>, and is {identifier}")
    return group, name


def _hook(aws: Aws, group: str, name: str) -> Properties | None:
    hooks = aws("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=group, LifecycleHookNames=[name])
    return hooks["LifecycleHooks"][0] if hooks["LifecycleHooks"] else None


def _put_hook(aws: Aws, inputs: Properties) -> None:
    hook = {key: value for key, value in inputs.items() if key in HOOK}
    _check_hooks([hook])
    aws("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=inputs["autoscalingGroupName"], **translate(hook, HOOK, "inputs")
    )


def _policy(aws: Aws, group: str, name: str) -> Properties | None:
    policies = aws("autoscaling").describe_policies(AutoScalingGroupName=group, PolicyNames=[name])["ScalingPolicies"]
    return policies[0] if policies else None


def _put_policy(aws: Aws, inputs: Properties) -> str:
    """Create or overwrite it; its ARN."""
    tracking = inputs.get("targetTrackingConfiguration")
    policy = aws("autoscaling").put_scaling_policy(
        AutoScalingGroupName=inputs["autoscalingGroupName"],
        PolicyName=inputs["name"],
        PolicyType=inputs.get("policyType", POLICY_TYPE),
        **present(
            TargetTrackingConfiguration=translate(tracking, TARGET_TRACKING, "targetTrackingConfiguration")
            if tracking
            else None
        ),
    )
    return policy["PolicyARN"]


def _tracking(found: Properties, known: Properties) -> Properties:
    tracking = untranslate(found, TARGET_TRACKING)
    disabled = unless_default(tracking.get("disableScaleIn", False), False, known.get("disableScaleIn"))
    return {key: value for key, value in (tracking | {"disableScaleIn": disabled}).items() if value is not None}


def _check_hooks(hooks: list[Properties]) -> None:
    for hook in hooks:
        heartbeat = hook.get("heartbeatTimeout", HEARTBEAT)
        if heartbeat not in HEARTBEAT_SECONDS:
            raise InputError(f"hook {hook['name']}: heartbeatTimeout must be 30 to 7200 seconds, and is {heartbeat}")


RESOURCES: tuple[type[Resource], ...] = (Group, LifecycleHook, Policy)
