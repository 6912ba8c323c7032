"""Auto Scaling: groups and scaling policies."""

from lab.provider.aws import Aws
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Properties, Resource
from lab.provider.values import Spec, present, translate

HOOK: Spec = {
    "name": "LifecycleHookName",
    "lifecycleTransition": "LifecycleTransition",
    "defaultResult": "DefaultResult",
    "heartbeatTimeout": "HeartbeatTimeout",
    "notificationMetadata": "NotificationMetadata",
}
TAG: Spec = {"key": "Key", "value": "Value", "propagateAtLaunch": "PropagateAtLaunch"}
TEMPLATE: Spec = {"id": "LaunchTemplateId", "name": "LaunchTemplateName", "version": ("Version", str)}
TARGET_TRACKING: Spec = {
    "predefinedMetricSpecification": (
        "PredefinedMetricSpecification",
        {"predefinedMetricType": "PredefinedMetricType", "resourceLabel": "ResourceLabel"},
    ),
    "targetValue": "TargetValue",
    "disableScaleIn": "DisableScaleIn",
}
HEARTBEAT_SECONDS = range(30, 7201)


class Group(Resource):
    """A group of machines. Its tags say themselves which machines get them; default tags don't reach them."""

    pulumi_type = "aws:autoscaling/group:Group"
    required = ("minSize", "maxSize", "launchTemplate", "vpcZoneIdentifiers")
    optional = (
        "desiredCapacity",
        "healthCheckType",
        "healthCheckGracePeriod",
        "defaultInstanceWarmup",
        "initialLifecycleHooks",
        "waitForCapacityTimeout",
        "forceDelete",
        "protectFromScaleIn",
        "tags",
    )
    autoname = Autoname()

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it with its first hooks, so that already the first machines wait for them."""
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
            **present(
                DesiredCapacity=inputs.get("desiredCapacity"),
                HealthCheckType=inputs.get("healthCheckType"),
                HealthCheckGracePeriod=inputs.get("healthCheckGracePeriod"),
                DefaultInstanceWarmup=inputs.get("defaultInstanceWarmup"),
                NewInstancesProtectedFromScaleIn=inputs.get("protectFromScaleIn"),
            ),
        )
        group = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[inputs["name"]])
        found = group["AutoScalingGroups"][0]
        outputs = {
            "arn": found["AutoScalingGroupARN"],
            "desiredCapacity": found["DesiredCapacity"],
            "availabilityZones": found["AvailabilityZones"],
        }
        return Created(inputs["name"], outputs)


class LifecycleHook(Resource):
    """A hook added to a group that is there already."""

    pulumi_type = "aws:autoscaling/lifecycleHook:LifecycleHook"
    required = ("autoscalingGroupName", "lifecycleTransition")
    optional = ("defaultResult", "heartbeatTimeout", "notificationMetadata")
    autoname = Autoname()

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        hook = {key: value for key, value in inputs.items() if key != "autoscalingGroupName"}
        _check_hooks([hook])
        aws("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=inputs["autoscalingGroupName"], **translate(hook, HOOK, "inputs")
        )
        return Created(inputs["name"], {})


class Policy(Resource):
    """When a group grows and shrinks."""

    pulumi_type = "aws:autoscaling/policy:Policy"
    required = ("autoscalingGroupName",)
    optional = ("policyType", "targetTrackingConfiguration")
    autoname = Autoname()

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        tracking = inputs.get("targetTrackingConfiguration")
        policy = aws("autoscaling").put_scaling_policy(
            AutoScalingGroupName=inputs["autoscalingGroupName"],
            PolicyName=inputs["name"],
            PolicyType=inputs.get("policyType", "SimpleScaling"),
            **present(
                TargetTrackingConfiguration=translate(tracking, TARGET_TRACKING, "targetTrackingConfiguration")
                if tracking
                else None
            ),
        )
        return Created(inputs["name"], {"arn": policy["PolicyARN"]})


def _check_hooks(hooks: list[Properties]) -> None:
    for hook in hooks:
        heartbeat = hook.get("heartbeatTimeout", 3600)
        if heartbeat not in HEARTBEAT_SECONDS:
            raise InputError(f"hook {hook['name']}: heartbeatTimeout must be 30 to 7200 seconds, and is {heartbeat}")


RESOURCES: tuple[type[Resource], ...] = (Group, LifecycleHook, Policy)
