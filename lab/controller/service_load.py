"""What databases and caches do, measured on their machines once every period, for the metrics that AWS has of them."""

import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from lab.machines import access, control_groups
from lab.machines.services import postgresql, redis

from .load import LoadMeter
from .plan import Service
from .wanted import cache_machine

log = logging.getLogger("lab.controller")

Found = dict[str, dict[str, dict[str, float]]]
"""Metrics by name, of each instance and node, under `database` and `cache`."""

PATIENCE: Final = 5
"""Seconds after which a machine that does not answer is passed over."""
GROWING: Final = {"evicted_keys": "Evictions", "keyspace_hits": "CacheHits", "keyspace_misses": "CacheMisses"}
"""Redis's counters, and the metrics that are their growth."""

Ask = Callable[[str, list[str], str], str]
"""Runs a command on a machine, with its standard input; what it prints. OSError or MachineError when that fails."""


class ServiceMeter:
    """Remembers what each node's counters said. `machines` is the directory of the machines."""

    def __init__(
        self,
        machines: Path,
        ask: Ask | None = None,
        memory: Callable[[], float] | None = None,
        core_per_vcpu: float | None = None,
    ) -> None:
        self._ask = ask or (lambda machine, command, given: _run(machine, command, given, machines))
        self._memory = memory or _available
        # Redis runs its commands in one thread: of one CPU, not of all.
        one = core_per_vcpu or 1
        self._engine = LoadMeter(lambda machine: control_groups.cpu_seconds(machine, redis.UNIT), one)
        self._before: dict[str, Mapping[str, float]] = {}

    def measure(self, services: Collection[Service], cpu: Mapping[str, float], now: float) -> Found:
        """What instances and nodes did; those that are not available, or don't answer, are left out.

        `cpu` has percents of all CPUs by machine, `now` is the time.
        """
        there = [each for each in services if each.status == "available"]
        nodes = [machine for each in there if each.kind == "cache" for machine in each.machines]
        engine = self._engine.measure(nodes, now)
        found: Found = {"database": {}, "cache": {}}
        for service in there:
            if service.kind == "database" and service.port is not None:
                machine = service.machines[0]
                if (seen := self._try(self._database, machine, service.port)) is not None:
                    found["database"][service.id] = seen | _cpu("CPUUtilization", cpu, machine)
        for machine in nodes:
            if (seen := self._try(self._cache, machine)) is not None:
                of_engine = _cpu("EngineCPUUtilization", engine[0] if engine else {}, machine)
                seen |= _cpu("CPUUtilization", cpu, machine) | of_engine
                found["cache"][machine.removeprefix(cache_machine(""))] = seen
        return found

    def _database(self, machine: str, port: int) -> dict[str, float]:
        told = json.loads(self._ask(machine, postgresql.questions(port), postgresql.STATE))
        return {key: float(value) for key, value in told.items() if value is not None} | {
            "FreeableMemory": self._memory()
        }

    def _cache(self, machine: str) -> dict[str, float]:
        told = redis.read(self._ask(machine, redis.question(), "INFO\n"))
        before, now = self._before.get(machine), {key: float(told[key]) for key in GROWING}
        self._before[machine] = now
        found = {
            "CurrConnections": float(told["connected_clients"]) - 1,  # less the one that asks
            "IsMaster": float(told["role"] == "master"),
        }
        if limit := float(told["maxmemory"]):
            found["DatabaseMemoryUsagePercentage"] = 100 * float(told["used_memory"]) / limit
        if before is not None:
            # One that has started anew counts from nothing.
            grown = {key: now[key] - before[key] if now[key] >= before[key] else now[key] for key in GROWING}
            found |= {GROWING[key]: value for key, value in grown.items()}
        if told["role"] == "slave":
            down = told["master_link_status"] != "up"
            found["ReplicationLag"] = max(0.0, float(told.get("master_link_down_since_seconds", 0))) if down else 0.0
        return found

    def _try(self, look: Callable[..., dict[str, float]], *given: Any) -> dict[str, float] | None:
        try:
            return look(*given)
        except (OSError, ValueError, KeyError, access.MachineError) as error:
            log.debug("%s is not measured: %s", given[0], error)
            return None


def _cpu(metric: str, percent: Mapping[str, float], machine: str) -> dict[str, float]:
    return {metric: percent[machine]} if machine in percent else {}


def _run(machine: str, command: list[str], given: str, machines: Path) -> str:
    done = access.run(machine, ["timeout", str(PATIENCE), *command], machines, stdin=given)
    if done.returncode != 0:
        raise OSError(f"{machine}: {done.stderr.strip()}")
    return done.stdout


def _available() -> float:
    """Bytes that programs of this host can still have: machines have no memory of their own."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return float(value.split()[0]) * 1024
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
