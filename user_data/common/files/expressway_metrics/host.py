"""The machine itself: CPU, memory, disk, network."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from .model import Reading, Value, counter, gauge, since

CPU_STAT = (Path("/sys/fs/cgroup/cpu.stat"), Path("/sys/fs/cgroup/unified/cpu.stat"))
"""Where the kernel counts what this machine's own processes ran for, with one hierarchy of control groups or both."""
GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/cpu"))
"""Where a container finds that it may use only a part of its host's CPUs; on a machine of its own, nothing is there."""


@dataclass(frozen=True)
class Host:
    """How it is now."""

    cpu_percent: float
    """Of all CPUs, since the last look."""
    load: float
    """Processes that run or wait for a CPU or the disk, on average of the last minute."""
    memory_total: int
    """Bytes."""
    memory_available: int
    """Bytes that programs can still have."""
    disk_percent: float
    """Used, of the root file system."""
    received: int
    """Bytes since boot, without what the machine sends to itself."""
    sent: int
    """Bytes since boot."""
    own_cpu: float | None = None
    """Seconds that its own processes have run for since boot; None when the kernel doesn't tell."""
    cpus: int = 1
    at: float = 0.0
    """When that was, in seconds of a clock that never goes back."""
    limit: float | None = None
    """How many of the CPUs its processes may use, where that is fewer than all."""


def read() -> Host:
    """How the machine is now."""
    memory = psutil.virtual_memory()
    interfaces = [each for name, each in psutil.net_io_counters(pernic=True).items() if name != "lo"]
    return Host(
        cpu_percent=psutil.cpu_percent(),
        own_cpu=own_cpu(),
        limit=limit(),
        cpus=psutil.cpu_count() or 1,
        at=time.monotonic(),
        load=psutil.getloadavg()[0],
        memory_total=memory.total,
        memory_available=memory.available,
        disk_percent=psutil.disk_usage("/").percent,
        received=sum(each.bytes_recv for each in interfaces),
        sent=sum(each.bytes_sent for each in interfaces),
    )


def own_cpu(places: Sequence[Path] = CPU_STAT) -> float | None:
    """Seconds of user and system time, of processes that have ended too."""
    for place in places:
        with suppress(OSError, ValueError):
            lines = dict(line.split() for line in place.read_text().splitlines())
            # usage_usec of a whole machine has what others took of it, in some kernels.
            if "user_usec" in lines:
                return (int(lines["user_usec"]) + int(lines["system_usec"])) / 1e6
    return None


def limit(places: Sequence[Path] = GROUPS) -> float | None:
    """How many CPUs this machine may use; None when they are all that it sees."""
    for place in places:
        with suppress(OSError, ValueError):
            quota, period = (place / "cpu.max").read_text().split()
            return None if quota == "max" else int(quota) / int(period)
        with suppress(OSError, ValueError):
            quota, period = (int((place / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
            return quota / period if quota > 0 else None
    return None


def used(now: Host, before: Host) -> float:
    """Percent of the CPUs that the machine may use. What it may not have, others' use is no measure of."""
    seconds = (now.limit or 0.0) * (now.at - before.at)
    if now.own_cpu is None or before.own_cpu is None or now.own_cpu < before.own_cpu or seconds <= 0:
        return now.cpu_percent
    return min(100.0, 100 * (now.own_cpu - before.own_cpu) / seconds)


def stolen(now: Host, before: Host) -> float | None:
    """Percent of all CPUs that were busy, and not with this machine's own processes.

    Others had them: guests on the same host, or a burstable instance has no credits left. None of a machine that may
    not have all of them anyway.
    """
    if now.limit is not None:
        return None
    seconds = now.cpus * (now.at - before.at)
    if now.own_cpu is None or before.own_cpu is None or now.own_cpu < before.own_cpu or seconds <= 0:
        return None
    return min(100.0, max(0.0, now.cpu_percent - 100 * (now.own_cpu - before.own_cpu) / seconds))


def reading(now: Host, before: Host) -> Reading:
    """What is told of it. Pure."""
    memory = now.memory_total - now.memory_available
    cpu = used(now, before)
    lost = stolen(now, before)
    network = since(before.received, now.received) + since(before.sent, now.sent)
    families = [
        gauge("expressway_cpu_ratio", "CPU in use, of all CPUs.", [({}, cpu / 100)]),
        gauge("expressway_cpu_steal_ratio", "Of it, what others had.", [] if lost is None else [({}, lost / 100)]),
        gauge("expressway_load", "Load average of the last minute.", [({}, now.load)]),
        gauge("expressway_memory_used_bytes", "Memory that programs can't have any more.", [({}, memory)]),
        gauge("expressway_memory_available_bytes", "Memory that programs can have.", [({}, now.memory_available)]),
        gauge("expressway_disk_used_ratio", "Of the root file system.", [({}, now.disk_percent / 100)]),
        counter("expressway_network_received_bytes", "Bytes from other machines.", [({}, now.received)]),
        counter("expressway_network_sent_bytes", "Bytes to other machines.", [({}, now.sent)]),
    ]
    values = [
        Value.of("CPU", "Percent", cpu),
        *([] if lost is None else [Value.of("CPUSteal", "Percent", lost)]),
        Value.of("Memory", "Percent", 100 * memory / now.memory_total),
        Value.of("Disk", "Percent", now.disk_percent),
        Value.of("Network", "Bytes", network),
    ]
    return Reading(families, values)
