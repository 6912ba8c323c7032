"""The cache fails, is gone, or is slow: who reads must not notice, and the database must not be stampeded."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lab.bench.load import Outcome, spread
from lab.prove import breaking, database_log, slow_cache
from lab.prove.cache_nodes import Nodes, longest
from lab.prove.edits import Edits
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import PLAN, Running, Stand

NORMAL_SECONDS: Final = 15.0
MINUTE: Final = 60.0
"""What is looked at from the moment on in which something is done to the cache."""
GONE_SECONDS: Final = 20.0
SLOW_SECONDS: Final = 40.0
ANSWER_SECONDS: Final = 0.5
P99_TIMES: Final = 3.0
READONLY_SECONDS: Final = 5.0
STAMPEDE: Final = 1.5
"""Times the reads that clients send, which is what a stack without a cache reads of its database."""
SPAN_SECONDS: Final = 2
"""In which a stampede is looked for: the log counts by seconds, and a busy host puts off reads from one to the next."""
USED: Final = 0.5
"""Of the clients' reads, the most that reach the database while the cache is in use; a fifth is read after a write."""
TARGET = (
    "GET 0 failed, none older than a write that was acknowledged; p99 of the minute at most 3 x normal; "
    "READONLY for 5 s at most; reads of the database at most 1.5 x those without a cache"
)


@dataclass(frozen=True)
class Seen:
    """A load while something was done to the cache."""

    outcome: Outcome
    at: float
    """When it was done, by the samples' clock."""
    until: float
    before: float
    """Reads of the database a second, until then."""
    meanwhile: float
    """In the busiest seconds of the time that follows."""
    after: float
    """At the end."""
    readonly: float
    """For how many seconds commands were refused as READONLY."""


def judged(seen: Seen, events: Sequence[tuple[float, str]] = (), *, noticed: bool = True) -> Result:
    """What of it was not as it must be. Pure."""
    clients = PLAN.rate * (100 - PLAN.writes_percent) / 100
    normal, during = (_p99(seen.outcome, "GET", *span) for span in ((0.0, seen.at), (seen.at, seen.until)))
    return Result(
        seen.outcome,
        unmet(
            none_failed(seen.outcome, "GET"),
            (during <= P99_TIMES * normal, f"p99 of GET was {during:.1f} ms, and normally {normal:.1f} ms"),
            (seen.readonly <= READONLY_SECONDS, f"READONLY for {seen.readonly:.1f} s"),
            (
                seen.meanwhile <= STAMPEDE * clients,
                f"the database was read {seen.meanwhile:.0f} times a second, and clients read {clients:.0f} times",
            ),
            (0 < seen.before <= USED * clients, f"before, the cache was not in use: {seen.before:.0f} reads a second"),
            (
                not noticed or seen.meanwhile > USED * clients,
                f"nobody missed the cache: {seen.meanwhile:.0f} reads a second",
            ),
            (seen.after <= USED * clients, f"the cache is not in use again: {seen.after:.0f} reads a second"),
        ),
        {
            "p99_get_normal_ms": round(normal, 1),
            "p99_get_meanwhile_ms": round(during, 1),
            "p99_put_meanwhile_ms": round(_p99(seen.outcome, "PUT", seen.at, seen.until), 1),
            "failed_put": seen.outcome.failures("PUT").total(),
            "readonly_seconds": round(seen.readonly, 1),
            "client_reads_per_second": round(clients),
            "database_reads_per_second_normal": round(seen.before),
            "database_reads_per_second_most": round(seen.meanwhile),
        },
        tuple(events),
    )


def _p99(outcome: Outcome, method: str, after: float, before: float) -> float:
    """Milliseconds, of a method's requests that were due in this span."""
    samples = [each for each in spread(outcome.samples, after, before) if each.method == method]
    return replace(outcome, samples=samples).slowest(0.99)


Disturb = Callable[[Stand, Nodes, Running], Awaitable[None]]


