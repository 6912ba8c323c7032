"""A shard more, under load."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lab.bench.load import Items, Outcome, Plan
from lab.machines import access
from lab.prove import releases
from lab.prove.scenario import Own, Result, none_failed, scenario, twice_and_lost, unmet
from lab.prove.scenarios.database import read_back
from lab.prove.stand import Running, Stand, StandError

LOAD = Plan(rate=150, writes_percent=20, fresh_percent=10)
LEAD_SECONDS = 8.0
SHARDS = 3
OWN = Own((f"expressway:database.shards={SHARDS}", "expressway:cache.replicas=0"), releases.sharded)
LEAST, MOST = 0.28, 0.39
"""Of the keys, that a third shard takes: 0.330 of very many, and so much of a few hundred."""
_NAMES = ("timeout", "60", "runuser", "-u", "postgres", "--", "psql", "--dbname=app", "--tuples-only", "--no-align")


def judged(
    running: Running, stored: Sequence[Sequence[str]], unread: Collection[str], moved: Mapping[str, Any]
) -> Result:
    """What was seen. `stored` are the names on each database, `moved` is what the command said of the keys. Pure."""
    outcome = running.outcome
    twice, lost = twice_and_lost(outcome, [name for each in stored for name in each])
    share = moved["keys_moved"] / moved["keys_all"] if moved.get("keys_all") else 0.0
    return Result(
        outcome,
        unmet(
            none_failed(outcome),
            (bool(outcome.acknowledged), "no write was acknowledged"),
            (lost == 0, f"{lost} acknowledged writes are in no database"),
            (not unread, f"{len(unread)} acknowledged writes are not given back by the app"),
            (twice == 0, f"{twice} writes are there twice"),
            (len(stored) == SHARDS and all(stored), f"rows on {sum(map(bool, stored))} of {SHARDS} shards"),
            (LEAST <= share <= MOST, f"{share:.1%} of the keys moved"),
        ),
        {
            "acknowledged_writes": len(outcome.acknowledged),
            "lost": lost,
            "twice": twice,
            "keys_moved": moved.get("keys_moved", 0),
            "keys_all": moved.get("keys_all", 0),
            "rows_moved": moved.get("rows", 0),
            "longest_wait_ms": moved.get("longest_wait_ms", 0),
            "move_seconds": moved.get("seconds", 0),
        },
        tuple(running.events),
    )


@scenario(
    "shards",
    f"2 shards become {SHARDS} at {LOAD.rate}/s: expressway db add-shard, then --finish",
    "0 failed; 0 acknowledged writes lost, none twice; a third of the keys moved, counted",
    own=OWN,
)
async def shards(stand: Stand) -> Result:
    """The third database is there from the start, recorded as one without keys: the mocks' engine can't add one."""
    wrote = Outcome()
    async with stand.load(LOAD, Items(LOAD.writes_percent, wrote), LEAD_SECONDS) as running:
        running.outcome.acknowledged, running.outcome.refused = wrote.acknowledged, wrote.refused
        if (before := await _stored(stand)) and sum(map(bool, before)) != SHARDS - 1:
            return Result(running.outcome, (f"{sum(map(bool, before))} shards have rows before the move",))
        running.note("add-shard")
        moved = (await _add_shard(stand)).json()
        running.note(f"{moved.get('keys_moved')} of {moved.get('keys_all')} keys moved")
        await _add_shard(stand, "--finish")
        running.note("finished")
    stored = await _stored(stand)
    return judged(running, stored, await read_back(stand.url, running.outcome.acknowledged), moved)


async def _add_shard(stand: Stand, *words: str) -> Any:
    return (await stand.expressway("db", "add-shard", "--json", *words)).sure("add-shard")


async def _stored(stand: Stand) -> list[list[str]]:
    """The names that each database has, asked of the databases themselves."""
    found: list[list[str]] = []
    for machine in stand.machines("database"):
        done = await asyncio.to_thread(access.run, machine.id, _NAMES, stdin="select name from items;\n")
        if done.returncode:
            raise StandError(f"{machine.id} doesn't say what it has: {done.stderr.strip()}")
        found.append(done.stdout.split("\n")[:-1])
    return found
