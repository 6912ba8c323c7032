"""The machine itself: CPU, memory, disk, network."""

from dataclasses import dataclass

import psutil

from .model import Reading, Value, counter, gauge, since


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


def read() -> Host:
    """How the machine is now."""
    memory = psutil.virtual_memory()
    interfaces = [each for name, each in psutil.net_io_counters(pernic=True).items() if name != "lo"]
    return Host(
        cpu_percent=psutil.cpu_percent(),
        load=psutil.getloadavg()[0],
        memory_total=memory.total,
        memory_available=memory.available,
        disk_percent=psutil.disk_usage("/").percent,
        received=sum(each.bytes_recv for each in interfaces),
        sent=sum(each.bytes_sent for each in interfaces),
    )


def reading(now: Host, before: Host) -> Reading:
    """What is told of it. Pure."""
    used = now.memory_total - now.memory_available
    network = since(before.received, now.received) + since(before.sent, now.sent)
    families = [
        gauge("expressway_cpu_ratio", "CPU in use, of all CPUs.", [({}, now.cpu_percent / 100)]),
        gauge("expressway_load", "Load average of the last minute.", [({}, now.load)]),
        gauge("expressway_memory_used_bytes", "Memory that programs can't have any more.", [({}, used)]),
        gauge("expressway_memory_available_bytes", "Memory that programs can have.", [({}, now.memory_available)]),
        gauge("expressway_disk_used_ratio", "Of the root file system.", [({}, now.disk_percent / 100)]),
        counter("expressway_network_received_bytes", "Bytes from other machines.", [({}, now.received)]),
        counter("expressway_network_sent_bytes", "Bytes to other machines.", [({}, now.sent)]),
    ]
    values = [
        Value.of("CPU", "Percent", now.cpu_percent),
        Value.of("Memory", "Percent", 100 * used / now.memory_total),
        Value.of("Disk", "Percent", now.disk_percent),
        Value.of("Network", "Bytes", network),
    ]
    return Reading(families, values)
