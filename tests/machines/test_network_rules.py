"""Packet by packet: what the compiled ruleset lets through between machines, this host and other networks."""

import dataclasses
from collections.abc import Generator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from lab.network import addresses, connections, links, nft, security_groups
from lab.network.model import ANYWHERE, Direction, Group, Machine, Network, Rule, WayOut
from tests.machines.network_namespaces import PORTS, Flow, Peers, host_state, own_network, peers

pytestmark = pytest.mark.lab

EDGE, APP1, APP2, DATABASE, ISOLATED, FOREIGN = (
    "10.98.0.10",
    "10.98.1.11",
    "10.98.1.12",
    "10.98.1.13",
    "10.98.2.14",
    "10.98.9.15",
)
EDGE_PUBLIC, NAT_PUBLIC, NOBODYS_PUBLIC = "198.51.100.10", "198.51.100.20", "198.51.100.77"
OUTSIDER, HOST_THERE = "100.64.98.2", "100.64.98.1"
OPEN_EGRESS = frozenset(
    Rule(group, Direction.EGRESS, "all", None, None, ANYWHERE) for group in ("sg-edge", "sg-app", "sg-isolated")
)
APP_FROM_EDGE = Rule("sg-app", Direction.INGRESS, "tcp", 3000, 3000, Group("sg-edge"))


def machine(name: str, address: str, way_out: WayOut, public: str = "", nat: str = "") -> Machine:
    return Machine(
        id=name,
        address=IPv4Address(address),
        groups=frozenset({f"sg-{name.rstrip('12')}"}),
        subnet="subnet-1",
        vpc="vpc-2" if name == "foreign" else "vpc-1",
        way_out=way_out,
        public_address=IPv4Address(public) if public else None,
        nat_address=IPv4Address(nat) if nat else None,
    )


