"""What follows from a name, a CIDR or an instance type alone: pure rules, shared by the components and the settings."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

LARGEST_VPC, SMALLEST_VPC = 16, 24
"""Prefix lengths. AWS takes /16 to /28; below /24 the sixteen planned subnets would be smaller than AWS's /28."""

LARGEST_SUBNET, SMALLEST_SUBNET = 16, 28
"""Prefix lengths that AWS takes for a subnet."""

FEWEST_ZONES, MOST_ZONES = 2, 3
"""RDS wants subnets in two zones at least; a fourth zone adds cost and no availability worth it."""

NAME_LIMITS = {
    "AppServers": 64 - len("-role-1234567"),  # IAM role
    "Cache": 40 - len("-redis-1234567"),  # ElastiCache replication group
    "Database": 63 - len("-instance-1234567"),  # RDS identifier
    "LoadBalancer": 64 - len("-role-1234567"),  # IAM role
    "Network": 128,  # only tags carry it
    "Release": 63 - len("-bucket-1234567"),  # S3 bucket
}
"""Most characters in a component's name: AWS's limit for its tightest derived name, less role and random suffix."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_CIDR = re.compile(r"[0-9.]+/[0-9]+")  # Python would also take a netmask, or no prefix at all
_INSTANCE_TYPE = re.compile(
    r"([a-z]+(?:-[a-z0-9]+)?)(\d+)([a-z]*)(?:-[a-z0-9]+)?\.(nano|micro|small|medium|large|\d*xlarge|metal(?:-\d+xl)?)"
)


@dataclass(frozen=True)
class Finding:
    """One value that breaks a rule."""

    path: str
    """Of the property, such as `subnets[0].public`."""
    value: object
    rule: str
    remedy: str


@dataclass(frozen=True)
class Subnet:
    """A zone's two address ranges."""

    zone: str
    public: str
    private: str


def architecture(instance_type: str) -> str | None:
    """`arm64` or `x86_64`, told from the type's name; None when it isn't formed like an EC2 instance type.

    Graviton types carry a `g` among the letters after the generation number (t4g, c7gn); the first ones were called a1.
    https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
    """
    match = _INSTANCE_TYPE.fullmatch(instance_type)
    if match is None:
        return None
    family, _, attributes, _ = match.groups()
    return "arm64" if family == "a" or "g" in attributes else "x86_64"


def check_name(name: str, limit: int) -> list[Finding]:
    """AWS names derive from a component's name, so it must suit the strictest of them."""
    if not _NAME.fullmatch(name):
        rule = "it must be lower-case letters, digits and single hyphens, and start with a letter"
        return [Finding("name", name, rule, "Names in AWS derive from it: rename it.")]
    if len(name) > limit:
        rule = f"it must be at most {limit} characters, and has {len(name)}"
        return [Finding("name", name, rule, "AWS limits the names that derive from it: shorten it.")]
    return []


def plan_subnets(cidr: str, zones: Sequence[str]) -> list[Subnet]:
    """A public and a private sixteenth of `cidr` for each zone.

    A zone's letter decides its place, so that adding or dropping a zone moves no other: us-east-1a has blocks 0 and 8,
    us-east-1b has 1 and 9. Needs a CIDR without findings; ValueError for a zone past h (AWS has none).
    """
    blocks = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=4))
    return [Subnet(zone, str(blocks[place]), str(blocks[8 + place])) for zone in zones for place in (_place(zone),)]


def check_vpc(cidr: str) -> list[Finding]:
    """What is wrong with a VPC's CIDR."""
    return _check_cidr("cidr", cidr, LARGEST_VPC, SMALLEST_VPC)[1]


def check_subnets(cidr: str | None, subnets: Sequence[Subnet]) -> list[Finding]:
    """What is wrong with explicit subnets: each by itself, against each other, and against the VPC's CIDR if given."""
    findings: list[Finding] = []
    if not FEWEST_ZONES <= len(subnets) <= MOST_ZONES:
        rule = f"there must be {FEWEST_ZONES} to {MOST_ZONES} zones"
        findings.append(Finding("subnets", f"{len(subnets)} entries", rule, "Add or remove entries."))
    vpc = None if cidr is None else _check_cidr("cidr", cidr, LARGEST_VPC, SMALLEST_VPC)[0]
    zones: dict[str, int] = {}
    taken: list[tuple[str, ipaddress.IPv4Network]] = []
    for index, subnet in enumerate(subnets):
        if subnet.zone in zones:
            rule = f"each zone must appear once, and subnets[{zones[subnet.zone]}] has it already"
            findings.append(Finding(f"subnets[{index}].zone", subnet.zone, rule, "Name another zone."))
        zones.setdefault(subnet.zone, index)
        for path, text in ((f"subnets[{index}].public", subnet.public), (f"subnets[{index}].private", subnet.private)):
            network, wrong = _check_cidr(path, text, LARGEST_SUBNET, SMALLEST_SUBNET)
            findings += wrong
            if network is None:
                continue
            if vpc is not None and not network.subnet_of(vpc):
                rule = f"it must lie within network.cidr, {vpc}"
                findings.append(Finding(path, text, rule, f"Choose a part of {vpc}."))
            findings += [
                Finding(path, text, f"it must not overlap {other}, {range_}", "Choose ranges apart from each other.")
                for other, range_ in taken
                if network.overlaps(range_)
            ]
            taken.append((path, network))
    return findings


def _place(zone: str) -> int:
    letter = zone[-1:]
    if letter not in "abcdefgh" or not letter:
        raise ValueError(f"zone {zone!r} doesn't end in a letter from a to h: give `subnets` explicitly")
    return ord(letter) - ord("a")


def _check_cidr(
    path: str, text: str, largest: int, smallest: int
) -> tuple[ipaddress.IPv4Network | None, list[Finding]]:
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError:
        interface = None
    if interface is None or not _CIDR.fullmatch(text):
        return None, [Finding(path, text, "it must be an IPv4 CIDR", "Write it like 10.20.0.0/16.")]
    network = interface.network
    if interface.ip != network.network_address:
        rule = "it must have no bits set behind its prefix"
        return None, [Finding(path, text, rule, f"Did you mean {network}?")]
    if not largest <= network.prefixlen <= smallest:
        rule = f"its prefix must be /{largest} (largest) to /{smallest} (smallest)"
        return None, [Finding(path, text, rule, "Choose another size.")]
    if network.is_multicast or network.is_loopback or network.is_link_local or network.is_reserved:
        return None, [Finding(path, text, "it must be usable for hosts", "Choose a private range, like 10.20.0.0/16.")]
    return network, []
