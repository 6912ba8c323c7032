"""Connections to a public address that has moved to another machine.

This host's kernel remembers where each connection was translated to, and goes on sending it there. An internet gateway
translates each packet by itself: once an Elastic IP is another instance's, what comes in on an old connection reaches
that one, which knows no such connection and resets it.
"""

from ipaddress import IPv4Address

from lab.network.command import CommandError, run
from lab.network.model import Network, WayOut

_NONE = "0 flow entries"


def moved(before: Network, after: Network) -> frozenset[IPv4Address]:
    """Public addresses that led to a machine, and lead to another one now or to none. Pure."""
    now = _translations(after)
    return frozenset(public for public, machine in _translations(before).items() if now.get(public) != machine)


def forget(public: IPv4Address) -> None:
    """Have each packet to `public` translated anew. Raises CommandError."""
    try:
        run(["conntrack", "--delete", "--orig-dst", str(public)])
    except CommandError as error:
        # Exit status 1, and these words, where there was no connection.
        if _NONE not in str(error):
            raise


def _translations(network: Network) -> dict[IPv4Address, IPv4Address]:
    return {
        machine.public_address: machine.address
        for machine in network.machines
        if machine.public_address and machine.way_out is WayOut.INTERNET_GATEWAY
    }
