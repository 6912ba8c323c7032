"""The host's side of the lab's network: its own addresses, and the link, address and route of each machine.

Level-triggered: every function states what should be and changes only what isn't so; running it again does nothing.
Put the ruleset in force before the first link, because without it nothing is filtered.

A machine's link needs no proxy ARP: the gateway's address is on each link itself, so that it answers at once (proxy
ARP delays by up to 0.8 s) and on a host without a default route too. Nor does reverse path filtering matter, in
strict mode neither: a machine's address is routed to the very link it sends from.
"""

import re
from ipaddress import IPv4Address
from pathlib import Path

from lab.network import addresses, nft
from lab.network.command import CommandError, ip, run

LABEL = "lo:expressway"
"""Marks the addresses on `lo` as the lab's."""

HOST_ADDRESSES = (*addresses.SERVERS, addresses.HOST)
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def ensure_host(state: Path) -> None:
    """Give this host the lab's addresses and the route to public ones, and let it forward packets.

    `state` is where the previous forwarding setting is kept, for `teardown`.
    """
    present = _own_addresses()
    for address in HOST_ADDRESSES:
        if address not in present:
            # Scope host keeps them from being chosen as a source for anything else.
            run(["ip", "address", "add", f"{address}/32", "dev", "lo", "label", LABEL, "scope", "host"])
    # Only for its source address: calls to a machine are rewritten before they leave, and the others are dropped.
    run(["ip", "route", "replace", str(addresses.PUBLIC), "dev", "lo", "src", str(addresses.HOST)])
    previous = FORWARDING.read_text().strip()
    if previous != "1":
        saved = _saved_forwarding(state)
        saved.parent.mkdir(parents=True, exist_ok=True)
        saved.write_text(previous)
        FORWARDING.write_text("1")


def ensure(interface: str, address: IPv4Address) -> bool:
    """Make the machine at the other end of `interface` reachable at `address`, with this host as its gateway.

    False when there is no such interface (yet, or any more): try again at the next look.
    """
    try:
        link = ip("address", "show", "dev", interface)[0]
    except CommandError as error:
        if "does not exist" in str(error):
            return False
        raise
    up = "UP" in link["flags"]
    gateway = any(item["local"] == str(addresses.GATEWAY) for item in link["addr_info"])
    routed = any(route.get("dev") == interface for route in ip("route", "show", f"{address}/32"))
    if up and gateway and routed:
        return True
    # The lab has no IPv6: no link-local address, no router solicitations. A kernel without IPv6 has no such file.
    no_ipv6 = Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")
    changes = [
        f"link set dev {interface} up",
        f"address replace {addresses.GATEWAY}/32 dev {interface} scope link",
        f"route replace {address}/32 dev {interface} src {addresses.HOST}",
    ]
    try:
        if no_ipv6.exists():
            no_ipv6.write_text("1")
        run(["ip", "-batch", "-"], "\n".join(changes) + "\n")
    except (CommandError, OSError):
        if interface in interfaces():
            raise
        return False
    return True


def interfaces() -> list[str]:
    """The links of machines that this host has now."""
    pattern = re.compile(re.escape(addresses.INTERFACE_PREFIX) + r"[0-9a-f]{8}")
    return [link["ifname"] for link in ip("link", "show") if pattern.fullmatch(link["ifname"])]


def own_addresses_present() -> list[IPv4Address]:
    """The lab's addresses that are on this host now, put there by the lab."""
    return [address for address, label in _own_addresses().items() if label == LABEL]


def teardown(state: Path) -> None:
    """Take everything of the lab's network off this host; what is gone already is no error.

    Links whose machine is gone are deleted with their routes, so stop the machines first.
    """
    for interface in interfaces():
        try:
            run(["ip", "link", "delete", "dev", interface])
        except CommandError:
            # A link ends with its machine, a moment later than that: it may have gone by itself.
            if interface in interfaces():
                raise
    if any(route["dev"] == "lo" for route in ip("route", "show", str(addresses.PUBLIC))):
        run(["ip", "route", "delete", str(addresses.PUBLIC), "dev", "lo"])
    for address in own_addresses_present():
        run(["ip", "address", "delete", f"{address}/32", "dev", "lo"])
    nft.remove()
    saved = _saved_forwarding(state)
    if saved.exists():
        FORWARDING.write_text(saved.read_text())
        saved.unlink()


def _own_addresses() -> dict[IPv4Address, str]:
    """The addresses on `lo`, with their labels."""
    listed = ip("-4", "address", "show", "dev", "lo")[0]["addr_info"]
    return {IPv4Address(item["local"]): item.get("label", "") for item in listed}


def _saved_forwarding(state: Path) -> Path:
    return state / "network" / "ip_forward"
