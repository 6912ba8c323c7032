"""VPC: security groups and their rules."""

from typing import Any

from tests.plan.provider_cases import Case, Together
from tests.plan.provider_world import World


def _instead_of_a_range(key: str, value: Any) -> Any:
    """Another kind of peer replaces."""

    def change(world: World) -> Together:
        return Together(
            {"cidrIpv4": None, key: value(world) if callable(value) else value}, frozenset({"cidrIpv4", key})
        )

    return change


def _rule(kind: str) -> Case:
    return Case(
        f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule",
        make=lambda world: {
            "securityGroupId": world.security_group(),
            "ipProtocol": "tcp",
            "fromPort": 443,
            "toPort": 443,
            "cidrIpv4": "192.0.2.0/24",
            "description": "for a test",
        },
        changes={
            "securityGroupId": lambda world: world.security_group(),
            "ipProtocol": "udp",
            "fromPort": 80,
            "toPort": 444,
            "cidrIpv4": "198.51.100.0/24",
            "cidrIpv6": _instead_of_a_range("cidrIpv6", "2001:db8::/32"),
            "referencedSecurityGroupId": _instead_of_a_range(
                "referencedSecurityGroupId", lambda world: world.security_group()
            ),
            "prefixListId": _instead_of_a_range("prefixListId", "pl-12345678"),
            "description": "for another test",
        },
    )


CASES = (
    Case(
        "aws:ec2/securityGroup:SecurityGroup",
        make=lambda world: {"vpcId": world.vpc, "description": "for a test"},
        changes={
            "name": "another-name",
            "vpcId": lambda world: world.other_vpc,
            "description": "for another test",
        },
    ),
    Case(
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        make=lambda world: {"vpcId": world.new_vpc()},
        changes={"vpcId": lambda world: world.new_vpc()},
        leaves_nothing=False,
    ),
    _rule("Ingress"),
    _rule("Egress"),
)
