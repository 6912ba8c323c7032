"""Asking machines whether they are ready, each at its own pace, all in one thread."""

import asyncio
import os
import random
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from expressway_machine import readiness

from . import health
from .health import Health

INTERVAL = 1.0
"""Seconds between the probes of one machine."""
MOST_A_SECOND = 200
"""Probes of all machines: a bigger fleet is asked less often. They take about 5 % of a CPU."""
TIMEOUT = 1.0
"""Seconds for a whole probe."""
EAGER = 0.2
"""Seconds between the probes of one that is about to join, is new, or has just failed."""
JITTER = 0.1
"""Give or take this part of a pause, so that probes spread."""
EAGER_PROBES = 8
"""After so many failures in a row, one that isn't about to join is asked at the usual pace."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_STATUS_BYTES = 12


@dataclass(frozen=True)
class Target:
    """Where to ask."""

    address: str
    port: int
    path: str
    joining: bool = False
    """Whether every moment counts."""


def pause(target: Target, found: Health, machines: int) -> float:
    """Seconds until the next probe of one of so many machines."""
    usual = max(INTERVAL, machines / MOST_A_SECOND)
    failing = not found.ok and found.failures < EAGER_PROBES
    returning = found.up is False and found.ok
    return EAGER if target.joining or failing or returning else usual


class Probes:
    """What is known of each machine's health. `changed` is called when that decides anew about traffic."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._targets: dict[str, Target] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.health: dict[str, Health] = {}

    def ask(self, targets: Mapping[str, Target]) -> None:
        """From now on ask these, by instance id, and no others."""
        for instance_id, before in list(self._targets.items()):
            target = targets.get(instance_id)
            if target is None or (target.address, target.port) != (before.address, before.port):
                self._tasks.pop(instance_id).cancel()
                self.health.pop(instance_id, None)
        self._targets = dict(targets)
        new = targets.keys() - self._tasks.keys()
        for instance_id in new:
            # Many at once are first asked within a moment; one that comes alone, now.
            wait = random.uniform(0, min(1.0, (len(new) - 1) / MOST_A_SECOND))  # noqa: S311, not for secrets
            self._tasks[instance_id] = asyncio.create_task(self._keep_asking(instance_id, wait))

    def all_asked(self) -> bool:
        """Whether each has been asked once."""
        return self._targets.keys() <= self.health.keys()

    async def _keep_asking(self, instance_id: str, wait: float) -> None:
        await asyncio.sleep(wait)
        while True:
            target = self._targets[instance_id]
            answer = await probe(target.address, target.port, target.path)
            if answer is not None:
                before = self.health.get(instance_id, Health())
                now = asyncio.get_running_loop().time()
                self.health[instance_id] = health.after(before, answer.ready, answer.detail, now)
                if before.up != self.health[instance_id].up:
                    self._changed()
            found = self.health.get(instance_id, Health())
            seconds = pause(self._targets[instance_id], found, len(self._targets))
            await asyncio.sleep(seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311, not for secrets


async def probe(address: str, port: int, path: str, timeout: float = TIMEOUT) -> readiness.Answer | None:
    """Ask `http://<address>:<port><path>`; None when this machine was too busy to tell.

    `readiness.probe` in one task instead of one thread: a fleet that hangs would need hundreds of those.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(timeout):
            status = await _status(address, port, path)
    except TimeoutError:
        # Late ourselves by half of it: whose fault the silence is can't be told.
        late = loop.time() - began > 1.5 * timeout
        return None if late else readiness.Answer(False, "timed out")
    except OSError as error:
        return readiness.Answer(False, os.strerror(error.errno) if error.errno else type(error).__name__)
    return readiness.Answer(False, "no answer in HTTP") if status is None else readiness.judge(status)


async def _status(address: str, port: int, path: str) -> int | None:
    """The answer's status; None when it isn't HTTP. Sockets, as asyncio's streams take half as much CPU again."""
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: expressway-probe\r\nConnection: close\r\n\r\n"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, (address, port))
        await loop.sock_sendall(connection, request.encode())
        head = b""
        while len(head) < _STATUS_BYTES and (more := await loop.sock_recv(connection, 256)):
            head += more
    # The rest of the answer is of no interest.
    found = _STATUS.match(head)
    return int(found[1]) if found else None
