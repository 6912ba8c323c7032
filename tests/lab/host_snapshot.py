"""What is on this host, so that before and after can be compared."""

import contextlib
import os
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from artifact import cache
from tests.paths import ROOT

WATCHED = ("/dev/shm", "/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr/local", "/var")


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


def take() -> Snapshot:
    """A snapshot of now."""
    return Snapshot(
        processes=frozenset(_processes()),
        mounts=frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        namespaces=frozenset(_namespaces()),
        links=_lines("ip", "-brief", "link"),
        addresses=_lines("ip", "-brief", "address"),
        routes=_lines("ip", "route", "show", "table", "all"),
        rules=_lines("nft", "list", "ruleset"),
        forwarding=frozenset([Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()]),
        control_groups=frozenset(str(group) for group in Path("/sys/fs/cgroup").rglob("*") if group.is_dir()),
        files=frozenset(_files()),
    )


def _processes() -> list[str]:
    found: list[str] = []
    for process in psutil.process_iter(["pid", "ppid", "cmdline", "status"]):
        info = process.info
        # Kernel threads have no command line; the dead that nobody has waited for hold nothing.
        if (
            info["cmdline"]
            and info["status"] != psutil.STATUS_ZOMBIE
            and os.getpid() not in (info["pid"], info["ppid"])
        ):
            found.append(f"{info['pid']} {' '.join(info['cmdline'])}")
    return found


def _namespaces() -> list[str]:
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found += [str(entry.readlink()) for entry in (process / "ns").iterdir()]
    return found


def _lines(*command: str) -> frozenset[str]:
    return frozenset(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def _files() -> list[str]:
    # Caches may grow, the lab's and any other; the checkout is this test's own.
    caches = {str(cache.root()), str(Path.home() / ".cache"), str(Path.home() / ".npm"), "/var/cache/apt"}
    passed_over = {*caches, str(ROOT)}
    found: list[str] = []
    for top in WATCHED:
        for directory, inner, names in os.walk(top):
            inner[:] = [name for name in inner if f"{directory}/{name}" not in passed_over and name != "__pycache__"]
            found += [f"{directory}/{name}" for name in (*inner, *names)]
    return found