async def disturbed(stand: Stand, nodes: Nodes, disturb: Disturb, *, noticed: bool = True) -> Result:
    """A minute from the time on in which `disturb` begins, or until it has ended; then the cache has to be in use.

    `noticed`: the database must have been read more often meanwhile, or nothing was done to the cache.
    """
    await stand.until(nodes.whole, "a cache with all of its nodes")
    begin = await database_log.length(stand)
    looks: list[tuple[float, int]] = []
    async with stand.load(PLAN, Edits(PLAN.writes_percent), lead=NORMAL_SECONDS) as running:
        zero = time.time() - running.load.elapsed()
        watch = asyncio.create_task(nodes.watch(running.load.elapsed, looks))
        try:
            at = running.load.elapsed()
            await disturb(stand, nodes, running)
            await asyncio.sleep(max(0.0, at + MINUTE - running.load.elapsed()))
            if watch.done():
                await watch  # it ended by an error
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        until = running.load.elapsed()
    reads = database_log.reads(await database_log.since(stand, begin))
    ended = max(each.at for each in running.outcome.samples)

    def most(after: float, before: float, seconds: int) -> float:
        return database_log.busiest(reads, zero + after, zero + before, seconds)

    return judged(
        Seen(
            running.outcome,
            at,
            until,
            # The first two seconds have each item's first read.
            before=most(2, at, 10),
            meanwhile=most(at, until, SPAN_SECONDS),
            after=most(ended - 7, ended - 2, 5),
            readonly=longest(looks),
        ),
        running.events,
        noticed=noticed,
    )


async def lose_primary(stand: Stand, nodes: Nodes, running: Running) -> None:
    """Power the primary's machine off, and wait until another one is it and the group is whole."""
    primary, _ = nodes.roles()
    running.note("the primary is powered off")
    await asyncio.to_thread(breaking.power_off, primary)
    await stand.until(lambda: _another(nodes, primary.id), "another primary, and all nodes", pause=1)
    running.note("another is the primary, with a replica")


async def slow_down(stand: Stand, machine: str, running: Running, seconds: float) -> None:
    """Have answers of a node that is led round take longer for so many seconds."""
    running.note("slow")
    async with slow_cache.slowed(stand, machine):
        await asyncio.sleep(seconds)
    running.note("quick again")


async def _failover(stand: Stand, nodes: Nodes, running: Running) -> None:
    primary, _ = nodes.roles()
    running.note("TestFailover")
    await asyncio.to_thread(nodes.fail_over)
    await stand.until(lambda: _another(nodes, primary.id), "another primary", pause=1)
    running.note("another is the primary")


async def _another(nodes: Nodes, primary: str) -> bool:
    return await nodes.whole() and (await asyncio.to_thread(nodes.roles))[0].id != primary


async def lose_all(_stand: Stand, nodes: Nodes, running: Running) -> None:
    """Stop all for a while."""
    running.note("Redis stopped on all nodes")
    async with nodes.stopped():
        await asyncio.sleep(GONE_SECONDS)
    running.note("started again, and empty")


@scenario("cache-primary", "Redis: the primary is powered off", TARGET)
async def primary_off(stand: Stand) -> Result:
    """A replica takes over, and the dead node is made anew."""
    return await disturbed(stand, Nodes(stand), lose_primary)


@scenario("cache-failover", "Redis: a failover, after which the old primary refuses writes", TARGET)
async def failover(stand: Stand) -> Result:
    """ElastiCache's own; connections to the old primary stay open."""
    return await disturbed(stand, Nodes(stand), _failover)


@scenario("cache-gone", f"Redis: all nodes gone for {GONE_SECONDS:g} s, then back and empty", TARGET)
async def gone(stand: Stand) -> Result:
    """Connections are refused meanwhile."""
    return await disturbed(stand, Nodes(stand), lose_all)


@scenario("cache-slow", f"Redis: answers take {1000 * ANSWER_SECONDS:g} ms for {SLOW_SECONDS:g} s", TARGET)
async def slow(stand: Stand) -> Result:
    """Nothing refuses, and nothing is lost."""
    nodes = Nodes(stand)
    primary = nodes.roles()[0].id

    async def disturb(stand: Stand, _nodes: Nodes, running: Running) -> None:
        await slow_down(stand, primary, running, SLOW_SECONDS)

    async with slow_cache.led_round(stand, primary, ANSWER_SECONDS):
        return await disturbed(stand, nodes, disturb)
