"""What the lab has on this host, so that before and after can be compared.

Other programs come and go meanwhile, and are nobody's business: so of each kind only what could be the lab's is looked
at. A process is the lab's by what it inherited (a mark in the environment that a test gives to `lab up`), by its
control group, by the lab's directory among its mounts, or by its parent. The rest is known by the names that the lab
uses.
"""

import contextlib
import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import psutil
import pytest

from artifact import cache
from lab import paths
from lab.machines import control_groups
from lab.network import addresses
from lab.network.security_groups import TABLE

WATCHED = ("/dev/shm", "/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr/local", "/var")
NAMES = ("dnsmasq", "expressway", "mmdebstrap", "moto", "nspawn", "pulumi")
"""What the lab, and the programs that it runs, put into the names of their files."""
PLACES = (str(paths.STATE), str(cache.root()), "/run/systemd/nspawn")
"""Where the lab mounts anything."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that a lab makes on a host, by kind."""

    processes: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    addresses: frozenset[str]
    routes: frozenset[str]
    rules: frozenset[str]
    forwarding: frozenset[str]
    control_groups: frozenset[str]
    files: frozenset[str]

    def added(self, after: "Snapshot") -> dict[str, list[str]]:
        """What is in `after` and was not here, by kind; empty when nothing is."""
        differences = {
            field.name: sorted(getattr(after, field.name) - getattr(self, field.name)) for field in fields(self)
        }
        return {kind: found for kind, found in differences.items() if found}


@dataclass(frozen=True)
class Watch:
    """Tells what comes of a lab from what comes of others.

    `temporary` is where its programs keep temporary files; in the directories `watched` others are known by name.
    """

    temporary: Path
    watched: Sequence[str] = WATCHED
    mark: str = field(default_factory=lambda: f"EXPRESSWAY_TEST={uuid.uuid4()}")

    def begin(self, patch: pytest.MonkeyPatch) -> None:
        """From now on, what this process starts is marked."""
        name, _, value = self.mark.partition("=")
        patch.setenv(name, value)
        patch.setenv("TMPDIR", str(self.temporary))

    def take(self) -> Snapshot:
        """A snapshot of now."""
        processes = _Processes(self.mark)
        return Snapshot(
            processes=frozenset(processes.described()),
            mounts=frozenset(line.split()[4] for line in _mounts()),
            namespaces=frozenset([*processes.namespaces(), *_pinned_namespaces()]),
            links=frozenset(name for name in _links() if name.startswith(addresses.INTERFACE_PREFIX)),
            addresses=frozenset(_addresses()),
            routes=frozenset(line for line in _lines("ip", "route", "show", "table", "all") if _is_named(line)),
            rules=frozenset(_rules()),
            forwarding=frozenset([Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()]),
            control_groups=frozenset(
                str(group)
                for group in Path("/sys/fs/cgroup").rglob("*")
                if control_groups.PARENT in group.parts and group.is_dir()
            ),
            files=frozenset([*_files(self.watched), *(str(path) for path in self.temporary.rglob("*"))]),
        )


class _Processes:
    """The lab's processes, found once."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{mark}\0".encode()
        self._own_mounts = Path("/proc/self/ns/mnt").readlink()

    @cached_property
    def ids(self) -> set[int]:
        """The lab's own, and their descendants."""
        parents: dict[int, int] = {}
        for process in psutil.process_iter(["pid", "ppid", "status"]):
            # The dead that nobody has waited for hold nothing.
            if process.info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                parents[process.pid] = process.info["ppid"]
        found = {pid for pid in parents if self._is_the_labs(Path(f"/proc/{pid}"))}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def described(self) -> Iterator[str]:
        for pid in self.ids:
            with contextlib.suppress(psutil.Error):
                yield f"{pid} {' '.join(psutil.Process(pid).cmdline())}"

    def namespaces(self) -> Iterator[str]:
        for pid in self.ids:
            with contextlib.suppress(OSError):
                yield from [str(entry.readlink()) for entry in Path(f"/proc/{pid}/ns").iterdir()]

    def _is_the_labs(self, process: Path) -> bool:
        with contextlib.suppress(OSError):
            if self._mark in (process / "environ").read_bytes():
                return True
            if f"/{control_groups.PARENT}" in (process / "cgroup").read_text():
                return True
            # In the host's own namespace a mount says nothing about who made it.
            if (process / "ns" / "mnt").readlink() != self._own_mounts:
                return str(paths.STATE) in (process / "mountinfo").read_text()
        return False


def _mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if any(place in line for place in PLACES)]


def _pinned_namespaces() -> list[str]:
    """Those that a mount keeps alive without any process: such as `net:[4026531840]`."""
    return [line.split()[3] for line in _mounts() if " - nsfs " in line]


def _links() -> list[str]:
    return [link["ifname"] for link in _json("ip", "-json", "link")]


def _addresses() -> list[str]:
    found = [
        (link["ifname"], address["local"])
        for link in _json("ip", "-json", "address")
        for address in link.get("addr_info", [])
    ]
    return [f"{address} {link}" for link, address in found if _is_named(link) or _is_the_labs_address(address)]


def _is_the_labs_address(text: str) -> bool:
    with contextlib.suppress(ValueError):
        address = IPv4Address(text)
        return address in addresses.SERVERS or address in addresses.PUBLIC
    return False


def _is_named(text: str) -> bool:
    return addresses.INTERFACE_PREFIX in text or str(addresses.PUBLIC.network_address)[:-1] in text


def _rules() -> Iterator[str]:
    """The lines of the lab's table, and those of others that name its interfaces or addresses."""
    table = ""
    for line in _lines("nft", "list", "ruleset"):
        if line.startswith("table "):
            table = line
        if TABLE in table or _is_named(line):
            yield f"{table} {line.strip()}"


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _json(*command: str) -> Any:
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _files(watched: Sequence[str]) -> Iterator[str]:
    # Caches may grow, the lab's and any other; pytest's directories are the tests' own.
    passed_over = {str(cache.root()), str(Path.home() / ".cache"), str(Path.home() / ".npm"), "/var/cache/apt"}
    for top in watched:
        for directory, inner, names in os.walk(top):
            inner[:] = [
                name
                for name in inner
                if f"{directory}/{name}" not in passed_over and not name.startswith(("pytest-of-", "__pycache__"))
            ]
            if any(name in directory for name in NAMES):
                yield from (f"{directory}/{name}" for name in (*inner, *names))
            else:
                yield from (f"{directory}/{name}" for name in (*inner, *names) if any(each in name for each in NAMES))
