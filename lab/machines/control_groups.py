"""A control group of its own for each machine.

Without one, two machines started from the same shell would share that shell's group, each take it for the root of its
own tree, and kill each other's processes. The groups lie at the top of each hierarchy in which systemd-nspawn may
write: the unified one, and in the hybrid layout also systemd's named one. There, a machine that is to be held to a part
of the host's CPUs has a third, in the hierarchy of the controller `cpu`. Others have none: all machines together would
get as much of a busy host as one process of their neighbours'. One that is to be held to some memory has one in that of
`memory`.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

PARENT: Final = "expressway-lab"
"""The group that holds all machines' groups."""

CPU, MEMORY = "cpu", "memory"
"""The kernel's controllers that limit machines."""
_REMOVAL_SECONDS: Final = 5.0
_PERIOD: Final = 20_000
"""Microseconds in which a limit is used up. Of the kernel's own 100 ms, a machine would stand still for most."""


def hierarchies(mounts: str) -> list[Path]:
    """Where the hierarchies are mounted that a machine needs its own group in; `mounts` is the text of /proc/mounts."""
    found: list[Path] = []
    for line in mounts.splitlines():
        _, target, kind, options, *_ = line.split(" ")
        ours = kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(","))
        if ours and target.startswith("/sys/fs/cgroup"):
            found.append(Path(target))
    return found


def own_hierarchy(mounts: str, controller: str) -> Path | None:
    """Where a controller has a hierarchy of its own; None where it is in the unified one, or nowhere."""
    for line in mounts.splitlines():
        _, target, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and controller in options.split(",") and target.startswith("/sys/fs/cgroup"):
            return Path(target)
    return None


def limits_memory() -> bool:
    """Whether this kernel can hold a machine to some memory."""
    mounts = Path("/proc/mounts").read_text()
    if own_hierarchy(mounts, MEMORY):
        return True
    unified = [mount / "cgroup.controllers" for mount in hierarchies(mounts)]
    return any(MEMORY in each.read_text().split() for each in unified if each.exists())


def host_memory() -> int:
    """Bytes that this host has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def create(machine: str, *, cpu: bool = False, memory: bool = False) -> list[Path]:
    """Make the machine's groups; a process joins one by writing 0 to its `cgroup.procs`.

    `cpu` and `memory`: whether `limit` and `limit_memory` are to be called later.
    """
    unlimited = {_own_group(machine, each) for each, wanted in ((CPU, cpu), (MEMORY, memory)) if not wanted}
    groups = [group for group in _groups(machine) if group not in unlimited]
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
    return groups


def processes(machine: str, unit: str | None = None) -> set[int]:
    """The ids of all processes in the machine's groups, or in those of one unit of its systemd."""
    found: set[int] = set()
    for group in _groups(machine):
        # os.walk passes over what vanishes meanwhile.
        for directory, _, _ in os.walk(_unit(group, unit)):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in (Path(directory) / "cgroup.procs").read_text().split())
    return found


def cpu_seconds(machine: str, unit: str | None = None) -> float | None:
    """CPU time that the machine, or a unit of its systemd such as `nginx.service`, has used since its start.

    User and system time, of processes that have ended too. None when there is no such group in the unified hierarchy.
    """
    for group in _groups(machine):
        with contextlib.suppress(OSError):
            for line in (_unit(group, unit) / "cpu.stat").read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "usage_usec":
                    return int(value) / 1e6
    return None


def limit(machine: str, cpus: float) -> None:
    """Let the machine's processes have `cpus` of the host's CPUs at most, from now on. OSError where the kernel can't.

    Its share is used up within 20 ms, and given anew. Up to that it goes before other programs of the host. Doing it
    again changes nothing.
    """
    quota = max(1000, round(cpus * _PERIOD))  # the kernel's least
    own = _own_group(machine, CPU)
    if own is not None and own.exists():
        (own.parent / "cpu.shares").write_text("262144")  # the kernel's most
        (own / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (own / "cpu.cfs_quota_us").write_text(str(quota))
        return
    for group in _groups(machine):
        if _has(group, CPU):
            (group.parent / "cpu.weight").write_text("10000")  # the kernel's most
            (group / "payload/cpu.max").write_text(f"{quota} {_PERIOD}")
            return
    raise FileNotFoundError(f"there is no control group of {machine} whose CPUs can be limited")


def limit_memory(machine: str, size: int) -> None:
    """Let the machine's processes have `size` bytes at most, from now on, files that they read or write among them.

    Who wants more has the kernel kill one of them. OSError where the kernel can't, or they have more that is needed.
    """
    own = _own_group(machine, MEMORY)
    if own is not None and own.exists():
        (own / "memory.limit_in_bytes").write_text(str(size))
        return
    for group in _groups(machine):
        if _has(group, MEMORY):
            (group / "payload/memory.max").write_text(str(size))
            return
    raise FileNotFoundError(f"there is no control group of {machine} whose memory can be limited")


def _has(group: Path, controller: str) -> bool:
    """Have a group of the unified hierarchy count for a controller. Whether it is one, and that is there."""
    known = group / "cgroup.controllers"
    # The machine sees what its own root says, and that is `payload`.
    if not known.exists() or controller not in (group.parent.parent / known.name).read_text().split():
        return False
    for parent in (group.parent.parent, group.parent, group):
        (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    return True


def remove(machine: str) -> None:
    """Kill what still runs in the machine's groups, then remove them. Raises TimeoutError when they do not empty."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while any(group.exists() for group in _groups(machine)):
        for pid in processes(machine):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for group in _groups(machine):
            _remove_empty(group)
        if time.monotonic() > deadline:
            raise TimeoutError(f"control group of {machine} does not empty: processes {sorted(processes(machine))}")
        time.sleep(0.02)
    for group in _groups(machine):
        with contextlib.suppress(OSError):  # other machines are in it
            group.parent.rmdir()


def _groups(machine: str) -> list[Path]:
    own = (_own_group(machine, controller) for controller in (CPU, MEMORY))
    common = [mount / PARENT / machine for mount in hierarchies(Path("/proc/mounts").read_text())]
    return [*common, *(group for group in dict.fromkeys(own) if group)]


def _own_group(machine: str, controller: str) -> Path | None:
    mount = own_hierarchy(Path("/proc/mounts").read_text(), controller)
    return mount / PARENT / machine if mount else None


def _unit(group: Path, unit: str | None) -> Path:
    """systemd-nspawn puts the machine's own tree below `payload`, beside its own process."""
    return group / "payload/system.slice" / unit if unit else group


def _remove_empty(group: Path) -> None:
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
