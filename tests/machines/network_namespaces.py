"""Machines for packet tests: a network namespace each, linked to a host exactly as the lab links its machines.

The host is a namespace too, of the test process: nothing of the real one is touched, and a lab may be up meanwhile.
"""

import contextlib
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab.network import addresses, links
from lab.network.command import ip, run

PEER = str(Path(__file__).with_name("network_peer.py"))
CLONE_NEWNET = 0x40000000
PORTS = (22, 80, 443, 3000, 5432, 6379)


@dataclass(frozen=True)
class Flow:
    """One packet test."""

    host: str
    port: int
    protocol: str = "tcp"
    source: str = ""
    source_port: int = 0


@dataclass
class Peers:
    """The processes at the ends of the links, by name; `host` is this machine itself."""

    processes: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)
    own_links: set[str] = field(default_factory=lambda: _links())

    def start(self, name: str, listeners: Sequence[tuple[str, int]]) -> int:
        """A server, in a namespace of its own unless it is the host's. Returns when it listens."""
        own = [] if name == "host" else ["unshare", "--net"]
        process = subprocess.Popen(
            [*own, sys.executable, "-S", PEER, "serve", json.dumps(list(listeners))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes[name] = process
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"the server of {name} did not start"
        return process.pid

    def inside(self, name: str, *command: str) -> str:
        """Run a command in the namespace of `name`."""
        enter = [] if name == "host" else ["nsenter", "--net", f"--target={self.processes[name].pid}"]
        return run([*enter, *command])

    def calls(self, name: str, flows: Sequence[Flow]) -> list[str]:
        """What each flow from `name` got, all at once: the address its server saw, `dropped`, or an error."""
        targets = [flow.__dict__ for flow in flows]
        return json.loads(self.inside(name, sys.executable, "-S", PEER, "call", json.dumps(targets)))

    def call(self, name: str, host: str, port: int) -> str:
        """What one TCP call got."""
        return self.calls(name, [Flow(host, port)])[0]

    def add_machine(self, machine_id: str, address: str) -> None:
        """A machine: the guest's side as its network configuration has it, this host's side by `links.ensure`."""
        pid = self.start(machine_id, [("0.0.0.0", port) for port in PORTS])  # noqa: S104 - in a namespace of its own
        interface = addresses.interface(machine_id)
        run(["ip", "link", "add", interface, "type", "veth", "peer", "name", "ens5", "netns", str(pid)])
        for step in (
            "link set lo up",
            f"address add {address}/32 dev ens5",
            "link set ens5 up",
            f"route add {addresses.GATEWAY} dev ens5 scope link",
            f"route add default via {addresses.GATEWAY}",
        ):
            self.inside(machine_id, "ip", *step.split())
        assert links.ensure(interface, IPv4Address(address)), f"the link of {machine_id} is there"

    def add_outsider(self, name: str, here: str, there: str, routes: Sequence[str]) -> None:
        """A computer of another network that this host is on: its way to the internet, and it sends `routes` here."""
        pid = self.start(name, [("0.0.0.0", port) for port in PORTS])  # noqa: S104 - in a namespace of its own
        run(["ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
        run(["ip", "address", "add", f"{here}/30", "dev", "uplink"])
        run(["ip", "link", "set", "uplink", "up"])
        run(["ip", "route", "add", "default", "via", there])
        self.inside(name, "ip", "address", "add", f"{there}/30", "dev", "eth0")
        self.inside(name, "ip", "link", "set", "eth0", "up")
        for route in routes:
            self.inside(name, "ip", "route", "add", route, "via", here)

    def stop(self) -> None:
        """End the servers, and wait until their namespaces and links are gone, which is a moment later."""
        for process in self.processes.values():
            process.kill()
            process.communicate()
        self.processes.clear()
        deadline = time.monotonic() + 60
        while _links() != self.own_links and time.monotonic() < deadline:
            time.sleep(0.02)


@contextlib.contextmanager
def own_network() -> Generator[None]:
    """Puts this thread, and what it starts, into a new network namespace; back into its old one at the end."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.unshare and os.setns came with Python 3.12
    with Path("/proc/thread-self/ns/net").open() as old:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            run(["ip", "link", "set", "lo", "up"])
            links.FORWARDING.write_text("0")
            yield
        finally:
            if libc.setns(old.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def peers() -> Generator[Peers]:
    """Peers that are gone afterwards, whatever happens."""
    made = Peers()
    try:
        yield made
    finally:
        made.stop()


def host_state() -> dict[str, Any]:
    """What the lab's network changes on this host, to compare before and after."""
    return {
        "addresses": [
            (item["local"], item.get("label")) for item in ip("address", "show", "dev", "lo")[0]["addr_info"]
        ],
        "routes": ip("route", "show", "table", "all"),
        "links": _links(),
        "tables": run(["nft", "list", "tables"]),
        "forwarding": links.FORWARDING.read_text(),
    }


def _links() -> set[str]:
    return {link["ifname"] for link in ip("link", "show")}