NETWORK = Network(
    machines=(
        machine("edge", EDGE, WayOut.INTERNET_GATEWAY, public=EDGE_PUBLIC),
        machine("app1", APP1, WayOut.NAT, nat=NAT_PUBLIC),
        machine("app2", APP2, WayOut.NAT, nat=NAT_PUBLIC),
        machine("database", DATABASE, WayOut.NAT, nat=NAT_PUBLIC),
        machine("isolated", ISOLATED, WayOut.NONE),
        machine("foreign", FOREIGN, WayOut.NONE),
    ),
    rules=OPEN_EGRESS
    | {
        Rule("sg-edge", Direction.INGRESS, "tcp", 80, 80, ANYWHERE),
        Rule("sg-edge", Direction.INGRESS, "icmp", 8, None, IPv4Network("10.98.1.0/24")),
        APP_FROM_EDGE,
        Rule("sg-app", Direction.INGRESS, "udp", 3000, 3000, Group("sg-edge")),
        Rule("sg-database", Direction.INGRESS, "tcp", 5432, 5432, Group("sg-app")),
        Rule("sg-isolated", Direction.INGRESS, "tcp", 80, 80, Group("sg-app")),
        Rule("sg-foreign", Direction.INGRESS, "all", None, None, ANYWHERE),
        Rule("sg-foreign", Direction.EGRESS, "all", None, None, ANYWHERE),
    },
    subnets=frozenset(IPv4Network(f"10.98.{index}.0/24") for index in (0, 1, 2, 9)),
)
MACHINES = {machine.id: str(machine.address) for machine in NETWORK.machines}
ALLOWED = {
    # Who may call whom by private address; every other pair and port of the matrix must be dropped.
    ("edge", "app1", "tcp", 3000),
    ("edge", "app2", "tcp", 3000),
    ("edge", "app1", "udp", 3000),
    ("edge", "app2", "udp", 3000),
    ("app1", "edge", "tcp", 80),
    ("app2", "edge", "tcp", 80),
    ("isolated", "edge", "tcp", 80),
    ("app1", "edge", "icmp", 0),
    ("app2", "edge", "icmp", 0),
    ("app1", "database", "tcp", 5432),
    ("app2", "database", "tcp", 5432),
    ("app1", "isolated", "tcp", 80),
    ("app2", "isolated", "tcp", 80),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[Peers]:
    """Six machines, a computer of another network, and the host with the services that machines may call."""
    state = tmp_path_factory.mktemp("state")
    with own_network(), peers() as made:
        before = host_state()
        assert nft.apply(security_groups.ruleset(NETWORK)), "a ruleset that wasn't there is applied"
        links.ensure_host(state)
        services = [
            (str(addresses.DNS_SERVER), 53),
            (str(addresses.METADATA_SERVER), 80),
            (str(addresses.API), 443),
            (str(addresses.API), 8080),
            (str(addresses.HOST), 8080),
        ]
        made.start("host", services)
        for name, address in MACHINES.items():
            made.add_machine(name, address)
        made.add_outsider("outsider", HOST_THERE, OUTSIDER, ["198.51.100.0/24", "10.98.0.0/16"])
        yield made
        made.stop()
        links.teardown(state)
        assert host_state() == before, "teardown leaves the host as it was"
        links.teardown(state)


@pytest.fixture(autouse=True)
def ruleset(lab: Peers) -> None:
    """Each test begins with the whole ruleset, and counters at 0."""
    nft.remove()
    nft.apply(security_groups.ruleset(NETWORK))


def without(rule: Rule) -> str:
    assert rule in NETWORK.rules, "the rule to leave out is there"
    return security_groups.ruleset(dataclasses.replace(NETWORK, rules=NETWORK.rules - {rule}))


@pytest.mark.parametrize("caller", MACHINES)
def test_a_machine_reaches_exactly_what_the_groups_of_both_allow(lab: Peers, caller: str) -> None:
    matrix = [
        (name, protocol, port)
        for name in MACHINES
        for protocol, ports in (("tcp", PORTS), ("udp", (53, 3000)), ("icmp", (0,)))
        for port in ports
        if name != caller
    ]
    answers = lab.calls(caller, [Flow(MACHINES[name], port, protocol) for name, protocol, port in matrix])
    for (name, protocol, port), answer in zip(matrix, answers, strict=True):
        allowed = (caller, name, protocol, port) in ALLOWED
        expected = "dropped" if not allowed else "pong" if protocol == "icmp" else MACHINES[caller]
        assert answer == expected, f"{caller} -> {name} {protocol} {port}: {answer}, expected {expected}"


@pytest.mark.parametrize(
    ("rule", "caller", "host", "port"),
    [
        (APP_FROM_EDGE, "edge", APP1, 3000),
        (Rule("sg-database", Direction.INGRESS, "tcp", 5432, 5432, Group("sg-app")), "app1", DATABASE, 5432),
        (Rule("sg-edge", Direction.INGRESS, "tcp", 80, 80, ANYWHERE), "host", EDGE_PUBLIC, 80),
        (Rule("sg-app", Direction.EGRESS, "all", None, None, ANYWHERE), "app1", DATABASE, 5432),
        (Rule("sg-app", Direction.EGRESS, "all", None, None, ANYWHERE), "app1", OUTSIDER, 443),
        (Rule("sg-app", Direction.EGRESS, "all", None, None, ANYWHERE), "app1", str(addresses.API), 443),
    ],
    ids=["edge-app", "app-database", "outside-edge", "egress-to-machine", "egress-to-internet", "egress-to-api"],
)
def test_without_its_rule_the_same_call_is_dropped(lab: Peers, rule: Rule, caller: str, host: str, port: int) -> None:
    assert lab.call(caller, host, port) != "dropped", "with the rule the call passes"
    assert nft.apply(without(rule)), "a changed ruleset is applied"
    assert lab.call(caller, host, port) == "dropped", "without the rule the call is dropped"
    reason = rule.direction.value
    assert nft.drops()[reason] > 0, f"the drop is counted as {reason}"


def test_a_rule_taken_away_leaves_the_connections_that_it_let_in(lab: Peers) -> None:
    """As on AWS, where tracked connections outlive the rule."""
    rule = Rule("sg-app", Direction.INGRESS, "udp", 3000, 3000, Group("sg-edge"))
    old, new = Flow(APP1, 3000, "udp", source_port=40001), Flow(APP1, 3000, "udp", source_port=40002)
    assert lab.calls("edge", [old]) == [EDGE], "the first datagram passes"
    nft.apply(without(rule))
    assert lab.calls("edge", [old, new]) == [EDGE, "dropped"], "the known flow goes on, a new one doesn't begin"


def test_a_false_source_address_is_dropped_whether_it_is_another_machines_or_nobodys(lab: Peers) -> None:
    stolen, invented = EDGE, "10.98.1.99"
    for address in (stolen, invented):
        lab.inside("app1", "ip", "address", "add", f"{address}/32", "dev", "lo")
    try:
        answers = lab.calls("app1", [Flow(APP2, 3000, source=stolen), Flow(DATABASE, 5432, source=invented)])
    finally:
        for address in (stolen, invented):
            lab.inside("app1", "ip", "address", "delete", f"{address}/32", "dev", "lo")
    assert answers == ["dropped", "dropped"], "neither false address gets an answer"
    assert nft.drops()["spoofed"] >= 2, "both are counted as spoofed"


def test_this_host_calls_a_public_address_and_is_seen_as_the_internet(lab: Peers) -> None:
    answers = lab.calls("host", [Flow(EDGE_PUBLIC, 80), Flow(EDGE_PUBLIC, 22), Flow(NAT_PUBLIC, 80)])
    assert answers == [str(addresses.HOST), "dropped", "dropped"], "80 on the edge, and nothing else"


def test_a_public_address_that_nobody_has_is_silence(lab: Peers) -> None:
    for caller in ("host", "edge", "outsider"):
        assert lab.call(caller, NOBODYS_PUBLIC, 80) == "dropped", f"no answer for {caller}"
    assert nft.drops()["unroutable"] >= 1, "those of machines are counted"


def test_this_host_is_outside_so_no_group_lets_it_in(lab: Peers) -> None:
    answers = lab.calls("host", [Flow(APP1, 3000), Flow(DATABASE, 5432), Flow(EDGE, 80)])
    assert answers == ["dropped", "dropped", str(addresses.HOST)], "only what is open to 0.0.0.0/0 answers"


def test_another_network_reaches_public_addresses_only(lab: Peers) -> None:
    flows = [Flow(EDGE_PUBLIC, 80), Flow(EDGE_PUBLIC, 443), Flow(EDGE, 80), Flow(FOREIGN, 80), Flow(APP1, 3000)]
    answers = lab.calls("outsider", flows)
    assert answers == [OUTSIDER, "dropped", "dropped", "dropped", "dropped"], "by the public address, on port 80"


def test_the_labs_services_are_not_for_this_hosts_neighbours(lab: Peers) -> None:
    for address in addresses.SERVERS:
        lab.inside("outsider", "ip", "route", "replace", f"{address}", "via", HOST_THERE)
    answers = lab.calls("outsider", [Flow(str(addresses.METADATA_SERVER), 80), Flow(str(addresses.API), 443)])
    assert answers == ["dropped", "dropped"], "a neighbour gets no credentials and no API"
    assert nft.drops()["outsider"] >= 2, "they are counted as outsiders"


def test_machines_with_a_way_out_reach_the_internet_and_others_do_not(lab: Peers) -> None:
    answers = {name: lab.call(name, OUTSIDER, 443) for name in ("edge", "app1", "isolated", "database")}
    assert answers["edge"] == HOST_THERE, "by the internet gateway, as this host"
    assert answers["app1"] == HOST_THERE, "by the NAT gateway, as this host"
    assert answers["isolated"] == "dropped", "no route to the internet"
    assert answers["database"] == "dropped", "no egress rule"


def test_a_machine_calls_another_by_its_public_address_and_is_seen_by_its_own(lab: Peers) -> None:
    answers = {name: lab.call(name, EDGE_PUBLIC, 80) for name in ("app1", "edge", "isolated")}
    assert answers["app1"] == NAT_PUBLIC, "the NAT gateway's address, not the private one"
    assert answers["edge"] == EDGE_PUBLIC, "its own public address, also when it calls itself"
    assert answers["isolated"] == "dropped", "the public address is on the internet, and there is no way to it"


def test_a_rule_by_group_does_not_match_a_call_by_public_address(lab: Peers) -> None:
    by_group = Rule("sg-edge", Direction.INGRESS, "tcp", 22, 22, Group("sg-app"))
    nft.apply(security_groups.ruleset(dataclasses.replace(NETWORK, rules=NETWORK.rules | {by_group})))
    assert lab.calls("app1", [Flow(EDGE, 22), Flow(EDGE_PUBLIC, 22)]) == [APP1, "dropped"], (
        "a group is private addresses"
    )


def test_two_vpcs_do_not_reach_each_other(lab: Peers) -> None:
    assert lab.calls("app1", [Flow(FOREIGN, 80)]) == ["dropped"], "from one"
    assert lab.calls("foreign", [Flow(EDGE, 80)]) == ["dropped"], "from the other"
    assert nft.drops()["unroutable"] >= 2, "counted as unroutable, for the groups allow it"


def test_machines_may_ask_this_host_for_names_metadata_and_the_api_only(lab: Peers) -> None:
    services = [
        Flow(str(addresses.DNS), 53, "udp"),
        Flow(str(addresses.DNS), 53),
        Flow(str(addresses.METADATA), 80),
        Flow(str(addresses.API), 443),
    ]
    closed = [
        Flow(str(addresses.API), 8080),
        Flow(str(addresses.HOST), 8080),
        Flow(str(addresses.METADATA), 80, "udp"),
        Flow(str(addresses.GATEWAY), 0, "icmp"),
        Flow(HOST_THERE, 22),
    ]
    assert lab.calls("app1", services) == [APP1] * 4, "the four services see the machine's own address"
    assert lab.calls("app1", closed) == ["dropped"] * 5, "this host has nothing else for a machine"
    drops = nft.drops()
    assert drops["host"] >= 4, "counted as calls to the host"
    assert drops["unroutable"] >= 1, "and another port of AWS's addresses leads nowhere"


def test_names_and_metadata_need_no_rule_but_the_api_needs_egress_and_a_way_out(lab: Peers) -> None:
    flows = [Flow(str(addresses.DNS), 53, "udp"), Flow(str(addresses.METADATA), 80), Flow(str(addresses.API), 443)]
    assert lab.calls("database", flows) == [DATABASE, DATABASE, "dropped"], "no egress rule, no API"
    assert lab.calls("isolated", flows) == [ISOLATED, ISOLATED, "dropped"], "an egress rule, but no way out"


def test_an_unchanged_ruleset_is_left_alone_and_a_lost_one_comes_back(lab: Peers) -> None:
    text = security_groups.ruleset(NETWORK)
    assert not nft.apply(text), "the same text changes nothing"
    nft.remove()
    assert not nft.exists(), "it is gone"
    assert nft.apply(text), "a lost table is put back"


def test_a_second_look_at_links_and_host_changes_nothing(lab: Peers, tmp_path: Path) -> None:
    before = host_state()
    links.ensure_host(tmp_path)
    for name, address in MACHINES.items():
        assert links.ensure(addresses.interface(name), IPv4Address(address)), f"the link of {name} is there"
    assert host_state() == before, "nothing changed"
    assert list(tmp_path.iterdir()) == [], "forwarding was on already: nothing to remember"


def test_a_link_that_is_not_there_yet_is_no_error(lab: Peers) -> None:
    assert not links.ensure("xw-00000000", IPv4Address("10.98.1.50")), "the next look will see it"


def test_what_comes_in_for_an_address_that_moved_reaches_its_new_machine(lab: Peers) -> None:
    network = dataclasses.replace(
        NETWORK,
        rules=NETWORK.rules
        | {Rule(group, Direction.INGRESS, "udp", 3000, 3000, ANYWHERE) for group in ("sg-edge", "sg-app")},
    )
    holders = {
        "edge": {"way_out": WayOut.NONE, "public_address": None},
        "app1": {"way_out": WayOut.INTERNET_GATEWAY, "public_address": IPv4Address(EDGE_PUBLIC)},
    }
    machines = tuple(dataclasses.replace(each, **holders.get(each.id, {})) for each in network.machines)
    after = dataclasses.replace(network, machines=machines)
    # One source port: all of it is one connection to this host's kernel.
    flow = Flow(EDGE_PUBLIC, 3000, "udp", source=str(addresses.HOST), source_port=40123)
    off = addresses.interface("edge")
    nft.apply(security_groups.ruleset(network))
    assert lab.calls("host", [flow]) == [str(addresses.HOST)], "the first machine answers"
    try:
        lab.inside("host", "ip", "link", "set", off, "down")
        nft.apply(security_groups.ruleset(after))
        assert connections.moved(network, after) == {IPv4Address(EDGE_PUBLIC)}
        for public in connections.moved(network, after):
            connections.forget(public)
        assert lab.calls("host", [flow]) == [str(addresses.HOST)], "the machine that has the address now answers"
    finally:
        lab.inside("host", "ip", "link", "set", off, "up")
        links.ensure(off, IPv4Address(EDGE))
    connections.forget(IPv4Address(NOBODYS_PUBLIC))
    assert connections.moved(network, network) == frozenset(), "an address that stays keeps its connections"
