"""How many of the host's CPUs each machine may use, from when it is ready: a boot has all of them."""

from collections.abc import Callable, Collection

from lab.machines import control_groups
from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State


class Limits:
    """Remembers whom it holds, and to what. A machine that is started again has a control group of its own, and is held
    anew; so is one whose size has changed."""

    def __init__(self, limit: Callable[[str, float], None] = control_groups.limit) -> None:
        self._limit = limit
        self._held: dict[str, tuple[float, float]] = {}

    def hold(self, machines: Collection[MachineSpec], found: Collection[MachineStatus]) -> None:
        """Hold those that are ready, and weren't yet, to their CPUs. OSError where the kernel can't."""
        begun = {each.id: each.started_at for each in found if each.state is State.READY}
        wanted = {
            spec.id: (begun[spec.id], spec.cpus) for spec in machines if spec.cpus is not None and spec.id in begun
        }
        for each, (at, cpus) in wanted.items():
            if self._held.get(each) != (at, cpus):
                self._limit(each, cpus)
        self._held = wanted
