"""The VPC: public subnets for the edge, private ones for everything behind it, over two or three zones."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import state
from ._checks import require, require_names
from .planning import (
    FEWEST_ZONES,
    INSTANCE_TYPE,
    NAT,
    ZONES,
    Each,
    Finding,
    Subnet,
    check_subnets,
    check_vpc,
    choose_zones,
    plan_subnets,
)

DEFAULT_CIDR = "10.20.0.0/16"
ANYWHERE = "0.0.0.0/0"


class SubnetArgs(TypedDict):
    """One availability zone's address ranges."""

    zone: str
    """Availability zone, such as us-east-1a."""
    public: str
    """CIDR of the zone's public subnet."""
    private: str
    """CIDR of the zone's private subnet."""


class NetworkArgs(TypedDict):
    """Arguments of Network."""

    cidr: NotRequired[str]
    """The VPC's IPv4 range, /16 to /24. Default: 10.20.0.0/16."""
    zones: NotRequired[int]
    """Number of availability zones, 2 or 3, when `subnets` isn't given. Default: 2."""
    subnets: NotRequired[list[SubnetArgs]]
    """The subnets, one entry for each zone. Default: sixteenths of `cidr`, placed by the zone's letter."""
    instance_types: NotRequired[list[str]]
    """EC2 instance types that zones have to offer; zones that the network stands in are kept. Default: none."""
    nat: NotRequired[str]
    """How private subnets call out: `gateway`, or `none` for not at all. Default: gateway."""
    nat_per_zone: NotRequired[bool]
    """A NAT gateway in each zone, so that losing one zone cuts off no other; else one for all. Default: true."""


class Network(pulumi.ComponentResource):
    """A VPC with public and private subnets, ways to the internet, and an S3 endpoint."""

    vpc_id: pulumi.Output[str]
    """The VPC."""
    public_subnet_ids: pulumi.Output[list[str]]
    """Public subnets, one for each zone; known once their way to the internet is there."""
    private_subnet_ids: pulumi.Output[list[str]]
    """Private subnets, one for each zone; known once their way to the internet, if any, is there."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:Network", name, None, opts)
        require_names("Network", name, args, NetworkArgs)
        subnets = _plan(name, args, self)
        self._prefix, self._child = name, pulumi.ResourceOptions(parent=self)
        self._vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.get("cidr", DEFAULT_CIDR),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": name},
            opts=self._child,
        )
        # What joins the VPC without naming a security group gets this one: without rules it lets nothing through.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=self._vpc.id, opts=self._child)

        public = {each.zone: self._create_subnet("public", each.zone, each.public) for each in subnets}
        private = {each.zone: self._create_subnet("private", each.zone, each.private) for each in subnets}
        public_table = self._create_table("public", public)
        private_tables = {zone: self._create_table(f"private-{zone}", {zone: private[zone]}) for zone in private}
        to_internet = self._create_internet(public_table)
        to_nat = self._create_nat(args, public, private_tables, to_internet)
        self._create_s3_endpoint([public_table, *private_tables.values()])

        self.vpc_id = self._vpc.id
        self.public_subnet_ids = _ids(public, after=[to_internet])
        self.private_subnet_ids = _ids(private, after=to_nat)
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "public_subnet_ids": self.public_subnet_ids,
                "private_subnet_ids": self.private_subnet_ids,
            }
        )

    def _create_subnet(self, kind: str, zone: str, cidr: str) -> "aws.ec2.Subnet":
        name = f"{self._prefix}-{kind}-{zone}"
        return aws.ec2.Subnet(
            name,
            vpc_id=self._vpc.id,
            cidr_block=cidr,
            availability_zone=zone,
            # An edge machine needs an address of its own until it has claimed its elastic one.
            map_public_ip_on_launch=kind == "public",
            tags={"Name": name},
            opts=self._child,
        )

    def _create_table(self, role: str, subnets: "Mapping[str, aws.ec2.Subnet]") -> "aws.ec2.RouteTable":
        name = f"{self._prefix}-{role}"
        table = aws.ec2.RouteTable(f"{name}-routes", vpc_id=self._vpc.id, tags={"Name": name}, opts=self._child)
        for zone, subnet in subnets.items():
            name = f"{self._prefix}-{role.removesuffix(f'-{zone}')}-{zone}-routes"
            aws.ec2.RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=table.id, opts=self._child)
        return table

    def _create_internet(self, table: "aws.ec2.RouteTable") -> "aws.ec2.Route":
        name = f"{self._prefix}-internet"
        gateway = aws.ec2.InternetGateway(name, vpc_id=self._vpc.id, tags={"Name": self._prefix}, opts=self._child)
        return aws.ec2.Route(
            name,
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=self._child,
        )

    def _create_nat(
        self,
        args: NetworkArgs,
        public: "Mapping[str, aws.ec2.Subnet]",
        tables: "Mapping[str, aws.ec2.RouteTable]",
        to_internet: "aws.ec2.Route",
    ) -> "list[aws.ec2.Route]":
        if args.get("nat", "gateway") == "none":
            return []
        gateways: dict[str, aws.ec2.NatGateway] = {}
        for zone in public if args.get("nat_per_zone", True) else list(public)[:1]:
            name = f"{self._prefix}-nat-{zone}"
            address = aws.ec2.Eip(name, domain="vpc", tags={"Name": name}, opts=self._child)
            gateways[zone] = aws.ec2.NatGateway(
                name,
                allocation_id=address.allocation_id,
                subnet_id=public[zone].id,
                tags={"Name": name},
                opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[to_internet])),
            )
        shared = next(iter(gateways.values()))
        return [
            aws.ec2.Route(
                f"{self._prefix}-nat-{zone}",
                route_table_id=table.id,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=gateways.get(zone, shared).id,
                opts=self._child,
            )
            for zone, table in tables.items()
        ]

    def _create_s3_endpoint(self, tables: "Sequence[aws.ec2.RouteTable]") -> None:
        region = aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=self)).region
        aws.ec2.VpcEndpoint(
            f"{self._prefix}-s3",
            vpc_id=self._vpc.id,
            service_name=pulumi.Output.concat("com.amazonaws.", region, ".s3"),
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            tags={"Name": f"{self._prefix}-s3"},
            opts=self._child,
        )


def _plan(name: str, args: NetworkArgs, parent: pulumi.Resource) -> list[Subnet]:
    """The subnets to make. InputPropertiesError with all that is wrong with the arguments."""
    cidr, nat, count = args.get("cidr", DEFAULT_CIDR), args.get("nat", "gateway"), args.get("zones", FEWEST_ZONES)
    types = args.get("instance_types", [])
    findings = check_vpc(cidr) + NAT.check("nat", nat) + Each(INSTANCE_TYPE).check("instanceTypes", types)
    standing = _standing(name)
    if "subnets" in args:
        subnets = [Subnet(**each) for each in args["subnets"]]
        require("Network", name, findings + check_subnets(cidr, subnets))
        _check_offers(name, [each.zone for each in subnets], types, _offering(types, parent), standing, parent)
        return subnets
    require("Network", name, findings + ZONES.check("zones", count))
    available, offering = _zones(parent), _offering(types, parent)
    chosen = choose_zones(count, available, available if offering is None else offering, standing)
    if len(chosen) < count:
        which = f" that offer {' and '.join(types)}" if types else ""
        rule = f"the region has {len(chosen)} zones{which} ({', '.join(chosen)})"
        require("Network", name, [Finding("zones", count, rule, "Use fewer, another instance type or another region.")])
    _check_offers(name, chosen, types, offering, standing, parent)
    return plan_subnets(cidr, chosen)


def _standing(name: str) -> list[str]:
    """The zones that the network is in already."""
    prefix = f"{name}-public-"
    subnets = state.read().all(state.SUBNET)
    return [each.name.removeprefix(prefix) for each in subnets if each.name.startswith(prefix)]


def _zones(parent: pulumi.Resource) -> Sequence[str]:
    """The account's availability zones, without Local Zones, which have to be opted into."""
    return aws.get_availability_zones(
        state="available",
        filters=[aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])],
        opts=pulumi.InvokeOptions(parent=parent),
    ).names


