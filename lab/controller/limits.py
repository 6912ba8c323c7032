"""How much of the host's CPUs and memory each machine may use, from when it is ready: a boot has all of it."""

import logging
from collections.abc import Callable, Collection

from lab.machines import control_groups
from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State

log = logging.getLogger("lab.controller")


class Limits:
    """Remembers whom it holds, and to what. A machine that is started again has a control group of its own, and is held
    anew; so is one whose size has changed."""

    def __init__(
        self,
        limit: Callable[[str, float], None] = control_groups.limit,
        limit_memory: Callable[[str, int], None] = control_groups.limit_memory,
    ) -> None:
        self._limit = limit
        self._limit_memory = limit_memory
        self._held: dict[str, tuple[float, float | None, int | None]] = {}

    def hold(self, machines: Collection[MachineSpec], found: Collection[MachineStatus]) -> None:
        """Hold those that are ready, and weren't yet, to what they may have.

        OSError where the kernel can't do it with CPUs, which somebody asked for; of memory it is logged.
        """
        begun = {each.id: each.started_at for each in found if each.state is State.READY}
        wanted = {spec.id: (begun[spec.id], spec.cpus, spec.memory) for spec in machines if spec.id in begun}
        for each, (at, cpus, memory) in wanted.items():
            if self._held.get(each) == (at, cpus, memory):
                continue
            if cpus is not None:
                self._limit(each, cpus)
            if memory is not None:
                self._hold_memory(each, memory)
        self._held = wanted

    def _hold_memory(self, machine: str, size: int) -> None:
        try:
            self._limit_memory(machine, size)
        except OSError as error:
            log.warning("%s has all of the host's memory and not %d MiB: %s", machine, size // 2**20, error)
