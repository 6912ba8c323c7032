"""The names that the lab's resolver is given."""

from ipaddress import IPv4Address

from lab.network import dns
from lab.network.model import Machine, WayOut

EDGE = Machine(
    "i-1",
    IPv4Address("10.20.0.10"),
    frozenset(),
    "subnet-1",
    "vpc-1",
    WayOut.INTERNET_GATEWAY,
    public_address=IPv4Address("198.51.100.10"),
)
DATABASE = Machine("db-1", IPv4Address("10.20.0.9"), frozenset(), "subnet-2", "vpc-1", WayOut.NONE)
OWN = (IPv4Address("10.20.0.9"),)
ENDPOINTS = {"b.cache.amazonaws.com": OWN, "a.rds.amazonaws.com": OWN}


def test_each_address_has_one_line_with_its_internal_name_first() -> None:
    assert dns.records([EDGE, DATABASE], ENDPOINTS) == (
        "10.20.0.9 ip-10-20-0-9.ec2.internal a.rds.amazonaws.com b.cache.amazonaws.com\n"
        "10.20.0.10 ip-10-20-0-10.ec2.internal ec2-198-51-100-10.compute-1.amazonaws.com\n"
    ), "ordered by address as a number, so that equal networks have equal records"


def test_other_regions_have_other_domains() -> None:
    assert dns.records([EDGE], {}, "eu-west-1") == (
        "10.20.0.10 ip-10-20-0-10.eu-west-1.compute.internal ec2-198-51-100-10.eu-west-1.compute.amazonaws.com\n"
    ), "us-east-1 is the exception"


def test_the_order_of_machines_and_endpoints_does_not_matter() -> None:
    backwards = dict(reversed(ENDPOINTS.items()))
    assert dns.records([DATABASE, EDGE], backwards) == dns.records([EDGE, DATABASE], ENDPOINTS), "equal text"


def test_a_name_leads_to_all_of_its_addresses() -> None:
    nodes = {"clustercfg.cache.amazonaws.com": (IPv4Address("10.20.0.7"), IPv4Address("10.20.0.6"))}
    assert dns.records([], nodes) == (
        "10.20.0.6 clustercfg.cache.amazonaws.com\n10.20.0.7 clustercfg.cache.amazonaws.com\n"
    )


def test_no_machine_means_no_record() -> None:
    assert dns.records([], {}) == "", "nothing"
