"""What VPC refuses to take away while something uses it; moto takes away most of it.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (DependencyViolation, CannotDelete)
"""

from collections.abc import Iterable
from typing import Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models.internet_gateways import InternetGatewayBackend
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses.security_groups import SecurityGroups

from lab.api.patching import around


def install() -> None:
    """Change moto's VPC. Once a process, before the first request."""
    around(VPCBackend, "delete_vpc", _delete_vpc)
    around(SubnetBackend, "delete_subnet", _delete_subnet)
    around(SecurityGroupBackend, "delete_security_group", _delete_security_group)
    around(SecurityGroups, "delete_security_group", _delete_no_default_group)
    around(InternetGatewayBackend, "detach_internet_gateway", _detach_internet_gateway)


def _delete_vpc(original: Any, backend: Any, vpc_id: str) -> Any:
    """moto asks for subnets and route tables only."""
    gateways = (gateway for gateway in backend.internet_gateways.values() if gateway.vpc and gateway.vpc.id == vpc_id)
    groups = (group for group in list(backend.groups.get(vpc_id, {}).values()) if not group.is_default)
    endpoints = (
        endpoint
        for endpoint in backend.vpc_end_points.values()
        if endpoint.vpc_id == vpc_id and endpoint.state != "deleted"
    )
    if any(gateways) or any(groups) or any(endpoints):
        raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    return original(backend, vpc_id)


def _delete_subnet(original: Any, backend: Any, subnet_id: str) -> Any:
    """AWS keeps a subnet that has an interface, and ends a route table's association with one that goes."""
    if any(interface.subnet.id == subnet_id for interface in _interfaces(backend)):
        raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
    subnet = original(backend, subnet_id)
    for table in backend.route_tables.values():
        for association in [key for key, target in table._associations.items() if target == subnet_id]:
            del table._associations[association]
    return subnet


def _delete_security_group(original: Any, backend: Any, name: str | None = None, group_id: str | None = None) -> Any:
    """AWS keeps a group that an interface has, or that a rule of another group names."""
    interfaces = (group.id == group_id for interface in _interfaces(backend) for group in interface.group_set)
    rules = (
        rule.source_group.get("GroupId") == group_id
        for groups in list(backend.groups.values())
        for group in groups.values()
        if group.id != group_id
        for rule in (*group.ingress_rules, *group.egress_rules)
    )
    if group_id and (any(interfaces) or any(rules)):
        raise DependencyViolationError(f"resource {group_id} has a dependent object")
    return original(backend, name=name, group_id=group_id)


def _delete_no_default_group(original: Any, response: Any) -> Any:
    """Only AWS itself deletes a VPC's default group, with the VPC."""
    identifier = response._get_param("GroupId")
    group = response.ec2_backend.get_security_group_from_id(identifier)
    if group and group.is_default:
        raise EC2ClientError(
            "CannotDelete", f'the specified group: "{identifier}" name: "default" cannot be deleted by a user'
        )
    return original(response)


def _detach_internet_gateway(original: Any, backend: Any, internet_gateway_id: str, vpc_id: str) -> Any:
    """AWS keeps the way to a public address."""
    if any(interface.public_ip and interface.subnet.vpc_id == vpc_id for interface in _interfaces(backend)):
        raise DependencyViolationError(
            f"Network {vpc_id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway."
        )
    return original(backend, internet_gateway_id, vpc_id)


def _interfaces(backend: Any) -> Iterable[Any]:
    """All network interfaces that AWS would still have: moto keeps those of machines that are gone."""
    for interface in list(backend.enis.values()):
        if not (interface.instance and interface.instance.state == "terminated"):
            yield interface