def _offering(types: Sequence[str], parent: pulumi.Resource) -> set[str] | None:
    """The zones that offer every one of `types`; None without types, when AWS isn't asked."""

    def zones(instance_type: str) -> set[str]:
        wanted = aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=[instance_type])
        answer = aws.ec2.get_instance_type_offerings(
            location_type="availability-zone", filters=[wanted], opts=pulumi.InvokeOptions(parent=parent)
        )
        return set(answer.locations)

    return set.intersection(*(zones(each) for each in types)) if types else None


def _check_offers(
    name: str,
    zones: Sequence[str],
    types: Sequence[str],
    offering: set[str] | None,
    standing: Sequence[str],
    parent: pulumi.Resource,
) -> None:
    """Refuse a new zone that lacks an instance type; warn of one that the network stands in."""
    for index, zone in enumerate(zones):
        if offering is None or zone in offering:
            continue
        rule = f"{zone} doesn't offer {' and '.join(types)}"
        if zone in standing:
            pulumi.log.warn(f"{rule}: new machines start in the other zones", parent)
        else:
            remedy = f"Choose another type, or one of {', '.join(sorted(offering)) or 'another region'}."
            require("Network", name, [Finding(f"subnets[{index}].zone", zone, rule, remedy)])


def _ids(subnets: "Mapping[str, aws.ec2.Subnet]", after: "Sequence[aws.ec2.Route]") -> pulumi.Output[list[str]]:
    # A machine that starts before its route exists could not fetch what it needs to boot.
    ids = pulumi.Output.all(*[subnet.id for subnet in subnets.values()])
    ready = pulumi.Output.all(*[route.id for route in after])
    return pulumi.Output.all(ids, ready).apply(lambda known: known[0])
