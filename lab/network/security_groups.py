"""Security groups, routing and NAT of a VPC as one nftables table. Pure: a network in, the ruleset's text out.

A machine's packets are judged at its own link, where AWS judges them too, by the addresses that the machine itself
sees: egress before any address is translated, ingress after. So traffic between two machines passes both, in one
subnet as well as across subnets or by public addresses. This host is a client on the internet (`addresses.HOST`).

What machines may ask of this host is fixed: DNS and metadata, which AWS's security groups don't filter either, and
the API, which stands for the internet: it takes an egress rule and a way out. A gateway endpoint for S3 is not a way
out by itself, because one address answers for all services.
"""

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from lab.network import addresses
from lab.network.model import ANYWHERE, Direction, Group, Machine, Network, PrefixList, Rule, WayOut

TABLE = "expressway_lab"
"""The table's name, in the inet family."""

LINKS = f'"{addresses.INTERFACE_PREFIX}*"'

DROPS = {
    "spoofed": "a machine sent from an address that isn't its own, or by IPv6",
    "egress": "no egress rule of the sender's groups",
    "ingress": "no ingress rule of the receiver's groups",
    "host": "a machine called this host, other than its services",
    "unroutable": "no way out, another VPC, or an address that nobody has",
    "outsider": "a neighbour of this host called the lab's services, or this host an address that nobody has",
}
"""The named counters of what was dropped, and why. They start at 0 with each change of the ruleset."""


def ruleset(network: Network) -> str:
    """The text for `nft -f -`: replaces the whole table in one transaction.

    The table's comment is a fingerprint of its text, so that `nft.apply` can tell whether it is already in force.
    """
    body = "\n".join([*_counters(), *_sets(network), *_nat_chains(), *_filter_chains(network)])
    fingerprint = hashlib.sha256(body.encode()).hexdigest()[:16]
    # Declared first, so that deleting it can't fail.
    replaced = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
    return f'{replaced}table inet {TABLE} {{\n  comment "{fingerprint}"\n{body}\n}}\n'


def _counters() -> Iterable[str]:
    for name, reason in DROPS.items():
        yield f'  counter {name} {{ comment "{reason}" }}'


def _sets(network: Network) -> Iterable[str]:
    machines = network.machines
    bound = (f'"{addresses.interface(machine.id)}" . {machine.address}' for machine in machines)
    yield _set("links", "ifname . ipv4_addr", bound)
    yield _set("machines", "ipv4_addr", _addresses(machines))
    yield _set("internet", "ipv4_addr", _addresses(machine for machine in machines if machine.outside_address))
    yield _set("servers", "ipv4_addr", map(str, addresses.SERVERS))
    subnets = (f"{subnet}" for subnet in sorted(network.subnets))
    yield _set("subnets", "ipv4_addr", subnets, "flags interval; auto-merge;")
    public = (
        f"{machine.public_address} : {machine.address}"
        for machine in machines
        if machine.way_out is WayOut.INTERNET_GATEWAY
    )
    yield _set("public", "ipv4_addr : ipv4_addr", public)
    outside = (f"{machine.address} : {machine.outside_address}" for machine in machines if machine.outside_address)
    yield _set("outside", "ipv4_addr : ipv4_addr", outside)
    for vpc in sorted({machine.vpc for machine in machines}):
        yield _set(_name(vpc), "ipv4_addr", _addresses(machine for machine in machines if machine.vpc == vpc))
    for group in sorted(_populated(network)):
        yield _set(_name(group), "ipv4_addr", _addresses(machine for machine in machines if group in machine.groups))


def _nat_chains() -> Iterable[str]:
    yield f"""
  chain from_elsewhere {{
    type nat hook prerouting priority dstnat;
    iifname {LINKS} ip daddr {addresses.METADATA} tcp dport 80 dnat ip to {addresses.METADATA_SERVER}
    iifname {LINKS} ip daddr {addresses.DNS} meta l4proto {{ tcp, udp }} th dport 53 dnat ip to {addresses.DNS_SERVER}
    # A public address is its machine, for callers from elsewhere, from other machines, and from this host.
    dnat ip to ip daddr map @public
  }}
  chain from_this_host {{
    type nat hook output priority -100;
    dnat ip to ip daddr map @public
  }}
  chain leave {{
    type nat hook postrouting priority srcnat;
    # By a public address the other machine sees the caller's public address, as on AWS.
    oifname {LINKS} ct status dnat snat ip to ip saddr map @outside
    oifname != {LINKS} ip saddr @machines masquerade
  }}"""


