"""Faults in random order on a database of several shards, one of which gets its keys meanwhile."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from lab.prove import databases
from lab.prove.scenario import Result, scenario
from lab.prove.stand import Stand, StandError

from .fault_kinds import FAULTS, ONCE, Fault, Scene
from .faults import drawn
from .shards import LEAST, MOST, OWN, SHARDS

UNDER_WAY_SECONDS: Final = 3.0
"""From the command to what befalls it."""


async def _shard_added(scene: Scene) -> None:
    """Keys move while a primary goes, move back while an app server goes, and move again. None is left undone."""
    moved = await _meanwhile(scene, FAULTS["database_off"])
    if not LEAST <= (share := moved["keys_moved"] / moved["keys_all"]) <= MOST:
        raise StandError(f"{share:.1%} of the keys moved")
    await _meanwhile(scene, FAULTS["app_server_off"], "--undo")
    await _meanwhile(scene, FAULTS["reconciler_killed"])
    await _move(scene, "--finish")


async def _meanwhile(scene: Scene, fault: Fault, *words: str) -> Mapping[str, Any]:
    """What a move says in the end that something befalls: it is given again for as long as that ends it."""
    moving = asyncio.create_task(_move(scene, *words))
    try:
        await asyncio.sleep(UNDER_WAY_SECONDS)
        await fault(scene)
    finally:
        moved = await moving
    return moved


async def _move(scene: Scene, *words: str) -> Mapping[str, Any]:
    stand, command = scene.stand, ("db", "add-shard", "--json", *words)
    scene.running.note(" ".join(command[1:2] + words))
    done = await stand.expressway(*command)

    async def through() -> bool:
        nonlocal done
        if done.status:
            scene.running.note(f"ended with {done.status}")
            done = await stand.expressway(*command)
        return not done.status

    try:
        await stand.until(through, "a move that is through", pause=1)
    except StandError:
        done.sure(" ".join(command))
    scene.running.note("through")
    return done.json()


async def _password(scene: Scene) -> None:
    """The first shard's: of the others, what a server knows is PgBouncer's alone."""
    await FAULTS["password_changed"](replace(scene, stand=databases.every(scene.stand)[0]))


_SAME: Final = (
    *("database_off", "database_cut", "database_class", "database_storage", "database_upgrade"),
    *("app_server_off", "reconciler_killed", "nginx_killed"),
)
KINDS: Final[Mapping[str, Fault]] = {
    **{name: FAULTS[name] for name in _SAME},
    "password_changed": _password,
    "shard_added": _shard_added,
}


@scenario(
    "faults-shards",
    f"2 shards with standbys become {SHARDS} among faults in random order",
    "0 acknowledged writes lost, none twice; 0 reads older than their session's own write; well again after each; "
    "a third of the keys moved",
    own=replace(OWN, settings=(*OWN.settings, "expressway:database.multiAz=true")),
)
async def shard_faults(stand: Stand) -> Result:
    """As `faults`. The third database is there from the start, recorded as one without keys."""
    return await drawn(stand, KINDS, ONCE | {"shard_added"})
