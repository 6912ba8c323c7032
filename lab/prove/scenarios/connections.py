"""Connections to the database, while there are twice as many servers as usual."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

from lab.bench.load import Outcome, Plan
from lab.prove import database_log, holding, releases
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Stand

SERVERS: Final = 4
LOAD: Final = Plan(rate=150, writes_percent=20, fresh_percent=10)
"""Half of the usual: at 300 a second more and more waited for two cores that boot machines beside it, half of them for
4 s."""
MOST: Final = 100
"""What the lab's PostgreSQL takes, which is its own default."""
HELD_SECONDS: Final = 1.5
"""In which more requests come to each server than its pool has connections, and less than the app's two seconds of
patience for one of those."""
PAUSE_SECONDS: Final = 4.0
LOOK_SECONDS: Final = 0.5
_COUNT: Final = (
    "select count(*), current_setting('max_connections') from pg_stat_activity"
    " where backend_type = 'client backend' and pid <> pg_backend_pid()"
)


def judged(
    outcome: Outcome,
    refused: Counter[str],
    seen: Sequence[tuple[int, int]],
    servers: tuple[int, int],
    deployed: str,
    events: Sequence[tuple[float, str]] = (),
) -> Result:
    """`seen` are connections and max_connections, again and again; `servers` the most, and pools' size. Pure.

    `deployed` is what went wrong with the deploy, if anything.
    """
    most, limit = max((count for count, _ in seen), default=0), max((limit for _, limit in seen), default=0)
    count, pool = servers
    return Result(
        outcome,
        unmet(
            (not deployed, deployed),
            none_failed(outcome),
            (not refused, ", ".join(f"{words} {times}" for words, times in refused.most_common())),
            (0 < limit <= MOST, f"max_connections is {limit}"),
            (count > SERVERS, f"there were {count} servers at most, and none beside the {SERVERS}"),
            (most >= SERVERS * pool > 0, f"no more than {most} connections: the pools of {pool} were not used up"),
        ),
        {"servers_most": count, "pool_size": pool, "connections_most": most, "max_connections": limit},
        tuple(events),
    )


@scenario(
    "connections",
    f"rolling deploy to {SERVERS} servers x 2 workers at {LOAD.rate}/s, pools used up, against max_connections {MOST}",
    '0 failed, 0 "too many connections"; the most connections printed',
)
async def connections(stand: Stand) -> Result:
    """The database answers nothing for a while, again and again, so that requests wait with connections in hand."""
    try:
        await stand.scale(SERVERS)
        return await _deployed(stand)
    finally:
        await stand.scale(2)


async def _deployed(stand: Stand) -> Result:
    app = releases.make(stand.app, stand.work, "0.11.0")
    pool = await _pool_size(stand)
    begin = await database_log.length(stand)
    database = stand.machines("database")[0].id
    seen: list[tuple[int, int]] = []
    servers: list[int] = []

    async def look() -> None:
        (count, limit), now = (await stand.inside(database, *holding.asked(_COUNT))).split("|"), stand.machines("app")
        seen.append((int(count), int(limit)))
        servers.append(len(now))
        await asyncio.sleep(LOOK_SECONDS)

    async def hold() -> None:
        async with holding.held(stand, HELD_SECONDS):
            pass
        await asyncio.sleep(PAUSE_SECONDS)

    async with stand.load(LOAD) as running, _meanwhile(look, hold):
        running.note("deploy")
        done = await stand.expressway("deploy", "--app", str(app), "--json")
        running.note(f"ended with {done.status}")
    refused = database_log.refused(await database_log.since(stand, begin))
    deployed = f"the deploy ended with {done.status}: {done.err[-500:]}" if done.status else ""
    return judged(running.outcome, refused, seen, (max(servers, default=0), pool), deployed, running.events)


async def _pool_size(stand: Stand) -> int:
    """Of each server, as it was told at its boot."""
    told = await stand.inside(stand.machines("app")[0].id, "cat", "/etc/expressway/machine.json")
    return int(json.loads(told)["database"]["pool_size"])


@contextlib.asynccontextmanager
async def _meanwhile(*works: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Do these again and again while the body runs; an error of one of them is one of the body."""
    stopped = asyncio.Event()

    async def again(work: Callable[[], Awaitable[None]]) -> None:
        while not stopped.is_set():
            await work()

    tasks = [asyncio.create_task(again(work)) for work in works]
    try:
        yield
    finally:
        stopped.set()
        await asyncio.gather(*tasks)
