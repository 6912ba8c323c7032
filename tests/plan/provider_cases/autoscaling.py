"""Auto Scaling."""

from typing import Any

from tests.plan.provider_cases import Case
from tests.plan.provider_world import World

LAUNCHING, TERMINATING = (f"autoscaling:EC2_INSTANCE_{transition}" for transition in ("LAUNCHING", "TERMINATING"))


def _tag(key: str, value: str, *, propagate: bool) -> dict[str, Any]:
    return {"key": key, "value": value, "propagateAtLaunch": propagate}


def _group(world: World) -> dict[str, Any]:
    return {
        "minSize": 1,
        "maxSize": 4,
        "launchTemplate": {"id": world.launch_template(), "version": "1"},
        "vpcZoneIdentifiers": world.subnets[:2],
        "healthCheckGracePeriod": 60,
        "defaultInstanceWarmup": 90,
        "instanceMaintenancePolicy": {"minHealthyPercentage": 90, "maxHealthyPercentage": 110},
        "waitForCapacityTimeout": "30s",
        "tags": [_tag("tier", "app", propagate=True), _tag("release", "1", propagate=False)],
    }


def _tracking(target: float) -> dict[str, Any]:
    return {
        "predefinedMetricSpecification": {"predefinedMetricType": "ASGAverageCPUUtilization"},
        "targetValue": target,
        "disableScaleIn": True,
    }


def _tracking_requests(target: float) -> dict[str, Any]:
    metric = {
        "namespace": "Expressway",
        "metricName": "RequestsPerServer",
        "metricDimensions": [{"name": "AutoScalingGroupName", "value": "shop"}],
        "statistic": "Sum",
        "period": 10,
    }
    return {"customizedMetricSpecification": metric, "targetValue": target, "disableScaleIn": True}


def _of_group(identifier: str, inputs: dict[str, Any]) -> str:
    return f"{inputs['autoscalingGroupName']}/{identifier}"


CASES = (
    Case(
        "aws:autoscaling/group:Group",
        make=_group,
        changes={
            "name": "another-name",
            "minSize": 2,
            "maxSize": 3,
            "desiredCapacity": 2,
            "launchTemplate": lambda world: {"id": world.launch_template(), "version": "$Latest"},
            "vpcZoneIdentifiers": lambda world: world.subnets[1:],
            "targetGroupArns": lambda world: [world.target_group()],
            "healthCheckType": "ELB",
            "healthCheckGracePeriod": None,
            "defaultInstanceWarmup": None,
            "initialLifecycleHooks": [
                {
                    "name": "leave",
                    "lifecycleTransition": TERMINATING,
                    "defaultResult": "CONTINUE",
                    "heartbeatTimeout": 60,
                }
            ],
            "instanceMaintenancePolicy": {"minHealthyPercentage": 100, "maxHealthyPercentage": 200},
            "waitForCapacityTimeout": "0",
            "forceDelete": True,
            "protectFromScaleIn": True,
            "tags": [_tag("release", "2", propagate=True), _tag("owner", "us", propagate=False)],
        },
        untold=("initialLifecycleHooks", "waitForCapacityTimeout", "forceDelete"),
    ),
    Case(
        "aws:autoscaling/lifecycleHook:LifecycleHook",
        make=lambda world: {
            "autoscalingGroupName": world.auto_scaling_group(),
            "lifecycleTransition": LAUNCHING,
            "defaultResult": "CONTINUE",
            "notificationMetadata": "what it is",
        },
        changes={
            "name": "another-name",
            "autoscalingGroupName": lambda world: world.auto_scaling_group(),
            "lifecycleTransition": TERMINATING,
            "defaultResult": "ABANDON",
            "heartbeatTimeout": 60,
            "notificationMetadata": None,
        },
        import_id=_of_group,
    ),
    Case(
        "aws:autoscaling/policy:Policy",
        make=lambda world: {
            "autoscalingGroupName": world.auto_scaling_group(),
            "policyType": "TargetTrackingScaling",
            "targetTrackingConfiguration": _tracking(60),
        },
        changes={
            "name": "another-name",
            "autoscalingGroupName": lambda world: world.auto_scaling_group(),
            # Another type takes other inputs, which the lab doesn't have; its API does not insist on them.
            "policyType": "StepScaling",
            "targetTrackingConfiguration": _tracking_requests(42.5),
        },
        import_id=_of_group,
    ),
)
