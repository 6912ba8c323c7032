"""Pure rules: address plans, architectures."""

import ipaddress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import planning

vpcs = st.builds(
    lambda number, prefix: str(ipaddress.IPv4Network((number, prefix), strict=False)),
    st.integers(int(ipaddress.IPv4Address("10.0.0.0")), int(ipaddress.IPv4Address("10.255.255.255"))),
    st.integers(planning.LARGEST_VPC, planning.SMALLEST_VPC),
)
zone_lists = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=3, unique=True)


@given(vpcs, zone_lists)
def test_every_plan_satisfies_the_rules_for_explicit_subnets(cidr: str, letters: list[str]) -> None:
    subnets = planning.plan_subnets(cidr, [f"eu-west-1{letter}" for letter in letters])
    assert planning.check_vpc(cidr) == []
    assert planning.check_subnets(cidr, subnets) == []


@given(vpcs, zone_lists)
def test_no_planned_subnets_overlap(cidr: str, letters: list[str]) -> None:
    planned = planning.plan_subnets(cidr, [f"eu-west-1{letter}" for letter in letters])
    networks = [ipaddress.ip_network(each) for subnet in planned for each in (subnet.public, subnet.private)]
    assert not any(one.overlaps(other) for one, other in combinations(networks, 2))


def test_a_zone_without_a_letter_asks_for_explicit_subnets() -> None:
    with pytest.raises(ValueError, match="give `subnets` explicitly"):
        planning.plan_subnets("10.0.0.0/16", ["us-west-2-lax-1"])


@pytest.mark.parametrize(
    ("instance_type", "architecture"),
    [
        ("t3.small", "x86_64"),
        ("t4g.small", "arm64"),
        ("a1.large", "arm64"),
        ("g4dn.xlarge", "x86_64"),
        ("g5g.xlarge", "arm64"),
        ("c7gn.16xlarge", "arm64"),
        ("x2gd.metal", "arm64"),
        ("m7i-flex.large", "x86_64"),
        ("u-6tb1.metal", "x86_64"),
        ("m7i.metal-24xl", "x86_64"),
        ("t3", None),
        ("T3.small", None),
        ("t3.smol", None),
        ("db.t4g.micro", None),
    ],
)
def test_the_instance_type_tells_the_architecture(instance_type: str, architecture: str | None) -> None:
    assert planning.architecture(instance_type) == architecture
