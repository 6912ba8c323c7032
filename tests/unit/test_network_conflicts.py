"""What on a host is in the way, from listings as `ip` and `nft` give them."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from lab.network import addresses, conflicts
from lab.network.links import LABEL

VPC = IPv4Network("10.20.0.0/16")


def interface(name: str, address: str, length: int, label: str = "") -> dict[str, Any]:
    item = {"family": "inet", "local": address, "prefixlen": length, "label": label}
    return {"ifname": name, "addr_info": [item, {"family": "inet6", "local": "fe80::1", "prefixlen": 64}]}


def chain(name: str, policy: str = "accept", hook: str | None = "forward", table: str = "filter") -> dict[str, Any]:
    base = {"hook": hook, "policy": policy} if hook else {}
    return {"chain": {"family": "ip", "table": table, "name": name, **base}}


def rule(name: str, *expression: dict[str, Any], table: str = "filter") -> dict[str, Any]:
    return {"rule": {"family": "ip", "table": table, "chain": name, "expr": list(expression)}}


ACCEPT_LAB: dict[str, Any] = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "xw-*"}}


@pytest.mark.parametrize(
    ("interfaces", "routes"),
    [
        ([interface("docker0", "10.20.5.1", 24)], []),
        ([interface("eth0", "10.1.2.3", 8)], []),
        ([], [{"dst": "10.20.0.0/16", "dev": "tun0"}]),
        ([], [{"dst": "10.0.0.0/8", "dev": "tun0"}]),
        ([], [{"dst": "10.20.7.7", "dev": "tun0"}]),
        ([], [{"dst": "10.20.7.0/24", "type": "blackhole"}]),
    ],
)
def test_a_network_of_the_host_that_shares_an_address_is_found(
    interfaces: list[dict[str, Any]], routes: list[dict[str, Any]]
) -> None:
    assert len(conflicts.overlaps(VPC, interfaces, routes)) == 1, "found, and said once"


def test_other_networks_and_the_labs_own_are_not_in_the_way() -> None:
    interfaces = [
        interface("eth0", "192.0.2.2", 24),
        interface("lo", str(addresses.HOST), 32, LABEL),
        interface("xw-12345678", str(addresses.GATEWAY), 32),
    ]
    routes = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "10.20.0.10", "dev": "xw-12345678", "prefsrc": str(addresses.HOST)},
        {"dst": str(addresses.PUBLIC), "dev": "lo", "prefsrc": str(addresses.HOST)},
    ]
    assert conflicts.overlaps(VPC, interfaces, routes) == [], "the VPC is free"
    assert conflicts.overlaps(addresses.PUBLIC, interfaces, routes) == [], "so are the public addresses"
    assert conflicts.taken_addresses(interfaces) == [], "and the services'"


def test_the_network_that_is_proposed_is_free() -> None:
    interfaces, routes = [interface("eth0", "10.0.4.1", 15)], [{"dst": "10.2.0.0/16", "dev": "tun0"}]
    assert conflicts.free_network(interfaces, routes) == IPv4Network("10.3.0.0/16"), "the first that overlaps nothing"
    assert conflicts.free_network([interface("eth0", "10.1.2.3", 8)], []) is None, "or none at all"


def test_a_service_address_that_somebody_else_put_there_is_found() -> None:
    taken = conflicts.taken_addresses([interface("eth1", str(addresses.API), 16)])
    assert taken == [f"{addresses.API} on eth1"], "named with its interface"


@pytest.mark.parametrize(
    ("ruleset", "blocks"),
    [
        ([chain("FORWARD", "drop")], True),
        ([chain("INPUT", "drop", "input")], True),
        ([chain("FORWARD"), rule("FORWARD", {"reject": {"type": "icmpx"}})], True),
        ([chain("FORWARD"), rule("FORWARD", {"counter": {"packets": 0}}, {"drop": None})], True),
        ([chain("FORWARD", "drop"), chain("DOCKER-USER", hook=None), rule("DOCKER-USER", ACCEPT_LAB)], False),
        ([chain("OUTPUT", "drop", "output")], False),
        ([chain("FORWARD")], False),
        ([chain("FORWARD"), rule("FORWARD", {"match": {}}, {"drop": None})], False),
        ([chain("FORWARD"), rule("FORWARD", {"drop": None}), rule("FORWARD", {"accept": None})], False),
        ([chain("router", "drop", table="expressway_lab")], False),
    ],
    ids=[
        "docker",
        "ufw",
        "firewalld",
        "counted drop",
        "docker with an exception",
        "output",
        "open",
        "a drop of something particular",
        "a drop that isn't last",
        "the lab's own",
    ],
)
def test_a_chain_that_drops_what_machines_send_is_found(ruleset: list[dict[str, Any]], blocks: bool) -> None:
    assert bool(conflicts.blocking_chains(ruleset)) is blocks, f"{ruleset}"
