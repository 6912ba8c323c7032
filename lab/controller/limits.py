"""How many of the host's CPUs each machine may use, from when it is ready: a boot has all of them."""

from collections.abc import Callable, Collection

from lab.machines import control_groups
from lab.machines.machine import MachineSpec
from lab.machines.observation import MachineStatus, State


class Limits:
    """Remembers whom it holds. A machine that is started again has a control group of its own, and is held anew."""

    def __init__(self, limit: Callable[[str, float], None] = control_groups.limit) -> None:
        self._limit = limit
        self._held: dict[str, float] = {}

    def hold(self, machines: Collection[MachineSpec], found: Collection[MachineStatus]) -> None:
        """Hold those that are ready, and weren't yet, to their CPUs. OSError where the kernel can't."""
        begun = {each.id: each.started_at for each in found if each.state is State.READY}
        self._held = {each: at for each, at in self._held.items() if begun.get(each) == at}
        for spec in machines:
            if spec.cpus is not None and spec.id in begun and spec.id not in self._held:
                self._limit(spec.id, spec.cpus)
                self._held[spec.id] = begun[spec.id]