def _filter_chains(network: Network) -> Iterable[str]:
    vpcs = sorted({_name(machine.vpc) for machine in network.machines})
    within_vpc = "".join(
        f"\n    iifname {LINKS} oifname {LINKS} ip saddr @{vpc} ip daddr @{vpc} accept" for vpc in vpcs
    )
    yield f"""
  chain egress {{
    type filter hook prerouting priority dstnat - 10;
    iifname != {LINKS} accept
    meta nfproto ipv6 counter name spoofed drop
    iifname . ip saddr != @links counter name spoofed drop
    ct state established,related accept{_services(addresses.DNS, addresses.METADATA)}{_rules(network, Direction.EGRESS)}
    counter name egress drop
  }}
  chain ingress {{
    type filter hook postrouting priority srcnat + 10;
    oifname != {LINKS} accept
    ct state established,related accept{_rules(network, Direction.INGRESS)}
    counter name ingress drop
  }}
  chain router {{
    type filter hook forward priority filter;
    # Where the route of public addresses ends that nobody has.
    oifname lo counter name unroutable drop
    iifname != {LINKS} oifname != {LINKS} accept
    ct state established,related accept
    iifname != {LINKS} ct status dnat accept
    iifname {LINKS} oifname {LINKS} ct status dnat ip saddr @internet accept
    ct status dnat counter name unroutable drop{within_vpc}
    ip daddr @subnets counter name unroutable drop
    ip daddr {addresses.LINK_LOCAL} counter name unroutable drop
    iifname {LINKS} oifname != {LINKS} ip saddr @internet accept
    counter name unroutable drop
  }}
  chain to_this_host {{
    type filter hook input priority filter;
    iifname lo accept
    iifname != {LINKS} ip daddr @servers counter name outsider drop
    iifname != {LINKS} accept
    ct state established,related accept{_services(addresses.DNS_SERVER, addresses.METADATA_SERVER)}
    ip daddr {addresses.API} tcp dport 443 ip saddr @internet accept
    counter name host drop
  }}
  chain by_this_host {{
    type filter hook output priority filter;
    oifname lo ip daddr {addresses.PUBLIC} ip daddr != {addresses.HOST} counter name outsider drop
  }}"""


def _services(dns: IPv4Address, metadata: IPv4Address) -> str:
    return f"""
    ip daddr {dns} meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr {metadata} tcp dport 80 accept"""


def _rules(network: Network, direction: Direction) -> str:
    """The accepting rules of one direction, without those that no machine's packet could match."""
    populated = _populated(network)
    lines = {
        _rule(rule)
        for rule in network.rules
        if rule.direction is direction
        and rule.group in populated
        and (not isinstance(rule.peer, Group) or rule.peer.id in populated)
    }
    return "".join(f"\n    {line}" for line in sorted(lines))


def _rule(rule: Rule) -> str:
    own, other = ("saddr", "daddr") if rule.direction is Direction.EGRESS else ("daddr", "saddr")
    return " ".join(["ip", own, f"@{_name(rule.group)}", *_peer(other, rule.peer), *_protocol(rule), "accept"])


def _peer(side: str, peer: IPv4Network | Group | PrefixList) -> list[str]:
    if peer == ANYWHERE:
        return []
    match peer:
        case Group(id=group):
            return ["ip", side, f"@{_name(group)}"]
        case PrefixList():
            return ["ip", side, str(addresses.API)]
        case _:
            return ["ip", side, str(peer)]


def _protocol(rule: Rule) -> list[str]:
    match rule.protocol:
        case "all":
            return []
        case "icmp" if rule.first is None:
            return ["ip", "protocol", "icmp"]
        case "icmp":
            code = [] if rule.last is None else ["icmp", "code", str(rule.last)]
            return ["icmp", "type", str(rule.first), *code]
        case "tcp" | "udp":
            first, last = rule.first or 0, 65535 if rule.last is None else rule.last
            return [rule.protocol, "dport", f"{first}-{last}" if first != last else str(first)]
        case number:
            return ["ip", "protocol", number]


def _populated(network: Network) -> frozenset[str]:
    return frozenset(group for machine in network.machines for group in machine.groups)


def _addresses(machines: Iterable[Machine]) -> Iterable[str]:
    return (str(machine.address) for machine in machines)


def _name(resource_id: str) -> str:
    """nftables takes no hyphen in a name."""
    return resource_id.replace("-", "_")


def _set(name: str, kind: str, elements: Iterable[str], flags: str = "") -> str:
    keyword = "map" if " : " in kind else "set"
    listed = ", ".join(elements)
    properties = [f"type {kind};", *([flags] if flags else []), *([f"elements = {{ {listed} }};"] if listed else [])]
    return f"  {keyword} {name} {{ {' '.join(properties)} }}"
