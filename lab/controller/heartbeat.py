"""Asks databases that have a standby how they are, and read replicas, in the background, every two seconds.

A machine that hangs runs as well as any other, seen from outside; only who asks its server notices. So does a replica
that no longer follows.
"""

import json
import logging
import threading
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from lab.machines import access
from lab.machines.services import postgresql

from .plan import Service
from .standby import Pulse

log = logging.getLogger("lab.controller")

PERIOD_SECONDS: Final = 2.0
PATIENCE: Final = 3
"""Seconds for an answer."""
HUNG_SECONDS: Final = 8.0
"""Silence after which a primary is given up, if its standby answers: more than a host out of breath takes."""
LOST_SECONDS: Final = 8.0
"""After which a primary goes on without the standby that it waits for."""
CUT_OFF_SECONDS: Final = 20.0
"""After which a replica can't follow any more: longer than a failover of its source takes."""

Ask = Callable[[str, int, str], str]
"""Runs SQL on a machine, at a port; what it answers. OSError or MachineError when it doesn't."""


@dataclass
class _Seen:
    """When a server was asked last, answered last, and was last followed, or followed, or could not have."""

    machine: str
    asked: float
    answered: float
    followed: float
    under_way: bool = False
    pulse: Pulse | None = None


class Heartbeats:
    """Remembers what each server said. `machines` is the directory of the machines."""

    def __init__(
        self, machines: Path, ask: Ask | None = None, begin: Callable[[Callable[[], None]], None] | None = None
    ):
        self._ask = ask or (lambda machine, port, asked: _run(machine, port, asked, machines))
        self._begin = begin or (lambda work: threading.Thread(target=work, name="heartbeat", daemon=True).start())
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def look(self, services: Collection[Service], ready: AbstractSet[str], now: float) -> dict[str, Pulse]:
        """What is known by now, by database; asks those whose turn it is. `ready` are machines."""
        watched = {each.id: each for each in services if each.standby or each.source}
        due: list[tuple[_Seen, Service]] = []
        with self._lock:
            for name, service in watched.items():
                seen = self._seen.get(name)
                if seen is None or seen.machine != service.machines[0]:
                    seen = self._seen[name] = _Seen(service.machines[0], now - PERIOD_SECONDS, now, now)
                if not _parties(service) <= ready:
                    seen.followed = now
                    seen.pulse = seen.pulse and replace(seen.pulse, streaming=False, lost=False)
                if not seen.under_way and now - seen.asked >= PERIOD_SECONDS:
                    seen.asked, seen.under_way = now, True
                    due.append((seen, service))
            self._seen = {name: seen for name, seen in self._seen.items() if name in watched}
        for seen, service in due:
            self._begin(partial(self._look, seen, service))
        with self._lock:
            return {name: seen.pulse for name, seen in self._seen.items() if seen.pulse is not None}

    def _look(self, seen: _Seen, service: Service) -> None:
        told = self._told(service.machines[0], service)
        alone = (
            told is None and service.standby is not None and self._told(service.standby.machine, service) is not None
        )
        with self._lock:
            seen.under_way = False
            if told is not None:
                seen.answered = seen.asked
                seen.followed = seen.asked if told["streaming"] else seen.followed
                lost = seen.asked - seen.followed >= (LOST_SECONDS if service.standby else CUT_OFF_SECONDS)
                seen.pulse = Pulse(streaming=told["streaming"], waits=told["waits"], lost=lost)
            elif alone and seen.asked - seen.answered >= HUNG_SECONDS:
                seen.pulse = Pulse(hung=True)
            elif not alone:
                # Neither answers: that is this host's, and not the primary's.
                seen.answered = seen.asked
                if not service.standby:
                    seen.followed = seen.asked

    def _told(self, machine: str, service: Service) -> dict[str, bool] | None:
        try:
            asked = postgresql.PULSE if service.standby else postgresql.FOLLOWING
            return json.loads(self._ask(machine, service.port or 0, asked))
        except (OSError, ValueError, access.MachineError) as error:
            log.debug("%s does not answer: %s", machine, error)
            return None


def _parties(service: Service) -> set[str]:
    """The machines of which one follows the other; unless all are ready, it can't."""
    if service.standby:
        return {service.standby.machine}
    return {service.machines[0], *([service.source] if service.source else ())}


def _run(machine: str, port: int, asked: str, machines: Path) -> str:
    command = ["timeout", str(PATIENCE), *postgresql.questions(port)]
    done = access.run(machine, command, machines, stdin=asked)
    if done.returncode != 0:
        raise OSError(f"{machine}: {done.stderr.strip()}")
    return done.stdout
