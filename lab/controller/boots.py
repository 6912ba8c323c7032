"""How often standbys have failed to boot, one try after the other: what fails each time is not tried without end.

Other machines are not: a database's own goes on with its disk or is said to have failed, and who replaces an app server
is its Auto Scaling group.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from lab.machines.observation import MachineStatus, State

from .plan import Service, Wanted

MOST: Final = 3
"""Tries of a standby."""

log = logging.getLogger("lab.controller")


class Boots:
    """Remembers them. A controller that is started anew tries anew."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}
        self._before: Mapping[str, State] = {}

    def look(self, wanted: Wanted, found: Collection[MachineStatus]) -> Wanted:
        """What is wanted, with those standbys given up that have failed too often."""
        states = {status.id: status.state for status in found}
        standbys = {service.standby.machine: service.id for service in wanted.services if service.standby}
        self._failed = {machine: count for machine, count in self._failed.items() if machine in standbys}
        for machine, database in standbys.items():
            self._count(machine, database, states.get(machine))
        self._before = states
        return replace(wanted, services=tuple(map(self._judged, wanted.services)))

    def _count(self, machine: str, database: str, state: State | None) -> None:
        if state is State.READY:
            self._failed.pop(machine, None)
        elif state not in (None, State.BOOTING) and self._before.get(machine) in (None, State.BOOTING):
            count = self._failed[machine] = self._failed.get(machine, 0) + 1
            again = "it is made anew" if count < MOST else "it stays as it is, and the database has no standby"
            log.warning(
                "%s: its standby %s has failed to boot, %d of %d times: %s", database, machine, count, MOST, again
            )

    def _judged(self, service: Service) -> Service:
        if service.standby is None or self._failed.get(service.standby.machine, 0) < MOST:
            return service
        return replace(service, standby=replace(service.standby, given_up=True))
