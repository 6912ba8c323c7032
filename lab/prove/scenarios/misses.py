"""A thousand requests of one item at once, which the cache doesn't have."""

import asyncio
import json
import resource
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from lab.bench.load import Client, Outcome, Sample
from lab.prove import database_log, holding
from lab.prove.cache_nodes import Nodes
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Stand, StandError

SERVERS: Final = 4
REQUESTS: Final = 1_000
HELD_SECONDS: Final = 2.0
"""For which the first read takes: longer than all requests take to arrive."""
WITHOUT: Final = 2
"""Reads of each server without Redis: one of each worker, of which the lab's machines have two."""


@dataclass(frozen=True)
class Burst:
    """Requests at once, and the reads that they made, by the address of the server that read."""

    what: str
    outcome: Outcome
    reads: Counter[str]
    redis: bool = True
    held: bool = True


def judged(bursts: Sequence[Burst], events: Sequence[tuple[float, str]] = ()) -> Result:
    """What of them was not as it must be. Pure."""
    outcome = Outcome([sample for each in bursts for sample in each.outcome.samples])
    wrong = [
        (each.reads.total() == 1, f"{each.what}: {each.reads.total()} reads of the database")
        for each in bursts
        if each.redis
    ] + [
        (
            0 < max(each.reads.values(), default=0) <= WITHOUT,
            f"{each.what}: {max(each.reads.values(), default=0)} reads of one server",
        )
        for each in bursts
        if not each.redis and each.held
    ]
    enough = all(len(each.outcome.samples) == REQUESTS for each in bursts)
    return Result(
        outcome,
        unmet(none_failed(outcome), (enough, f"a burst was not of {REQUESTS:,} requests"), *wrong),
        {f"reads_{each.what}": each.reads.total() for each in bursts},
        tuple(events),
    )


@scenario(
    "misses",
    f"{REQUESTS:,} requests at once of an item that is not in the cache, over {SERVERS} machines",
    f"0 failed; 1 read of the database; without Redis, {WITHOUT} of each machine at most, while the first takes",
)
async def misses(stand: Stand) -> Result:
    """With a database that answers at once, and with one that takes its time."""
    nodes = Nodes(stand)
    await stand.until(nodes.whole, "a cache with all of its nodes")
    # Each request has a connection, and a process often has 1,024 files at first.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bursts: list[Burst] = []
    events: list[tuple[float, str]] = []

    async def burst(what: str, *, redis: bool, held: bool) -> None:
        # On the timeline one follows the other: nobody asks for anything in between.
        before = bursts[-1].outcome.samples if bursts else []
        at = max((each.at + each.milliseconds / 1000 for each in before), default=0.0)
        events.append((at, what))
        bursts.append(await _burst(stand, what, at, redis=redis, held=held))

    try:
        await stand.scale(SERVERS)
        await burst("with_redis", redis=True, held=False)
        await burst("with_redis_and_a_slow_read", redis=True, held=True)
        async with nodes.stopped():
            await asyncio.sleep(1)
            await burst("without_redis_and_a_slow_read", redis=False, held=True)
            await burst("without_redis", redis=False, held=False)
        return judged(bursts, events)
    finally:
        await stand.scale(2)


async def _burst(stand: Stand, what: str, at: float, *, redis: bool, held: bool) -> Burst:
    """Of an item that was just written, and that nobody has read yet."""
    client, outcome, name = Client(stand.url), Outcome(), f"misses-{what}"
    status, body = await client.request("POST", "/items", {"name": name})
    if status != 201:
        raise StandError(f"the app answers a write with HTTP {status}")
    path = f"/items/{json.loads(body)['id']}"
    begin = await database_log.length(stand)
    # Connections first, as clients have them.
    await asyncio.gather(*(client.request("GET", "/") for _ in range(REQUESTS)))
    slow: AbstractAsyncContextManager[Any] = holding.held(stand, HELD_SECONDS) if held else nullcontext()
    async with slow:
        await asyncio.gather(*(_read(client, path, name, outcome, at) for _ in range(REQUESTS)))
    client.close()
    reads = Counter(each.host for each in database_log.reads(await database_log.since(stand, begin)))
    return Burst(what, outcome, reads, redis, held)


async def _read(client: Client, path: str, name: str, outcome: Outcome, at: float) -> None:
    began = time.monotonic()
    try:
        status, body = await client.request("GET", path)
        failure = f"HTTP {status}" if status != 200 else "" if json.loads(body)["name"] == name else "another item"
    except (OSError, EOFError, TimeoutError, ValueError, KeyError) as error:
        failure = type(error).__name__
    outcome.samples.append(Sample(at, 1000 * (time.monotonic() - began), "GET", failure))
