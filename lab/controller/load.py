"""How busy machines are: the CPU time of their control groups, once every period."""

import os
from collections.abc import Callable, Collection, Mapping
from typing import Final

from lab.machines import control_groups

PERIOD_SECONDS: Final = 10
"""As short as CloudWatch has periods."""


class LoadMeter:
    """Remembers what each machine had used. `cpus`: how many a machine may use, which are all of the host's."""

    def __init__(
        self,
        used: Callable[[str], float | None] = control_groups.cpu_seconds,
        cpus: float = os.cpu_count() or 1,
    ) -> None:
        self._used = used
        self._cpus = cpus
        self._before: dict[str, float] = {}
        self._at = 0.0

    def measure(
        self, machines: Collection[str], now: float, limits: Mapping[str, float] | None = None
    ) -> tuple[dict[str, float], float] | None:
        """Percent of each machine's CPUs, and when the period began that has ended; None while one is under way.

        `limits` are the CPUs of those machines that may use fewer than the others.
        The periods lie where CloudWatch's do, at whole multiples of their length.
        """
        begun = now - now % PERIOD_SECONDS
        if self._at >= begun:
            return None
        found = {machine: used for machine in machines if (used := self._used(machine)) is not None}
        elapsed = now - self._at
        # A machine that has started again has used less than before.
        percent = {
            machine: min(
                100.0, 100 * (used - self._before[machine]) / (elapsed * (limits or {}).get(machine, self._cpus))
            )
            for machine, used in found.items()
            if used >= self._before.get(machine, used + 1)
        }
        self._before, self._at = found, now
        return (percent, begun - PERIOD_SECONDS) if percent else None
