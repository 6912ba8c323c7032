"""A cache whose answers take longer, as from a network or a machine that is too busy."""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from lab.machines.services import redis

from . import cache_nodes, forwarder
from .stand import Stand

UNIT: Final = "prove-forwarder.service"
BEHIND: Final = 16379
"""Where Redis listens meanwhile; no security group lets anybody in there."""


@contextlib.asynccontextmanager
async def led_round(stand: Stand, machine: str, seconds: float) -> AsyncGenerator[None]:
    """Have all clients come by a forwarder on the node's machine, in whose hands `slowed` then is."""
    program = Path(forwarder.__file__).read_text()
    words = ["python3", "-c", program, f"{cache_nodes.PORT}", f"{BEHIND}", f"{seconds:g}"]
    await stand.inside(machine, *redis.command(), given=redis.listen(BEHIND))
    try:
        await stand.inside(machine, "systemd-run", f"--unit={UNIT}", "--collect", "--service-type=notify", *words)
        await stand.inside(machine, *redis.question(), given="CLIENT KILL TYPE normal\n")
        yield
    finally:
        await stand.inside(machine, "systemctl", "stop", UNIT)
        await stand.inside(machine, *redis.command(), given=redis.listen(cache_nodes.PORT))


@contextlib.asynccontextmanager
async def slowed(stand: Stand, machine: str) -> AsyncGenerator[None]:
    """What is sent to the node takes its time while the body runs."""
    await stand.inside(machine, "systemctl", "kill", "--signal=USR1", UNIT)
    try:
        yield
    finally:
        await stand.inside(machine, "systemctl", "kill", "--signal=USR2", UNIT)
