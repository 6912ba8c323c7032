"""The VPC: its address plan, its zones, and how it calls out; and the address ranges that are believed."""

import contextlib
import ipaddress
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import cast

from .findings import UNKNOWN, Finding
from .rule import choice, matching, number

LARGEST_VPC, SMALLEST_VPC = 16, 24
"""Prefix lengths. AWS takes /16 to /28; below /24 the sixteen planned subnets would be smaller than AWS's /28."""

LARGEST_SUBNET, SMALLEST_SUBNET = 16, 28
"""Prefix lengths that AWS takes for a subnet."""

FEWEST_ZONES, MOST_ZONES = 2, 3
"""RDS wants subnets in two zones at least; a fourth zone adds cost and no availability worth it."""

ZONES = number(FEWEST_ZONES, MOST_ZONES)
"""How many availability zones."""

_PARTITIONS = {
    "cn-": "aws-cn",
    "eu-isoe-": "aws-iso-e",
    "eusc-": "aws-eusc",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "us-isof-": "aws-iso-f",
}

ZONE = matching(
    r"[a-z]{2}(-[a-z]+)+-\d+[a-z]?(-[a-z]+-\d+[a-z])?", "it must be an availability zone", "Write it like us-east-1a."
)

LARGEST_RANGE = 8
"""Prefix length. More of the internet than that is nobody's proxies, and nobody's to fetch metrics."""

MOST_PROXY_RANGES = 100
"""They are in the user data, for which EC2 has 16 KB. CloudFront has about fifty."""

MOST_SCRAPER_RANGES = 20
"""Each is a rule of the machines' security group, of which AWS takes 60."""

NAT = choice(("gateway", "none"))
"""How private subnets call out."""

_CIDR = re.compile(r"[0-9.]+/[0-9]+")  # Python would also take a netmask, or no prefix at all


@dataclass(frozen=True)
class Subnet:
    """A zone's two address ranges."""

    zone: str
    public: str
    private: str


def partition(region: str) -> str:
    """The AWS partition that a region is in, told from its name, as botocore's partitions.json has them."""
    return next((name for start, name in _PARTITIONS.items() if region.startswith(start)), "aws")


def choose_zones(
    count: int, available: Collection[str], suitable: Collection[str], standing: Collection[str]
) -> list[str]:
    """The zones to be in: those that it stands in already, and then the first that suit. Fewer than `count` if need be.

    A zone that stands is kept, whether it suits or not: leaving it would take the subnets away under running machines.
    """
    there = sorted(zone for zone in standing if zone in available)
    return [*there, *sorted(zone for zone in available if zone in suitable and zone not in there)][:count]


def plan_subnets(cidr: str, zones: Sequence[str]) -> list[Subnet]:
    """A public and a private sixteenth of `cidr` for each zone.

    A zone's letter decides its place, so that adding or dropping a zone moves no other: us-east-1a has blocks 0 and 8,
    us-east-1b has 1 and 9. Needs a CIDR without findings; ValueError for a zone past h (AWS has none).
    """
    blocks = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=4))
    return [Subnet(zone, str(blocks[place]), str(blocks[8 + place])) for zone in zones for place in (_place(zone),)]


def check_vpc(cidr: object) -> list[Finding]:
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
        findings += ZONE.check(f"subnets[{index}].zone", subnet.zone)
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
                rule = f"it must lie within cidr, {vpc}"
                findings.append(Finding(path, text, rule, f"Choose a part of {vpc}."))
            findings += [
                Finding(path, text, f"it must not overlap {other}, {range_}", "Choose ranges apart from each other.")
                for other, range_ in taken
                if network.overlaps(range_)
            ]
            taken.append((path, network))
    return findings


def check_trusted_proxies(path: str, ranges: object) -> list[Finding]:
    """What is wrong with the list of ranges whose machines say on whose behalf they ask."""
    return _check_ranges(path, ranges, MOST_PROXY_RANGES)


def check_scrapers(path: str, ranges: object) -> list[Finding]:
    """What is wrong with the list of ranges that may fetch a machine's metrics, which nothing else protects."""
    return _check_ranges(path, ranges, MOST_SCRAPER_RANGES)


def _check_ranges(path: str, ranges: object, most: int) -> list[Finding]:
    if ranges is UNKNOWN:
        return []
    if not isinstance(ranges, list):
        return [Finding(path, ranges, "it must be a list", "Start each entry with a dash.")]
    entries = cast(list[object], ranges)
    findings: list[Finding] = []
    if len(entries) > most:
        rule = f"there must be at most {most} ranges"
        findings.append(Finding(path, f"{len(entries)} entries", rule, "Join those that adjoin each other."))
    for index, text in enumerate(entries):
        findings += _check_cidr(f"{path}[{index}]", text, LARGEST_RANGE, 32)[1]
        if text in entries[:index]:
            rule = f"each range must be given once, and {path}[{entries.index(text)}] is the same"
            findings.append(Finding(f"{path}[{index}]", text, rule, "Remove one of them."))
    return findings


def _place(zone: str) -> int:
    letter = zone[-1:]
    if letter not in "abcdefgh" or not letter:
        raise ValueError(f"zone {zone!r} doesn't end in a letter from a to h: give `subnets` explicitly")
    return ord(letter) - ord("a")


def _check_cidr(
    path: str, text: object, largest: int, smallest: int
) -> tuple[ipaddress.IPv4Network | None, list[Finding]]:
    interface = None
    if isinstance(text, str) and _CIDR.fullmatch(text):
        with contextlib.suppress(ValueError):
            interface = ipaddress.IPv4Interface(text)
    if interface is None:
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
