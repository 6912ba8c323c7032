"""The VPC and its ways out."""

import pulumi
import pytest
from recording import Recording, record

from components import Network, NetworkArgs, state

SUBNET = "aws:ec2/subnet:Subnet"
ROUTE = "aws:ec2/route:Route"
NAT = "aws:ec2/natGateway:NatGateway"
EIP = "aws:ec2/eip:Eip"


def make(args: NetworkArgs, name: str = "net") -> Recording:
    def program() -> None:
        network = Network(name, args)
        pulumi.export("public", network.public_subnet_ids)
        pulumi.export("private", network.private_subnet_ids)

    return record(program)


def test_a_zones_subnets_are_planned_by_its_letter() -> None:
    subnets = {each.name: each.inputs["cidrBlock"] for each in make({"zones": 2}).all(SUBNET)}
    assert subnets == {
        "net-public-us-east-1a": "10.20.0.0/20",
        "net-public-us-east-1b": "10.20.16.0/20",
        "net-private-us-east-1a": "10.20.128.0/20",
        "net-private-us-east-1b": "10.20.144.0/20",
    }, "zones are taken in order of their names, whatever order AWS lists them in"


def test_a_third_zone_moves_no_other_subnet() -> None:
    two = {each.name: each.inputs for each in make({"zones": 2}).all(SUBNET)}
    three = {each.name: each.inputs for each in make({"zones": 3}).all(SUBNET)}
    assert two.items() <= three.items(), "growing by a zone would replace subnets that are in use"


def test_explicit_subnets_are_taken_as_they_are_and_aws_is_not_asked_for_zones() -> None:
    made = make(
        {
            "subnets": [
                {"zone": "us-east-1c", "public": "10.20.1.0/24", "private": "10.20.2.0/24"},
                {"zone": "us-east-1d", "public": "10.20.3.0/24", "private": "10.20.4.0/24"},
            ]
        }
    )
    assert made.one(SUBNET, "net-private-us-east-1d").inputs["cidrBlock"] == "10.20.4.0/24"
    assert not made.called("aws:index/getAvailabilityZones:getAvailabilityZones"), "the zones are given"


def zones(made: Recording) -> list[str]:
    """Where the network is, in its own order."""
    return [each.removeprefix("net-public-").removesuffix("-id") for each in made.outputs["public"]]


