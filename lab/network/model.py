"""What the API says about the network, reduced to what decides the fate of a packet. Pure."""

import enum
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from lab.network import addresses

Json = Mapping[str, Any]
"""One element of a boto3 response."""

ANYWHERE = IPv4Network("0.0.0.0/0")
IP_PROTOCOLS = {"-1": "all", "1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
"""Protocol numbers for which EC2 also accepts, and answers with, a name."""


class NetworkError(Exception):
    """The API describes a network that the lab can't be."""


class WayOut(enum.Enum):
    """How a machine reaches the internet, as its subnet's route table says."""

    INTERNET_GATEWAY = "igw"
    """By its own public address. A machine in a public subnet without one has no way out, as on AWS."""
    NAT = "nat"
    """By the public address of a NAT gateway; nothing comes in."""
    NONE = "none"


class Direction(enum.Enum):
    """As seen from the machine: ingress is what it receives."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True)
class Group:
    """A peer: the machines of a security group, by their private addresses."""

    id: str


@dataclass(frozen=True)
class PrefixList:
    """A peer: an AWS-managed prefix list (S3, DynamoDB). In the lab all of them are the API's one address."""

    id: str


@dataclass(frozen=True)
class Rule:
    """One security group rule with one peer. Whatever no rule allows is dropped without an answer."""

    group: str
    direction: Direction
    protocol: str
    """`all`, `tcp`, `udp`, `icmp`, or the number of another IP protocol."""
    first: int | None
    """First port, or the ICMP type; None for any."""
    last: int | None
    """Last port, or the ICMP code; None for any."""
    peer: IPv4Network | Group | PrefixList


@dataclass(frozen=True)
class Machine:
    """One machine on the network: an EC2 instance, or a machine behind a managed service."""

    id: str
    address: IPv4Address
    groups: frozenset[str]
    subnet: str
    vpc: str
    way_out: WayOut
    public_address: IPv4Address | None = None
    """The machine's own, auto-assigned or Elastic; reachable from outside only if `way_out` is the internet gateway."""
    nat_address: IPv4Address | None = None
    """The NAT gateway's, if `way_out` is one."""

    @property
    def outside_address(self) -> IPv4Address | None:
        """Whom the internet sees when this machine calls; None when it has no way out."""
        return self.public_address if self.way_out is WayOut.INTERNET_GATEWAY else self.nat_address


@dataclass(frozen=True)
class Network:
    """The network that should be. Equal networks compile to equal rulesets."""

    machines: tuple[Machine, ...]
    """Ordered by address."""
    rules: frozenset[Rule]
    subnets: frozenset[IPv4Network]


@dataclass(frozen=True)
class ServiceMachine:
    """A machine of the lab's own behind a managed service, in the groups and the subnet that the service was given."""

    id: str
    address: IPv4Address
    groups: frozenset[str]
    subnet: str
    public_address: IPv4Address | None = None


def from_api(
    *,
    reservations: Iterable[Json],
    security_groups: Iterable[Json],
    subnets: Iterable[Json],
    route_tables: Iterable[Json],
    elastic_addresses: Iterable[Json] = (),
    nat_gateways: Iterable[Json] = (),
    services: Iterable[ServiceMachine] = (),
) -> Network:
    """The network of these `describe_*` answers (each the list inside the response, all pages).

    Instances that are terminated have no address any more and are left out. IPv6 is not emulated: such rules and
    addresses are passed over. Raises NetworkError for what the lab can't do.
    """
    subnet_list = list(subnets)
    vpcs: dict[str, str] = {subnet["SubnetId"]: subnet["VpcId"] for subnet in subnet_list}
    routing = _Routing(vpcs, list(route_tables), list(nat_gateways))
    # Whose an Elastic IP is, it says itself: moto leaves it with an instance that had it before, too.
    elastic = {item["PublicIp"]: item.get("InstanceId") for item in elastic_addresses}
    holders = {holder: address for address, holder in elastic.items() if holder}

    machines: list[Machine] = []
    for reservation in reservations:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] != "terminated":
                own = instance.get("PublicIpAddress")
                public = holders.get(instance["InstanceId"]) or (None if own in elastic else own)
                described = ServiceMachine(
                    instance["InstanceId"],
                    IPv4Address(instance["PrivateIpAddress"]),
                    frozenset(group["GroupId"] for group in instance["SecurityGroups"]),
                    instance["SubnetId"],
                )
                machines.append(routing.place(described, IPv4Address(public) if public else None))
    machines += [routing.place(service, service.public_address) for service in services]
    machines.sort(key=lambda machine: machine.address)

    problems = _problems(machines)
    if problems:
        raise NetworkError("; ".join(problems))
    return Network(
        machines=tuple(machines),
        rules=frozenset(rule for group in security_groups for rule in _rules(group)),
        subnets=frozenset(IPv4Network(subnet["CidrBlock"]) for subnet in subnet_list),
    )


