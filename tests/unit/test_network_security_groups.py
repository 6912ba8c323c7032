"""What the planner writes, read back and compared with what the rules mean."""

import dataclasses
import re
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from lab.network import addresses, security_groups
from lab.network.model import ANYWHERE, Direction, Group, Machine, Network, PrefixList, Rule, WayOut
from tests.unit.network_strategies import networks


def chain(text: str, name: str) -> list[str]:
    """The lines of a chain."""
    found = re.search(rf"^  chain {name} {{\n(.*?)^  }}", text, re.DOTALL | re.MULTILINE)
    assert found, f"there is a chain {name}"
    return [line.strip() for line in found[1].splitlines()]


def members(text: str, name: str) -> list[str]:
    """The elements of a set or map."""
    found = re.search(rf"^  (?:set|map) {name} {{(.*)}}$", text, re.MULTILINE)
    assert found, f"there is a set {name}"
    elements = re.search(r"elements = {(.*?)}", found[1])
    return [element.strip() for element in elements[1].split(",")] if elements else []


def group_rules(text: str, name: str) -> list[str]:
    """The lines that come from security groups."""
    return [line for line in chain(text, name) if re.match(r"ip [sd]addr @sg_\w+ .*accept$", line)]


def passes(text: str, name: str, source: str, target: str, protocol: str, port: int) -> bool:
    """Whether a line of the chain accepts this packet: a reader of the few forms that the planner writes."""
    for line in group_rules(text, name):
        for side, value in re.findall(r"ip ([sd])addr (\S+)", line):
            address = source if side == "s" else target
            if value.startswith("@"):
                inside = address in members(text, value[1:])
            else:
                inside = IPv4Address(address) in IPv4Network(value)
            if not inside:
                break
        else:
            wanted = re.search(r"(tcp|udp) dport (\d+)(?:-(\d+))?", line)
            if wanted is None and "icmp" not in line and "protocol" not in line:
                return True
            if wanted and wanted[1] == protocol and int(wanted[2]) <= port <= int(wanted[3] or wanted[2]):
                return True
    return False


def allowed(network: Network, direction: Direction, own: Machine, other: Machine, protocol: str, port: int) -> bool:
    """What AWS's documentation says: any rule of any of the machine's groups allows."""
    for rule in network.rules:
        if rule.direction is not direction or rule.group not in own.groups:
            continue
        match rule.peer:
            case Group(id=group):
                peer = group in other.groups
            case PrefixList():
                peer = False
            case cidr:
                peer = other.address in cidr
        first, last = rule.first or 0, 65535 if rule.last is None else rule.last
        if peer and (rule.protocol == "all" or (rule.protocol == protocol and first <= port <= last)):
            return True
    return False


@given(networks(), st.sampled_from(["tcp", "udp"]), st.sampled_from([0, 22, 80, 443, 3000, 40000, 65535]))
def test_a_packet_passes_if_and_only_if_a_rule_of_each_side_allows_it(
    network: Network, protocol: str, port: int
) -> None:
    text = security_groups.ruleset(network)
    for source in network.machines:
        for target in network.machines:
            packet = (str(source.address), str(target.address), protocol, port)
            egress = allowed(network, Direction.EGRESS, source, target, protocol, port)
            ingress = allowed(network, Direction.INGRESS, target, source, protocol, port)
            assert passes(text, "egress", *packet) == egress, f"egress of {packet}"
            assert passes(text, "ingress", *packet) == ingress, f"ingress of {packet}"


@given(networks())
def test_taking_a_rule_away_never_opens_anything(network: Network) -> None:
    before = security_groups.ruleset(network)
    for rule in network.rules:
        after = security_groups.ruleset(dataclasses.replace(network, rules=network.rules - {rule}))
        for name in ("egress", "ingress"):
            assert set(group_rules(after, name)) <= set(group_rules(before, name)), f"{name} without {rule}"


@given(networks())
def test_every_machine_is_bound_to_its_own_link_and_address(network: Network) -> None:
    bound = members(security_groups.ruleset(network), "links")
    expected = [f'"{addresses.interface(machine.id)}" . {machine.address}' for machine in network.machines]
    assert bound == expected, "one link and one address for each machine, and no others"


@given(networks())
def test_only_machines_with_a_way_out_are_on_the_internet(network: Network) -> None:
    text = security_groups.ruleset(network)
    assert members(text, "internet") == [
        str(machine.address) for machine in network.machines if machine.way_out is not WayOut.NONE
    ], "those with an internet gateway or a NAT gateway"
    assert members(text, "public") == [
        f"{machine.public_address} : {machine.address}"
        for machine in network.machines
        if machine.way_out is WayOut.INTERNET_GATEWAY
    ], "and only an internet gateway lets anybody in"


@given(networks())
def test_equal_networks_make_equal_text_and_the_text_names_no_hyphenated_set(network: Network) -> None:
    again = dataclasses.replace(network, rules=frozenset(sorted(network.rules, key=str)))
    text = security_groups.ruleset(network)
    assert security_groups.ruleset(again) == text, "the order of rules doesn't matter"
    assert not re.search(r"@\w+-", text), "nftables takes no hyphen in a name"


def test_a_change_of_anything_changes_the_fingerprint() -> None:
    machine = Machine(
        "i-1", IPv4Address("10.98.0.4"), frozenset({"sg-a"}), "subnet-1", "vpc-1", WayOut.NONE, None, None
    )
    rule = Rule("sg-a", Direction.INGRESS, "tcp", 80, 80, ANYWHERE)
    variants = [
        Network((machine,), frozenset(), frozenset()),
        Network((machine,), frozenset({rule}), frozenset()),
        Network((machine,), frozenset({dataclasses.replace(rule, last=81)}), frozenset()),
        Network((dataclasses.replace(machine, id="i-2"),), frozenset(), frozenset()),
        Network((machine,), frozenset(), frozenset({IPv4Network("10.98.0.0/24")})),
    ]
    comments = {security_groups.ruleset(network).splitlines()[3] for network in variants}
    assert len(comments) == len(variants), "five different networks have five fingerprints"


def test_an_empty_network_drops_whatever_a_machine_sends() -> None:
    text = security_groups.ruleset(Network((), frozenset(), frozenset()))
    assert members(text, "links") == [], "no link is known, so whoever sends is spoofing"
    assert chain(text, "egress")[-1] == "counter name egress drop", "the end of the chain"
    assert chain(text, "ingress")[-1] == "counter name ingress drop", "the end of the chain"


def test_an_icmp_rule_may_name_type_and_code() -> None:
    machine = Machine("i-1", IPv4Address("10.98.0.4"), frozenset({"sg-a"}), "subnet-1", "vpc-1", WayOut.NONE)
    for first, last, expected in (
        (None, None, "ip daddr @sg_a ip protocol icmp accept"),
        (8, None, "ip daddr @sg_a icmp type 8 accept"),
        (3, 4, "ip daddr @sg_a icmp type 3 icmp code 4 accept"),
    ):
        rule = Rule("sg-a", Direction.INGRESS, "icmp", first, last, ANYWHERE)
        text = security_groups.ruleset(Network((machine,), frozenset({rule}), frozenset()))
        assert group_rules(text, "ingress") == [expected], f"type {first}, code {last}"