def stands_in(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """An earlier update has left subnets."""
    there = tuple(state.Standing(state.SUBNET, f"net-public-us-east-1{each}", {}) for each in names)
    monkeypatch.setattr(state, "read", lambda: state.State(there))


def test_a_new_network_goes_where_every_instance_type_is_offered() -> None:
    assert zones(make({"instance_types": ["t3.small", "m9.large"]})) == ["us-east-1b", "us-east-1c"]
    with pytest.raises(
        pulumi.InputPropertiesError, match=r"the region has 1 zones that offer x9\.large \(us-east-1a\)"
    ):
        make({"instance_types": ["x9.large"]})
    elsewhere: NetworkArgs = {
        "instance_types": ["m9.large"],
        "subnets": [
            {"zone": "us-east-1a", "public": "10.20.1.0/24", "private": "10.20.2.0/24"},
            {"zone": "us-east-1b", "public": "10.20.3.0/24", "private": "10.20.4.0/24"},
        ],
    }
    with pytest.raises(
        pulumi.InputPropertiesError, match=r"subnets\[0\]\.zone.*doesn't offer m9\.large.*us-east-1b, us"
    ):
        make(elsewhere)


def test_a_network_that_stands_keeps_its_zones_whatever_types_come(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, _: said.append(text))
    stands_in(monkeypatch, "a", "b")
    assert zones(make({"instance_types": ["m9.large"]})) == ["us-east-1a", "us-east-1b"]
    assert said == ["us-east-1a doesn't offer m9.large: new machines start in the other zones"]
    stands_in(monkeypatch, "b", "c")
    made = make({"zones": 3, "nat_per_zone": False})
    assert zones(made) == ["us-east-1b", "us-east-1c", "us-east-1a"]
    assert [each.name for each in made.all(NAT)] == ["net-nat-us-east-1b"], "the one gateway stays where it is"


def test_only_public_subnets_give_machines_public_addresses() -> None:
    given = {each.name: each.inputs["mapPublicIpOnLaunch"] for each in make({}).all(SUBNET)}
    assert given["net-public-us-east-1a"] is True
    assert given["net-private-us-east-1a"] is False, "a private machine with a public address is not private"


def test_by_default_each_zone_has_a_nat_gateway_of_its_own() -> None:
    made = make({"zones": 2})
    assert {each.name for each in made.all(NAT)} == {"net-nat-us-east-1a", "net-nat-us-east-1b"}
    route = made.one(ROUTE, "net-nat-us-east-1b")
    assert route.inputs["natGatewayId"] == "net-nat-us-east-1b-id", "a zone must not depend on another zone's gateway"


def test_one_nat_gateway_can_serve_every_zone() -> None:
    made = make({"zones": 3, "nat_per_zone": False})
    assert [each.name for each in made.all(NAT)] == ["net-nat-us-east-1a"]
    targets = {each.inputs["natGatewayId"] for each in made.all(ROUTE) if "natGatewayId" in each.inputs}
    assert targets == {"net-nat-us-east-1a-id"}, "all private subnets go out through the one gateway"
    assert len([each for each in made.all(ROUTE) if "natGatewayId" in each.inputs]) == 3


def test_without_nat_nothing_of_it_is_made() -> None:
    made = make({"nat": "none"})
    assert not made.all(NAT), "a NAT gateway costs money"
    assert not made.all(EIP), "so does an address that nothing uses"
    assert [each.name for each in made.all(ROUTE)] == ["net-internet"], "private subnets have no way out"


def test_every_subnet_is_tied_to_a_route_table() -> None:
    made = make({"zones": 3})
    tied = {each.inputs["subnetId"] for each in made.all("aws:ec2/routeTableAssociation:RouteTableAssociation")}
    assert tied == {f"{each.name}-id" for each in made.all(SUBNET)}, "an untied subnet uses the VPC's main table"


def test_the_s3_endpoint_serves_every_route_table() -> None:
    made = make({"zones": 2})
    endpoint = made.one("aws:ec2/vpcEndpoint:VpcEndpoint")
    assert endpoint.inputs["serviceName"] == "com.amazonaws.us-east-1.s3"
    tables = {f"{each.name}-id" for each in made.all("aws:ec2/routeTable:RouteTable")}
    assert set(endpoint.inputs["routeTableIds"]) == tables, (
        "releases would be fetched through the NAT gateway, for money"
    )


def test_the_default_security_group_has_no_rules() -> None:
    group = make({}).one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert set(group.inputs) == {"vpcId"}, "whatever forgets to name a group must be let nowhere"


def test_subnets_are_known_in_zone_order_once_they_have_a_way_out() -> None:
    made = make({"zones": 2})
    assert made.outputs["public"] == ["net-public-us-east-1a-id", "net-public-us-east-1b-id"]
    assert made.outputs["private"] == ["net-private-us-east-1a-id", "net-private-us-east-1b-id"]


@pytest.mark.parametrize(
    ("args", "path", "words"),
    [
        ({"cidr": "10.20.0.0"}, "cidr", "must be an IPv4 CIDR"),
        ({"cidr": "10.20.0.1/16"}, "cidr", "Did you mean 10.20.0.0/16"),
        ({"cidr": "10.20.0.0/25"}, "cidr", "/16 (largest) to /24"),
        ({"cidr": "10.0.0.0/8"}, "cidr", "/16 (largest) to /24"),
        ({"cidr": "224.0.0.0/16"}, "cidr", "usable for hosts"),
        ({"cidr": "fd00::/48"}, "cidr", "must be an IPv4 CIDR"),
        ({"zones": 1}, "zones", "2 or 3"),
        ({"zones": 4}, "zones", "2 or 3"),
        ({"nat": "instance"}, "nat", "gateway or none"),
        ({"subnets": []}, "subnets", "2 to 3 zones"),
    ],
)
def test_a_bad_argument_is_refused_by_name(args: NetworkArgs, path: str, words: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        make(args)
    assert caught.value.errors is not None
    assert [each["property_path"] for each in caught.value.errors] == [path]
    assert words in str(caught.value), "a plugin host hands on only the message"


def test_all_bad_arguments_are_refused_at_once_and_before_anything_is_registered() -> None:
    registered: list[Recording] = []

    def program() -> None:
        registered.append(make({"cidr": "10.20.0.1/16", "zones": 7, "nat": "maybe"}, name="Net"))

    with pytest.raises(pulumi.InputPropertiesError) as caught:
        program()
    assert caught.value.errors is not None
    assert {each["property_path"] for each in caught.value.errors} == {"name", "cidr", "zones", "nat"}
    assert not registered


def test_subnets_that_overlap_or_lie_outside_are_each_refused() -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        make(
            {
                "subnets": [
                    {"zone": "us-east-1a", "public": "10.20.0.0/24", "private": "10.20.0.128/25"},
                    {"zone": "us-east-1a", "public": "10.99.0.0/24", "private": "10.20.1.0/30"},
                ]
            }
        )
    assert caught.value.errors is not None
    assert {each["property_path"] for each in caught.value.errors} == {
        "subnets[0].private",
        "subnets[1].zone",
        "subnets[1].public",
        "subnets[1].private",
    }


def test_more_zones_than_the_region_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recording.ZONES", ["us-west-1a", "us-west-1c"])
    with pytest.raises(pulumi.InputPropertiesError, match="the region has 2 zones"):
        make({"zones": 3})
