"""Each thing that is broken or changed while faults are drawn, and what heals what doesn't heal by itself."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lab.bench.load import Client
from lab.controller.wanted import database_machine
from lab.prove import breaking, copies, databases, history, releases, slow_cache
from lab.prove.cache_nodes import Nodes
from lab.prove.scenario import unmet
from lab.prove.sessions import Sessions
from lab.prove.stand import Running, Stand, StandError

from . import cache, edge, passwords
from .database import CUT_SECONDS, LARGER
from .replicas import BEHIND_SECONDS, verdict_misses

SLOW_SECONDS: Final = 10.0
TOGETHER: Final = 200
"""Requests at once of an item that is not in the cache."""
COPY: Final = "prove-faults"
MORE_SECONDS: Final = 2.0
"""Writes after the moment that is restored."""


@dataclass(frozen=True)
class Scene:
    """A stack under load that all is well with."""

    stand: Stand
    nodes: Nodes
    running: Running
    sessions: Sessions


Fault = Callable[[Scene], Coroutine[Any, Any, None]]
"""StandError where what it did was not got over, or not done."""


async def _database_off(scene: Scene) -> None:
    await databases.lose_primary(scene.stand, scene.running)


async def _database_cut(scene: Scene) -> None:
    await databases.cut_off(scene.stand, scene.running, CUT_SECONDS)


async def _database_class(scene: Scene) -> None:
    """A larger one and the present one again, each by way of the standby."""
    stand = scene.stand
    for wanted in (LARGER, databases.instance(stand)["DBInstanceClass"]):
        scene.running.note(f"class {wanted}")
        await databases.change(stand, "class", DBInstanceClass=wanted)
        await stand.until(lambda: databases.synchronous(stand), "the old primary as the standby", pause=0.5)


async def _database_storage(scene: Scene) -> None:
    wanted = 2 * databases.instance(scene.stand)["AllocatedStorage"]
    scene.running.note(f"storage {wanted} GiB")
    await databases.change(scene.stand, "storage", AllocatedStorage=wanted)


async def _database_upgrade(scene: Scene) -> None:
    asked = databases.next_major(scene.stand)
    scene.running.note(f"PostgreSQL {asked['EngineVersion']}")
    await databases.change(scene.stand, "upgrade", **asked)


async def _database_restored(scene: Scene) -> None:
    """A copy of a moment under load: it has each write that was acknowledged by then, and none that began later."""
    stand, began = scene.stand, time.monotonic()
    second = int(time.time())
    when = time.monotonic() - (time.time() - second)
    at = datetime.fromtimestamp(second, UTC)
    scene.running.note(f"the moment {at:%H:%M:%S}")
    await asyncio.sleep(MORE_SECONDS)
    async with copies.taken_away(stand, COPY):
        await copies.archived(stand, at)
        await copies.at_time(stand, COPY, at)
        stored = history.by_key(await databases.names(stand, database_machine(COPY)))
        scene.running.note(f"restored after {time.monotonic() - began:.0f} s")
    verdict = await asyncio.to_thread(history.check, history.until(scene.sessions.history, when), stored)
    if misses := unmet(*verdict_misses(verdict)):
        raise StandError(f"the copy of {at:%H:%M:%S}: {'; '.join(misses)}")


async def _replica_behind(scene: Scene) -> None:
    scene.running.note("replay paused")
    async with databases.replay_paused(scene.stand, databases.replica(scene.stand)):
        await asyncio.sleep(BEHIND_SECONDS)
    scene.running.note("replay goes on")


async def _cache_primary_off(scene: Scene) -> None:
    await cache.lose_primary(scene.stand, scene.nodes, scene.running)


async def _cache_gone(scene: Scene) -> None:
    await cache.lose_all(scene.stand, scene.nodes, scene.running)


async def _cache_slow(scene: Scene) -> None:
    primary = scene.nodes.roles()[0].id
    async with slow_cache.led_round(scene.stand, primary, cache.ANSWER_SECONDS):
        await cache.slow_down(scene.stand, primary, scene.running, SLOW_SECONDS)


async def _misses(scene: Scene) -> None:
    """All of these are answered, and rightly."""
    client, name = Client(scene.stand.url), "misses"
    try:
        status, body = await client.request("POST", "/items", {"name": name})
        if status != 201:
            raise StandError(f"a write was answered with HTTP {status}")
        path = f"/items/{json.loads(body)['id']}"
        scene.running.note(f"{TOGETHER} reads of one item at once")
        answers = await asyncio.gather(*(client.request("GET", path) for _ in range(TOGETHER)))
    finally:
        client.close()
    wrong = [status for status, body in answers if status != 200 or json.loads(body)["name"] != name]
    if wrong:
        raise StandError(f"{len(wrong)} of {TOGETHER} reads at once had a wrong answer, the first HTTP {wrong[0]}")


async def _password(scene: Scene) -> None:
    await passwords.rotate(scene.stand, scene.running)


_versions = itertools.count()


async def _deploy(scene: Scene) -> None:
    """Rolling: each server is replaced by one with another release."""
    stand = scene.stand
    app = await asyncio.to_thread(releases.make, stand.app, stand.work, f"0.20.{next(_versions)}")
    scene.running.note("deploy")
    done = await stand.expressway("deploy", "--app", str(app), "--json")
    scene.running.note(f"ended with {done.status}")
    done.sure("the deploy")


async def _server_off(scene: Scene) -> None:
    victim = scene.stand.machines("app")[0]
    scene.running.note("app server powered off")
    await asyncio.to_thread(breaking.power_off, victim)
    await scene.stand.settled(gone=[victim.id])
    scene.running.note("replaced")


async def _reconciler_killed(scene: Scene) -> None:
    await edge.lose_reconciler(scene.stand, scene.running)


async def _nginx_killed(scene: Scene) -> None:
    await edge.lose_nginx(scene.stand, scene.running)


FAULTS: Final[Mapping[str, Fault]] = {
    "database_off": _database_off,
    "database_cut": _database_cut,
    "database_class": _database_class,
    "database_storage": _database_storage,
    "database_upgrade": _database_upgrade,
    "database_restored": _database_restored,
    "replica_behind": _replica_behind,
    "cache_primary_off": _cache_primary_off,
    "cache_gone": _cache_gone,
    "cache_slow": _cache_slow,
    "misses": _misses,
    "password_changed": _password,
    "deploy": _deploy,
    "app_server_off": _server_off,
    "reconciler_killed": _reconciler_killed,
    "nginx_killed": _nginx_killed,
}
"""What each run draws from."""
ONCE: Final = frozenset({"database_storage", "database_upgrade"})
"""RDS enlarges storage once in 6 hours, and the lab has one major version more than the stack's."""
