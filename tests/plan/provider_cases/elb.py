"""Elastic Load Balancing."""

from typing import Any

from tests.plan.provider_cases import Case
from tests.plan.provider_world import World


def _forward(world: World) -> list[dict[str, Any]]:
    return [{"type": "forward", "targetGroupArn": world.target_group()}]


def _health_check(path: str, interval: int) -> dict[str, Any]:
    return {
        "enabled": True,
        "path": path,
        "port": "traffic-port",
        "protocol": "HTTP",
        "interval": interval,
        "timeout": 5,
        "healthyThreshold": 2,
        "unhealthyThreshold": 3,
        "matcher": "200-499",
    }


CASES = (
    Case(
        "aws:lb/loadBalancer:LoadBalancer",
        make=lambda world: {
            "securityGroups": [world.security_group()],
            "subnets": world.subnets[:2],
        },
        changes={
            "name": "another-name",
            "loadBalancerType": "network",
            "internal": True,
            "securityGroups": lambda world: [world.security_group()],
            "subnets": lambda world: world.subnets[1:],
        },
    ),
    Case(
        "aws:lb/targetGroup:TargetGroup",
        make=lambda world: {
            "port": 3000,
            "protocol": "HTTP",
            "vpcId": world.vpc,
            "healthCheck": _health_check("/readyz", 10),
        },
        changes={
            "name": "another-name",
            "port": 8080,
            "protocol": "HTTPS",
            "vpcId": lambda world: world.other_vpc,
            "targetType": "ip",
            "healthCheck": _health_check("/up", 15),
            "deregistrationDelay": 30,
        },
    ),
    Case(
        "aws:lb/listener:Listener",
        make=lambda world: {
            "loadBalancerArn": world.load_balancer("network"),
            "port": 80,
            "protocol": "UDP",
            "defaultActions": _forward(world),
        },
        changes={
            "loadBalancerArn": lambda world: world.load_balancer("network"),
            "port": 8080,
            "protocol": "TCP",
            "defaultActions": _forward,
        },
    ),
)
