"""The network as moto's EC2 API describes it, and what `from_api` makes of that."""

import copy
from collections.abc import Generator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab.network import addresses, model
from lab.network.model import ANYWHERE, Direction, Group, Machine, PrefixList, Rule, ServiceMachine, WayOut

IMAGE = "ami-12c6146b"  # one of moto's own


class World:
    """A VPC with a public, a private and an isolated subnet, one instance in each."""

    def __init__(self) -> None:
        self.ec2 = boto3.client("ec2", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        self.vpc = self.ec2.create_vpc(CidrBlock="10.98.0.0/16")["Vpc"]["VpcId"]
        self.public, self.private, self.isolated = (
            self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.98.{index}.0/24")["Subnet"]["SubnetId"]
            for index in range(3)
        )
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        self._route(self.public, GatewayId=gateway)
        allocation = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        nat = self.ec2.create_nat_gateway(SubnetId=self.public, AllocationId=allocation)["NatGateway"]
        self._route(self.private, NatGatewayId=nat["NatGatewayId"])
        self.group = self.ec2.create_security_group(GroupName="web", Description="web", VpcId=self.vpc)["GroupId"]
        self.edge, self.app, self.lone = (
            self._instance(subnet) for subnet in (self.public, self.private, self.isolated)
        )

    def _route(self, subnet: str, **target: str) -> None:
        table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)

    def _instance(self, subnet: str) -> str:
        answer = self.ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[self.group]
        )
        return answer["Instances"][0]["InstanceId"]

    def answers(self) -> dict[str, Any]:
        """What `from_api` takes. moto gives public addresses in 127.0.0.0/8; the lab's API does so in its own range."""
        elastic = self.ec2.describe_addresses()["Addresses"]
        gateways = self.ec2.describe_nat_gateways()["NatGateways"]
        for gateway in gateways:
            gateway["NatGatewayAddresses"][0]["PublicIp"] = "198.51.100.20"
        for item in elastic:
            item["PublicIp"] = "198.51.100.10"
        return {
            "reservations": self.ec2.describe_instances()["Reservations"],
            "security_groups": self.ec2.describe_security_groups()["SecurityGroups"],
            "subnets": self.ec2.describe_subnets()["Subnets"],
            "route_tables": self.ec2.describe_route_tables()["RouteTables"],
            "elastic_addresses": elastic,
            "nat_gateways": gateways,
        }

    def give_address(self, instance: str) -> None:
        allocation = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        self.ec2.associate_address(AllocationId=allocation, InstanceId=instance)


@pytest.fixture
def world() -> Generator[World]:
    with mock_aws():
        yield World()


def machines(answers: dict[str, Any]) -> dict[str, Machine]:
    return {machine.id: machine for machine in model.from_api(**answers).machines}


def test_the_route_table_of_the_subnet_decides_the_way_out(world: World) -> None:
    world.give_address(world.edge)
    found = machines(world.answers())
    edge, app, lone = found[world.edge], found[world.app], found[world.lone]
    assert edge.way_out is WayOut.INTERNET_GATEWAY, "a public subnet and a public address"
    assert edge.public_address == edge.outside_address == IPv4Address("198.51.100.10"), "the Elastic IP"
    assert app.way_out is WayOut.NAT, "a private subnet"
    assert app.public_address is None, "nobody can call it"
    assert app.outside_address == IPv4Address("198.51.100.20"), "it is seen as the NAT gateway"
    assert lone.way_out is WayOut.NONE, "the main route table has no way to the internet"
    assert lone.outside_address is None, "nobody sees it"


def test_a_public_subnet_without_a_public_address_is_no_way_out(world: World) -> None:
    assert machines(world.answers())[world.edge].way_out is WayOut.NONE, "as on AWS"


def test_a_public_address_in_a_private_subnet_stays_unreachable(world: World) -> None:
    world.give_address(world.app)
    app = machines(world.answers())[world.app]
    assert app.way_out is WayOut.NAT, "the route table says NAT"
    assert app.outside_address == IPv4Address("198.51.100.20"), "so that is how it is seen"


@pytest.mark.parametrize("state", ["pending", "deleted", "failed"])
def test_a_nat_gateway_that_is_not_available_is_no_way_out(world: World, state: str) -> None:
    answers = world.answers()
    answers["nat_gateways"][0]["State"] = state
    assert machines(answers)[world.app].way_out is WayOut.NONE, f"the gateway is {state}"


