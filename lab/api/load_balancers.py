"""Application Load Balancers as the lab has them: each has an address, and a machine that does what the API was told.

moto keeps what it is told, and nothing more. Network Load Balancers stay at that, and so does their targets' health.
What the machine could not do is refused, rather than done in another way.

Sources: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html,
API_CreateListener.html, API_SetSubnets.html
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.elbv2 import models
from moto.elbv2.exceptions import DuplicateLoadBalancerName, ValidationError
from moto.elbv2.exceptions import ELBClientError as ClientError

from lab.api import target_health
from lab.api.ec2 import private_interface, public_address
from lab.api.patching import around

APPLICATION = "application"
STATUSES = ("active", "failed")
IDLE_SECONDS = 60
"""AWS's own, which moto leaves out."""

_NOT_IN_THE_LAB = "in the lab, an Application Load Balancer"


@dataclass(frozen=True)
class BalancerMachine:
    """What has to run behind a load balancer's name; `applied` is the `version` of the `configuration` that does."""

    id: str
    status: str
    endpoint: str
    address: str
    public_address: str | None
    subnet: str
    security_groups: tuple[str, ...]
    configuration: dict[str, Any]
    version: str
    applied: str | None


def install() -> None:
    """Change moto's load balancers. Once a process, before the first request."""
    around(models.FakeLoadBalancer, "activate", _activate)
    backend = models.ELBv2Backend
    around(backend, "create_load_balancer", _create)
    around(backend, "delete_load_balancer", _delete)
    around(backend, "set_security_groups", _set_security_groups)
    around(backend, "set_subnets", _set_subnets)
    around(backend, "create_listener", _create_listener)
    around(backend, "modify_listener", _modify_listener)
    around(backend, "create_rule", _create_rule)
    around(backend, "modify_target_group_attributes", _modify_target_group_attributes)


def machines() -> list[BalancerMachine]:
    """Every Application Load Balancer of every account and region."""
    return [_machine(backend, balancer) for backend, balancer in _all()]


def set_status(identifier: str, status: str) -> bool:
    """What runs behind the name says how it is; returns whether there is such a load balancer."""
    balancer = _find(identifier)[1]
    if balancer is not None:
        balancer.state = status
    return balancer is not None


def set_applied(identifier: str, version: str) -> bool:
    """The machine has this configuration now; returns whether there is such a load balancer."""
    balancer = _find(identifier)[1]
    if balancer is not None:
        balancer.applied = version
    return balancer is not None


def set_health(identifier: str, found: dict[str, dict[str, Any]]) -> bool:
    """What its probes found, by target group and target; returns whether there is such a load balancer."""
    backend, balancer = _find(identifier)
    if balancer is None:
        return False
    for group in backend.target_groups.values():
        if group.arn in _forwarded_to(balancer):
            group.found = found.get(_key(group), {})
    return True


def _all() -> Iterator[tuple[Any, Any]]:
    for account in list(models.elbv2_backends.values()):
        for backend in list(account.values()):
            for balancer in list(backend.load_balancers.values()):
                if balancer.type == APPLICATION:
                    yield backend, balancer


def _find(identifier: str) -> tuple[Any, Any]:
    return next((found for found in _all() if _id(found[1]) == identifier), (None, None))


def _activate(original: Any, balancer: Any) -> None:
    """moto's is active at the first look; one with a machine is when that is ready."""
    if balancer.type != APPLICATION:
        original(balancer)


