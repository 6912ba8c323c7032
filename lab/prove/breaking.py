"""Ways to break a machine of the lab, as machines break."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Generator

from lab import paths
from lab.machines import control_groups, observation

TABLE = "expressway_prove"


def power_off(machine: observation.MachineStatus) -> None:
    """Take a machine's power: nothing on it ends in order, and nothing is said to anybody.

    Its keeper's end alone would leave its processes running. They are killed in a black hole, for the kernel closes
    what they had open, and a machine without power sends no FIN.
    """
    keeper = observation.process(paths.MACHINES / machine.id)
    with black_hole(machine.address):
        if keeper is not None:
            os.kill(keeper, signal.SIGKILL)
        control_groups.remove(machine.id)


def hang(machine: str) -> None:
    """Stop all of a machine's processes. Its kernel goes on taking connections, and nobody answers."""
    for pid in control_groups.processes(machine):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


@contextlib.contextmanager
def black_hole(*addresses: str) -> Generator[None]:
    """Drop every packet from and to the addresses, on connections that are open too, for as long as the body runs."""
    those = ", ".join(addresses)
    # Both ways in each: a packet to this host's own address passes prerouting alone.
    with _dropping(*(f"ip {side} {{ {those} }}" for side in ("saddr", "daddr"))):
        yield


@contextlib.contextmanager
def cut(ones: Collection[str], others: Collection[str]) -> Generator[None]:
    """Drop every packet between addresses and others, both ways, on connections that are open too."""
    here, there = (f"{{ {', '.join(each)} }}" for each in (ones, others))
    with _dropping(f"ip saddr {here} ip daddr {there}", f"ip saddr {there} ip daddr {here}"):
        yield


@contextlib.contextmanager
def connection_cut(address: str, port: int) -> Generator[None]:
    """Drop every packet of the one connection that a machine has from a port of its own."""
    with _dropping(f"ip saddr {address} tcp sport {port}", f"ip daddr {address} tcp dport {port}"):
        yield


@contextlib.contextmanager
def _dropping(*matches: str) -> Generator[None]:
    drop = " ".join(f"{each} drop;" for each in matches)
    rules = "\n".join(
        f"chain {hook} {{ type filter hook {hook} priority -400; {drop} }}" for hook in ("prerouting", "postrouting")
    )
    _nft(f"table inet {TABLE} {{\n{rules}\n}}\n")
    try:
        yield
    finally:
        _nft(f"delete table inet {TABLE}\n")


def _nft(script: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True, capture_output=True)
