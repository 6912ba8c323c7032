"""What load balancers' machines find out about their targets, told to the API whenever it changes."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from lab.machines.services import load_balancer

from .api import Api
from .plan import Service


class HealthRelay:
    """Remembers what was told last. `machines` is the directory of the machines."""

    def __init__(self, api: Api, machines: Path) -> None:
        self._api = api
        self._machines = machines
        self._told: dict[str, str] = {}

    def relay(self, balancers: Iterable[Service]) -> None:
        """Look at the machine of each of these load balancers. Raises requests.RequestException."""
        for service in balancers:
            # Not there yet.
            with contextlib.suppress(FileNotFoundError):
                found = (self._machines / service.machines[0] / "upper" / load_balancer.HEALTH).read_text()
                if self._told.get(service.id) != found:
                    self._api.report_health(service.id, found)
                    self._told[service.id] = found
