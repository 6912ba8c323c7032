"""VPC: networks, subnets, routes, gateways, addresses."""

from itertools import count

from tests.plan.provider_cases import Case, Together
from tests.plan.provider_world import World

_blocks = count(1)


def _block(_world: World) -> str:
    return f"10.99.{next(_blocks)}.0/28"


CASES = (
    Case(
        "aws:ec2/vpc:Vpc",
        make=lambda _: {"cidrBlock": "10.97.0.0/16", "enableDnsHostnames": True},
        changes={"cidrBlock": "10.96.0.0/16", "enableDnsHostnames": False, "enableDnsSupport": False},
    ),
    Case(
        "aws:ec2/subnet:Subnet",
        make=lambda world: {
            "vpcId": world.vpc,
            "cidrBlock": _block(world),
            "availabilityZone": "us-east-1a",
            "mapPublicIpOnLaunch": True,
        },
        changes={
            "vpcId": lambda world: world.other_vpc,
            "cidrBlock": _block,
            "availabilityZone": "us-east-1b",
            "mapPublicIpOnLaunch": None,
        },
    ),
    Case(
        "aws:ec2/internetGateway:InternetGateway",
        make=lambda world: {"vpcId": world.new_vpc()},
        changes={"vpcId": lambda world: world.new_vpc()},
    ),
    Case(
        "aws:ec2/routeTable:RouteTable",
        make=lambda world: {"vpcId": world.vpc},
        changes={"vpcId": lambda world: world.other_vpc},
    ),
    Case(
        "aws:ec2/route:Route",
        make=lambda world: {
            "routeTableId": world.route_table(),
            "destinationCidrBlock": "0.0.0.0/0",
            "gatewayId": world.internet_gateway,
        },
        changes={
            "routeTableId": lambda world: world.route_table(),
            "destinationCidrBlock": "192.0.2.0/24",
            "gatewayId": lambda world: Together({"gatewayId": None, "natGatewayId": world.nat_gateway}),
            "natGatewayId": lambda world: Together({"gatewayId": None, "natGatewayId": world.nat_gateway}),
        },
        import_id=lambda _, inputs: f"{inputs['routeTableId']}_{inputs['destinationCidrBlock']}",
    ),
    Case(
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        make=lambda world: {"routeTableId": world.route_table(), "subnetId": world.subnet()},
        changes={"routeTableId": lambda world: world.route_table(), "subnetId": lambda world: world.subnet()},
        import_id=lambda _, inputs: f"{inputs['subnetId']}/{inputs['routeTableId']}",
    ),
    Case("aws:ec2/eip:Eip", make=lambda _: {"domain": "vpc"}, changes={"domain": "standard"}),
    Case(
        "aws:ec2/natGateway:NatGateway",
        make=lambda world: {"subnetId": world.subnets[0], "allocationId": world.address()},
        changes={
            "subnetId": lambda world: world.subnets[1],
            "allocationId": lambda world: world.address(),
        },
    ),
    Case(
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        make=lambda world: {
            "vpcId": world.vpc,
            "serviceName": "com.amazonaws.us-east-1.s3",
            "routeTableIds": [world.route_table()],
        },
        changes={
            "vpcId": lambda world: world.other_vpc,
            "serviceName": "com.amazonaws.us-east-1.dynamodb",
            "vpcEndpointType": "Interface",
            "routeTableIds": lambda world: [world.route_table()],
        },
    ),
)