def _create(original: Any, backend: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    if any(balancer.name == name for balancer in backend.load_balancers.values()):
        raise DuplicateLoadBalancerName()
    balancer = original(backend, name, *args, **kwargs)
    balancer.scheme = balancer.scheme or "internet-facing"  # AWS's default, which moto leaves out
    if balancer.scheme == "internal":
        balancer.dns_name = f"internal-{balancer.dns_name}"
    if balancer.type != APPLICATION:
        return balancer
    if not balancer.security_groups:
        balancer.security_groups = [backend.ec2_backend.get_default_security_group(balancer.vpc_id).id]
    try:
        _check_zones(balancer.subnets)
        _place(backend, balancer)
    except Exception:
        del backend.load_balancers[balancer.arn]
        raise
    return balancer


def _check_zones(subnets: list[Any]) -> None:
    if len({subnet.availability_zone for subnet in subnets}) < 2:
        raise ValidationError("At least two subnets in two different Availability Zones must be specified")


def _place(backend: Any, balancer: Any) -> None:
    """Give it an address, in its first subnet; AWS gives one in each."""
    ec2, description = backend.ec2_backend, f"ELB {balancer.arn.partition(':loadbalancer/')[2]}"
    balancer.interface = private_interface(ec2, balancer.subnets[0].id, balancer.security_groups, description)
    if balancer.scheme != "internal":
        balancer.interface.public_ip = public_address()
    balancer.applied = None


def _delete(original: Any, backend: Any, arn: str) -> None:
    balancer = backend.load_balancers.get(arn)
    if balancer is not None and balancer.type == APPLICATION:
        balancer.interface.delete()
        for group in backend.target_groups.values():
            group.load_balancer_arns = [each for each in group.load_balancer_arns if each != arn]
    original(backend, arn)


def _set_security_groups(original: Any, backend: Any, arn: str, groups: list[str]) -> None:
    original(backend, arn, groups)
    balancer = backend.load_balancers[arn]
    if balancer.type == APPLICATION:
        backend.ec2_backend.modify_network_interface_attribute(balancer.interface.id, groups)


def _set_subnets(original: Any, backend: Any, arn: str, *args: Any, **kwargs: Any) -> Any:
    """It moves when the subnet that it is in is none of its own any more."""
    zones = original(backend, arn, *args, **kwargs)
    balancer = backend.load_balancers[arn]
    if balancer.type == APPLICATION and balancer.interface.subnet.id not in {each.id for each in balancer.subnets}:
        balancer.interface.delete()
        _place(backend, balancer)
    return zones


def _create_listener(
    original: Any, backend: Any, load_balancer_arn: str, protocol: str, port: str, *args: Any, **kwargs: Any
) -> Any:
    balancer, actions = backend.load_balancers.get(load_balancer_arn), kwargs.get("actions") or args[2]
    if balancer is not None and balancer.type == APPLICATION:
        _check_protocol(protocol)
        _check_actions(backend, balancer, actions)
        if any(str(each.port) == str(port) for each in balancer.listeners.values()):
            raise ClientError("DuplicateListener", "A listener already exists on this port for this load balancer")
    return original(backend, load_balancer_arn, protocol, port, *args, **kwargs)


def _modify_listener(original: Any, backend: Any, arn: str, *args: Any, **kwargs: Any) -> Any:
    given = dict(zip(("port", "protocol", "ssl_policy", "certificates", "actions"), args, strict=False)) | kwargs
    for balancer in backend.load_balancers.values():
        if arn in balancer.listeners and balancer.type == APPLICATION:
            _check_protocol(given.get("protocol"))
            _check_actions(backend, balancer, given.get("actions") or [])
    return original(backend, arn, *args, **kwargs)


def _create_rule(original: Any, backend: Any, listener_arn: str, *args: Any, **kwargs: Any) -> Any:
    for balancer in backend.load_balancers.values():
        if listener_arn in balancer.listeners and balancer.type == APPLICATION:
            raise NotImplementedError(f"{_NOT_IN_THE_LAB} has no rules but its listeners' default actions")
    return original(backend, listener_arn, *args, **kwargs)


def _modify_target_group_attributes(original: Any, backend: Any, arn: str, attributes: dict[str, Any]) -> None:
    group = backend.target_groups.get(arn)
    if group is not None and group.protocol == "HTTP":
        if attributes.get("stickiness.enabled") == "true":
            raise NotImplementedError(f"{_NOT_IN_THE_LAB} has no stickiness")
        if int(attributes.get("slow_start.duration_seconds", 0)):
            raise NotImplementedError(f"{_NOT_IN_THE_LAB} has no slow start")
    original(backend, arn, attributes)


def _check_protocol(protocol: str | None) -> None:
    if protocol == "HTTPS":
        raise NotImplementedError(f"{_NOT_IN_THE_LAB} serves HTTP, and no HTTPS")


def _check_actions(backend: Any, balancer: Any, actions: list[dict[str, Any]]) -> None:
    for action in actions:
        kind = action["Type"]
        if kind.startswith("authenticate-"):
            raise NotImplementedError(f"{_NOT_IN_THE_LAB} does not {kind}")
        arns = backend._get_target_group_arns_from(action) if kind == "forward" else []
        if len(arns) > 1:
            raise NotImplementedError(f"{_NOT_IN_THE_LAB} forwards to one target group, not to several by weight")
        for group in (backend.target_groups[arn] for arn in arns if arn in backend.target_groups):
            if (group.protocol, group.target_type, group.protocol_version) != ("HTTP", "instance", "HTTP1"):
                raise NotImplementedError(
                    f"{_NOT_IN_THE_LAB} forwards to instances by HTTP/1.1; {group.name} has the protocol "
                    f"{group.protocol} {group.protocol_version or ''} and targets of type {group.target_type}"
                )
            if any(group.arn in _forwarded_to(other) for _, other in _all() if other is not balancer):
                raise ClientError(
                    "TargetGroupAssociationLimit",
                    f"The following target groups cannot be associated with more than one load balancer: {group.arn}",
                )


def _forwarded_to(balancer: Any) -> set[str]:
    """The target groups that get its requests."""
    return {
        action["group_arn"]
        for listener in balancer.listeners.values()
        if (action := _action(listener))["type"] == "forward"
    }


def _machine(backend: Any, balancer: Any) -> BalancerMachine:
    configuration = _configuration(backend, balancer)
    text = json.dumps(configuration, sort_keys=True)
    return BalancerMachine(
        id=_id(balancer),
        status=balancer.state,
        endpoint=balancer.dns_name,
        address=balancer.interface.private_ip_address,
        public_address=balancer.interface.public_ip,
        subnet=balancer.interface.subnet.id,
        security_groups=tuple(balancer.security_groups),
        configuration=configuration,
        version=hashlib.sha256(text.encode()).hexdigest()[:16],
        applied=balancer.applied,
    )


def _id(balancer: Any) -> str:
    """With its interface's: one that moves is another machine."""
    return f"{balancer.name}-{balancer.interface.id.removeprefix('eni-')}"


def _key(group: Any) -> str:
    return group.arn.rpartition("/")[2]


def _configuration(backend: Any, balancer: Any) -> dict[str, Any]:
    """For `lab.machines.services.balancing`."""
    zones = {subnet.availability_zone for subnet in balancer.subnets}
    listeners = {str(listener.port): _action(listener) for listener in balancer.listeners.values()}
    groups = {arn: backend.target_groups[arn] for arn in sorted(_forwarded_to(balancer))}
    return {
        "idle_timeout": int(balancer.attrs.get("idle_timeout.timeout_seconds", IDLE_SECONDS)),
        "listeners": {
            port: {key: value for key, value in action.items() if key != "group_arn"}
            for port, action in listeners.items()
        },
        "groups": {
            _key(group): {
                "algorithm": group.attributes["load_balancing.algorithm.type"],
                "check": {
                    "path": group.health_check_path or "/",
                    # 0: each target's own.
                    "port": 0 if group.health_check_port == "traffic-port" else int(group.health_check_port),
                    "interval": int(group.health_check_interval_seconds),
                    "timeout": int(group.health_check_timeout_seconds),
                    "healthy": int(group.healthy_threshold_count),
                    "unhealthy": int(group.unhealthy_threshold_count),
                    "codes": group.matcher["HttpCode"],
                },
                "targets": target_health.placed(group, zones),
            }
            for group in groups.values()
        },
    }


def _action(listener: Any) -> dict[str, Any]:
    data = listener.default_actions[-1].data
    match data["Type"]:
        case "forward":
            arn = data.get("TargetGroupArn") or data["ForwardConfig"]["TargetGroups"][0]["TargetGroupArn"]
            return {"type": "forward", "group_arn": arn, "group": arn.rpartition("/")[2]}
        case "fixed-response":
            given = data["FixedResponseConfig"]
            kind, body = given.get("ContentType", "text/plain"), given.get("MessageBody", "")
            return {"type": "fixed-response", "status": int(given["StatusCode"]), "content_type": kind, "body": body}
        case _:
            given = data["RedirectConfig"]
            defaults = {"protocol": "#{protocol}", "host": "#{host}", "port": "#{port}", "query": "#{query}"}
            place = {key: given.get(key.capitalize(), default) for key, default in defaults.items()}
            path, status = given.get("Path", "/#{path}"), int(given["StatusCode"].removeprefix("HTTP_"))
            return {"type": "redirect", "path": path, "status": status, **place, "protocol": place["protocol"].lower()}