def test_a_nat_gateway_in_a_private_subnet_is_no_way_out(world: World) -> None:
    answers = world.answers()
    answers["nat_gateways"][0]["SubnetId"] = world.private
    assert machines(answers)[world.app].way_out is WayOut.NONE, "it has itself no internet gateway"


def test_rules_of_every_kind_are_read(world: World) -> None:
    lists = world.ec2.describe_managed_prefix_lists()["PrefixLists"]
    s3 = next(item["PrefixListId"] for item in lists if item["PrefixListName"].endswith(".s3"))
    world.ec2.authorize_security_group_ingress(
        GroupId=world.group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
            {"IpProtocol": "17", "FromPort": 53, "ToPort": 53, "UserIdGroupPairs": [{"GroupId": world.group}]},
            {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.98.0.0/16"}]},
        ],
    )
    world.ec2.authorize_security_group_egress(
        GroupId=world.group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "PrefixListIds": [{"PrefixListId": s3}]}],
    )
    rules = {rule for rule in model.from_api(**world.answers()).rules if rule.group == world.group}
    assert rules == {
        Rule(world.group, Direction.INGRESS, "tcp", 80, 81, ANYWHERE),
        Rule(world.group, Direction.INGRESS, "udp", 53, 53, Group(world.group)),
        Rule(world.group, Direction.INGRESS, "icmp", 8, None, IPv4Network("10.98.0.0/16")),
        Rule(world.group, Direction.EGRESS, "tcp", 443, 443, PrefixList(s3)),
        Rule(world.group, Direction.EGRESS, "all", None, None, ANYWHERE),
    }, "each rule with its peer; IPv6 has none, for no machine has such an address"


def test_a_terminated_instance_is_gone_and_a_stopped_one_keeps_its_place(world: World) -> None:
    world.ec2.terminate_instances(InstanceIds=[world.app])
    world.ec2.stop_instances(InstanceIds=[world.lone])
    found = machines(world.answers())
    assert set(found) == {world.edge, world.lone}, "the terminated one is gone"


def test_the_labs_own_machines_stand_where_their_service_was_put(world: World) -> None:
    database = ServiceMachine("db-1", IPv4Address("10.98.1.200"), frozenset({world.group}), world.private)
    found = {machine.id: machine for machine in model.from_api(**world.answers(), services=[database]).machines}
    assert found["db-1"].vpc == world.vpc, "the subnet's VPC"
    assert found["db-1"].way_out is WayOut.NAT, "the subnet's way out"


def test_the_order_of_the_answers_does_not_matter(world: World) -> None:
    answers = world.answers()
    backwards = {key: list(reversed(copy.deepcopy(value))) for key, value in answers.items()}
    assert model.from_api(**answers) == model.from_api(**backwards), "equal networks"


def test_what_the_lab_cannot_be_is_said(world: World) -> None:
    answers = world.answers()
    edge = machines(answers)[world.edge]
    twin = ServiceMachine("db-twin", edge.address, frozenset(), world.public)
    with pytest.raises(model.NetworkError, match=f"both have the address {edge.address}"):
        model.from_api(**answers, services=[twin])
    stray = ServiceMachine("db-stray", IPv4Address("10.98.7.7"), frozenset(), "subnet-gone")
    with pytest.raises(model.NetworkError, match="db-stray is in subnet-gone"):
        model.from_api(**answers, services=[stray])
    for address in ("203.0.113.5", str(addresses.HOST)):
        wrong = copy.deepcopy(answers)
        wrong["elastic_addresses"] = [{"InstanceId": world.edge, "PublicIp": address}]
        with pytest.raises(model.NetworkError, match=f"has the public address {address}"):
            model.from_api(**wrong)


def test_an_elastic_address_that_has_moved_is_its_new_machines_alone(world: World) -> None:
    answers = world.answers()
    address = {"InstanceId": world.edge, "PublicIp": "198.51.100.10"}
    for reservation in answers["reservations"]:
        for instance in reservation["Instances"]:
            if instance["InstanceId"] == world.lone:
                # The machine that had it before, as the API still describes it while that shuts down.
                instance["SubnetId"] = world.public
                instance["PublicIpAddress"] = "198.51.100.10"
    answers["elastic_addresses"] = [address]
    network = model.from_api(**answers)
    holders = [each.id for each in network.machines if each.public_address == IPv4Address("198.51.100.10")]
    assert holders == [world.edge], "two machines at one address are no ruleset"
    answers["elastic_addresses"] = [address | {"InstanceId": ""}]
    nobodys = model.from_api(**answers)
    assert all(each.public_address != IPv4Address("198.51.100.10") for each in nobodys.machines)
