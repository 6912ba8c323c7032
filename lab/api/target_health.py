"""How a target is: what the machine of its load balancer found, and what the API itself knows.

A target that leaves drains for its group's deregistration delay, however little is under way.

Sources: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html,
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html#deregistration-delay
"""

import time
from typing import Any

from moto.elbv2 import models

from lab.api.patching import around

DELAY = "deregistration_delay.timeout_seconds"

States = dict[str, str | None]


def install() -> None:
    """Change moto's target groups. Once a process, before the first request."""
    around(models.FakeTargetGroup, "__init__", _create)
    around(models.FakeTargetGroup, "register", _register)
    around(models.FakeTargetGroup, "deregister", _deregister)
    around(models.FakeTargetGroup, "health_for", _health_for)
    around(models.ELBv2Backend, "describe_target_health", _describe)


def step(now: float) -> bool:
    """Let go of what has drained; whether there was any."""
    ended = False
    for group in _groups():
        for target in [target for target, until in group.draining.items() if now >= until]:
            del group.draining[target]
            ended = True
    return ended


def draining(group: Any, target: str) -> bool:
    """Whether the target leaves the group, and may have requests under way."""
    return target in group.draining


def failing(group: Any, target: str) -> bool:
    """Whether its health checks fail."""
    return target in group.targets and _state(group, target)["State"] == "unhealthy"


def placed(group: Any, zones: set[str]) -> dict[str, dict[str, Any]]:
    """A group's targets in these zones that run, and where."""
    found: dict[str, dict[str, Any]] = {}
    for target in (*group.targets, *group.draining):
        known = group.targets.get(target) or group.deregistered_targets[target]
        instance = group.ec2_backend.get_instance_by_id(target)
        if instance is not None and instance.state == "running" and instance.placement.zone in zones:
            found[target] = {
                "address": instance.private_ip,
                "port": int(known["Port"]),
                "draining": target in group.draining,
            }
    return found


def _groups() -> list[Any]:
    backends = [backend for account in list(models.elbv2_backends.values()) for backend in list(account.values())]
    return [group for backend in backends for group in backend.target_groups.values()]


def _create(original: Any, group: Any, *args: Any, **kwargs: Any) -> None:
    original(group, *args, **kwargs)
    group.found, group.draining = {}, {}


def _register(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    original(group, targets)
    for target in targets:
        group.draining.pop(target["Id"], None)


def _deregister(original: Any, group: Any, targets: list[dict[str, Any]]) -> None:
    original(group, targets)
    delay = float(group.attributes[DELAY])
    for target in targets:
        group.found.pop(target["Id"], None)
        if delay and _balancer(group) is not None:
            group.draining[target["Id"]] = time.monotonic() + delay


def _describe(original: Any, backend: Any, target_group_arn: str, targets: list[dict[str, Any]]) -> Any:
    """Without names: those that drain as well."""
    group = backend.target_groups.get(target_group_arn)
    if group is not None and not targets:
        targets = [*group.targets.values(), *(group.deregistered_targets[target] for target in group.draining)]
        if not targets:
            return []
    return original(backend, target_group_arn, targets)


def _health_for(original: Any, group: Any, target: dict[str, Any], ec2: Any) -> Any:
    health = original(group, target, ec2)
    if draining(group, target["Id"]):
        known = {
            "State": "draining",
            "Reason": "Target.DeregistrationInProgress",
            "Description": "Target deregistration is in progress",
        }
    elif health.status == "healthy":
        known = _state(group, target["Id"])
    else:
        return health
    health.status, health.reason, health.description = known["State"], known["Reason"], known["Description"]
    return health


def _state(group: Any, target: str) -> States:
    """Of a target that is registered, and runs."""
    if group.protocol not in ("HTTP", "HTTPS"):
        return _told("healthy")
    balancer = _balancer(group)
    if balancer is None:
        why = "Target group is not configured to receive traffic from the load balancer"
        return _told("unused", "Target.NotInUse", why)
    if target not in placed(group, {subnet.availability_zone for subnet in balancer.subnets}):
        why = "Target is in an Availability Zone that is not enabled for the load balancer"
        return _told("unused", "Target.NotInUse", why)
    if target not in group.found:
        return _told("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
    found = group.found[target]
    return _told(found["state"], found["reason"], found["description"])


def _told(state: str, reason: str | None = None, description: str | None = None) -> States:
    return {"State": state, "Reason": reason, "Description": description}


def _balancer(group: Any) -> Any:
    """The load balancer that has a listener for it, or None."""
    backend: Any = models.elbv2_backends[group.account_id][group.region_name]
    for balancer in backend.load_balancers.values():
        for listener in balancer.listeners.values():
            for action in listener.default_actions:
                if group.arn in backend._get_target_group_arns_from(action.data):
                    return balancer
    return None