def _problems(machines: list[Machine]) -> list[str]:
    problems = [
        f"{machine.id} and {other.id} both have the address {machine.address}; "
        "the lab is one router and can't tell them apart, even in different VPCs"
        for machine, other in itertools.pairwise(machines)
        if machine.address == other.address
    ]
    for machine in machines:
        public = machine.public_address
        if public is not None and (public not in addresses.PUBLIC or public == addresses.HOST):
            problems.append(
                f"{machine.id} has the public address {public}; the lab's come from {addresses.PUBLIC}, "
                f"without {addresses.HOST}, which is this host"
            )
    return problems


class _Routing:
    """Which way a subnet's packets take: its own route table, or else its VPC's main one."""

    def __init__(self, vpcs: Mapping[str, str], route_tables: list[Json], nat_gateways: list[Json]) -> None:
        self._vpcs = vpcs
        self._nat_gateways = {gateway["NatGatewayId"]: gateway for gateway in nat_gateways}
        self._by_subnet: dict[str, Json] = {}
        self._main: dict[str, Json] = {}
        for table in route_tables:
            for association in table["Associations"]:
                if association.get("SubnetId"):
                    self._by_subnet[association["SubnetId"]] = table
                elif association.get("Main"):
                    self._main[table["VpcId"]] = table

    def place(self, machine: ServiceMachine, public: IPv4Address | None) -> Machine:
        if machine.subnet not in self._vpcs:
            raise NetworkError(f"{machine.id} is in {machine.subnet}, which the API doesn't list")
        route = self._default_route(machine.subnet)
        nat = self._nat_address(route)
        if public and _is_internet_gateway(route):
            way_out = WayOut.INTERNET_GATEWAY
        else:
            way_out = WayOut.NAT if nat else WayOut.NONE
        return Machine(
            id=machine.id,
            address=machine.address,
            groups=machine.groups,
            subnet=machine.subnet,
            vpc=self._vpcs[machine.subnet],
            way_out=way_out,
            public_address=public,
            nat_address=nat,
        )

    def _default_route(self, subnet: str) -> Json:
        table = self._by_subnet.get(subnet) or self._main.get(self._vpcs.get(subnet, ""))
        for route in table["Routes"] if table else ():
            if route.get("DestinationCidrBlock") == str(ANYWHERE) and route.get("State") != "blackhole":
                return route
        return {}

    def _nat_address(self, route: Json) -> IPv4Address | None:
        """The public address of the route's NAT gateway, if that works: available, and itself in a public subnet."""
        gateway = self._nat_gateways.get(route.get("NatGatewayId") or "")
        if gateway is None or gateway["State"] != "available":
            return None
        if not _is_internet_gateway(self._default_route(gateway["SubnetId"])):
            return None
        public = [item["PublicIp"] for item in gateway["NatGatewayAddresses"] if item.get("PublicIp")]
        return IPv4Address(public[0]) if public else None


def _is_internet_gateway(route: Json) -> bool:
    return (route.get("GatewayId") or "").startswith("igw-")


def _rules(group: Json) -> Iterable[Rule]:
    for direction, key in ((Direction.INGRESS, "IpPermissions"), (Direction.EGRESS, "IpPermissionsEgress")):
        for permission in group[key]:
            number = str(permission["IpProtocol"])
            protocol = IP_PROTOCOLS.get(number, number)
            if protocol == "icmpv6":
                continue
            limits = (permission.get("FromPort"), permission.get("ToPort"))
            if protocol == "all" or protocol.isdigit():
                limits = (None, None)
            first, last = (None if limit in (None, -1) else int(limit) for limit in limits)
            for peer in _peers(permission):
                yield Rule(group["GroupId"], direction, protocol, first, last, peer)


def _peers(permission: Json) -> Iterable[IPv4Network | Group | PrefixList]:
    for item in permission.get("IpRanges", ()):
        yield IPv4Network(item["CidrIp"], strict=False)
    for item in permission.get("UserIdGroupPairs", ()):
        yield Group(item["GroupId"])
    for item in permission.get("PrefixListIds", ()):
        yield PrefixList(item["PrefixListId"])
