"""Networks through the provider: what AWS keeps while something uses it, and what goes in which order."""

from typing import Any

import pytest

from tests.plan.lab_api_server import PLAIN_X86, ApiServer
from tests.plan.provider_client import Made, ProviderCallError, ProviderClient
from tests.plan.provider_world import World

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
INTERNET_GATEWAY = "aws:ec2/internetGateway:InternetGateway"
NAT_GATEWAY = "aws:ec2/natGateway:NatGateway"
TABLE = "aws:ec2/routeTable:RouteTable"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
ADDRESS = "aws:ec2/eip:Eip"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
RULE = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
LISTENER = "aws:lb/listener:Listener"
S3 = "com.amazonaws.us-east-1.s3"


@pytest.fixture
def ec2(api: ApiServer) -> Any:
    return api.client("ec2")


def refused(made: Made, message: str) -> None:
    """The resource can't be deleted, for the reason that AWS gives, and is still there."""
    with pytest.raises(ProviderCallError, match=message):
        made.delete()
    assert made.read()[0] == made.id


def endpoint_routes(ec2: Any, table: str) -> list[str]:
    """Endpoints that a table leads to."""
    routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    return [route["GatewayId"] for route in routes if route.get("GatewayId", "").startswith("vpce-")]


def test_a_network_goes_from_the_inside_out_only(provider: ProviderClient, ec2: Any) -> None:
    vpc = Made(provider, VPC, {"cidrBlock": "10.90.0.0/16"})
    kept = "DependencyViolation.* has dependencies and cannot be deleted"
    default = Made(provider, DEFAULT_GROUP, {"vpcId": vpc.id})
    for kind, inputs in (
        (SUBNET, {"cidrBlock": "10.90.1.0/24"}),
        (INTERNET_GATEWAY, {}),
        (TABLE, {}),
        (GROUP, {}),
        (ENDPOINT, {"serviceName": S3}),
    ):
        inside = Made(provider, kind, {"vpcId": vpc.id, **inputs})
        refused(vpc, kept)
        inside.delete()
    with pytest.raises(ec2.exceptions.ClientError, match="CannotDelete"):
        ec2.delete_security_group(GroupId=default.id)
    default.delete()
    assert default.read()[0] == default.id, "a default group is let go, and stays"
    vpc.delete()
    assert vpc.read()[0] == ""
    assert default.read()[0] == "", "and goes with its VPC"


def test_a_machine_keeps_its_subnet_its_group_and_the_way_to_it(provider: ProviderClient, ec2: Any) -> None:
    vpc = Made(provider, VPC, {"cidrBlock": "10.91.0.0/16"})
    gateway = Made(provider, INTERNET_GATEWAY, {"vpcId": vpc.id})
    subnet = Made(provider, SUBNET, {"vpcId": vpc.id, "cidrBlock": "10.91.1.0/24", "mapPublicIpOnLaunch": True})
    group = Made(provider, GROUP, {"vpcId": vpc.id})
    machine = ec2.run_instances(
        ImageId=PLAIN_X86.id, MinCount=1, MaxCount=1, SubnetId=subnet.id, SecurityGroupIds=[group.id]
    )["Instances"][0]["InstanceId"]
    refused(subnet, "DependencyViolation.*The subnet 'subnet-.*' has dependencies")
    refused(group, "DependencyViolation.*resource sg-.* has a dependent object")
    refused(gateway, "DependencyViolation.*has some mapped public address")
    ec2.terminate_instances(InstanceIds=[machine])
    for made in (gateway, group, subnet, vpc):
        made.delete()
        assert made.read()[0] == ""


def test_a_rule_keeps_the_group_that_it_names(provider: ProviderClient, world: World) -> None:
    named, owner = (Made(provider, GROUP, {"vpcId": world.vpc}) for _ in range(2))
    given = {"ipProtocol": "tcp", "fromPort": 80, "toPort": 80, "referencedSecurityGroupId": named.id}
    rule = Made(provider, RULE, {"securityGroupId": owner.id, **given})
    Made(provider, RULE, {"securityGroupId": named.id, **given})
    refused(named, "DependencyViolation.*has a dependent object")
    rule.delete()
    named.delete()  # its own rule, which names it too, goes along
    owner.delete()


def test_a_nat_gateway_frees_its_address_and_its_subnet(provider: ProviderClient, ec2: Any, world: World) -> None:
    address, subnet = Made(provider, ADDRESS, {}), world.subnet()
    gateway = Made(provider, NAT_GATEWAY, {"subnetId": subnet, "allocationId": address.id})
    with pytest.raises(ec2.exceptions.ClientError, match="DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnet)
    gateway.delete()
    assert "AssociationId" not in ec2.describe_addresses(AllocationIds=[address.id])["Addresses"][0]
    address.delete()
    ec2.delete_subnet(SubnetId=subnet)


def test_an_endpoint_is_in_the_tables_that_the_program_names(provider: ProviderClient, ec2: Any, world: World) -> None:
    first, second, third = (world.route_table() for _ in range(3))
    endpoint = Made(provider, ENDPOINT, {"vpcId": world.vpc, "serviceName": S3, "routeTableIds": [first, second]})
    endpoint.update(routeTableIds=[second, third])
    assert [endpoint_routes(ec2, table) for table in (first, second, third)] == [[], [endpoint.id], [endpoint.id]]
    ec2.delete_route_table(RouteTableId=third)
    endpoint.delete()
    assert endpoint.read()[0] == ""
    assert endpoint_routes(ec2, second) == []


def test_a_subnet_has_one_table_and_takes_its_association_along(
    provider: ProviderClient, ec2: Any, world: World
) -> None:
    subnet, first, second = world.subnet(), world.route_table(), world.route_table()
    association = Made(provider, ASSOCIATION, {"subnetId": subnet, "routeTableId": first})
    with pytest.raises(ProviderCallError, match=r"Resource\.AlreadyAssociated"):
        Made(provider, ASSOCIATION, {"subnetId": subnet, "routeTableId": second})
    for table in (second, first, second):
        association.update(routeTableId=table)
        assert association.read()[2]["routeTableId"] == table, "also when AWS has renamed the association"
    ec2.delete_subnet(SubnetId=subnet)
    assert association.read()[0] == ""
    ec2.delete_route_table(RouteTableId=second)


@pytest.mark.parametrize(
    "action",
    [
        {
            "type": "redirect",
            "redirect": {
                "host": "www.shop.example",
                "path": "/#{path}",
                "port": "443",
                "protocol": "HTTPS",
                "query": "#{query}",
                "statusCode": "HTTP_301",
            },
        },
        {
            "type": "fixed-response",
            "fixedResponse": {"contentType": "text/plain", "messageBody": "not here", "statusCode": "404"},
        },
    ],
)
def test_a_listener_redirects_or_answers_by_itself(
    provider: ProviderClient, world: World, action: dict[str, Any]
) -> None:
    place = {"loadBalancerArn": world.load_balancer(), "port": 80, "protocol": "HTTP"}
    made = Made(provider, LISTENER, {**place, "defaultActions": [action]})
    assert made.read()[2]["defaultActions"] == [action], "a refresh finds what was given"
    made.update(defaultActions=[{"type": "forward", "targetGroupArn": world.target_group()}])
    assert made.read()[2]["defaultActions"][0]["type"] == "forward"
