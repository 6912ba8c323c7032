"""What on this host is in the way of the lab's network. Pure: from what the system's tools list as JSON."""

import json
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from lab.network import addresses
from lab.network.links import LABEL
from lab.network.security_groups import TABLE

Json = Mapping[str, Any]

PASSED_HOOKS = ("forward", "input")
"""Where another table's verdict counts as well: what machines send each other, and what they ask of this host."""


def overlaps(network: IPv4Network, interfaces: Iterable[Json], routes: Iterable[Json]) -> list[str]:
    """Networks of this host that share addresses with `network`, each with its device. The lab's own don't count.

    `interfaces` and `routes` are the answers of `ip -json -4 address` and `ip -json -4 route`.
    """
    found = {f"{other} on {device}" for other, device in _networks(interfaces, routes) if other.overlaps(network)}
    return sorted(found)


def free_network(interfaces: Iterable[Json], routes: Iterable[Json]) -> IPv4Network | None:
    """A /16 for a VPC that overlaps nothing of this host, if there is one."""
    taken = [other for other, _ in _networks(interfaces, routes)]
    candidates = IPv4Network("10.0.0.0/8").subnets(new_prefix=16)
    return next((network for network in candidates if not any(map(network.overlaps, taken))), None)


def taken_addresses(interfaces: Iterable[Json]) -> list[str]:
    """The lab's addresses that this host has already, not from the lab."""
    wanted = {str(address) for address in (*addresses.SERVERS, addresses.GATEWAY)}
    return [
        f"{item['local']} on {interface['ifname']}"
        for interface, item in _items(interfaces)
        if item["local"] in wanted and not _is_ours(interface, item)
    ]


def blocking_chains(ruleset: Iterable[Json]) -> list[str]:
    """Chains of other tables that drop what passes between or from machines: `table chain, at hook`.

    `ruleset` is the list in the answer of `nft -j list ruleset`. A table with a rule about the lab's links is taken to
    let them pass.
    """
    objects = list(ruleset)
    excepted = {
        (rule["family"], rule["table"])
        for rule in (item["rule"] for item in objects if "rule" in item)
        if f'"{addresses.INTERFACE_PREFIX}' in json.dumps(rule["expr"])
    }
    last: dict[tuple[str, str, str], Json] = {}
    for item in objects:
        if "rule" in item:
            rule = item["rule"]
            last[rule["family"], rule["table"], rule["chain"]] = rule
    found: list[str] = []
    for chain in (item["chain"] for item in objects if "chain" in item):
        family, table, name = chain["family"], chain["table"], chain["name"]
        if chain.get("hook") not in PASSED_HOOKS or family not in ("ip", "inet"):
            continue
        if table == TABLE or (family, table) in excepted:
            continue
        if chain.get("policy") == "drop" or _refuses_all(last.get((family, table, name))):
            found.append(f"{family} {table} {name}, at {chain['hook']}")
    return found


def _refuses_all(rule: Json | None) -> bool:
    """Whether a chain's last rule drops or rejects whatever comes to it."""
    if rule is None:
        return False
    verdicts = [statement for statement in rule["expr"] if "counter" not in statement]
    return len(verdicts) == 1 and bool({"drop", "reject"} & set(verdicts[0]))


def _networks(interfaces: Iterable[Json], routes: Iterable[Json]) -> Iterator[tuple[IPv4Network, str]]:
    for interface, item in _items(interfaces):
        if not _is_ours(interface, item):
            yield IPv4Network((item["local"], item["prefixlen"]), strict=False), interface["ifname"]
    for route in routes:
        device = route.get("dev", route.get("type", "a route"))
        ours = device.startswith(addresses.INTERFACE_PREFIX) or route.get("prefsrc") == str(addresses.HOST)
        if route["dst"] != "default" and not ours:
            yield IPv4Network(route["dst"]), device


def _items(interfaces: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    for interface in interfaces:
        for item in interface["addr_info"]:
            if item["family"] == "inet":
                yield interface, item


def _is_ours(interface: Json, item: Json) -> bool:
    return item.get("label") == LABEL or interface["ifname"].startswith(addresses.INTERFACE_PREFIX)
