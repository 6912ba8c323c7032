"""The database's primary goes, and the way to it; and it is changed."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from lab import paths
from lab.bench import rotation
from lab.bench.load import Client, Items, Outcome, Plan
from lab.prove import databases
from lab.prove.scenario import Result, Run, none_failed, scenario, twice_and_lost, unmet
from lab.prove.stand import Running, Stand, StandError

LOAD = Plan(rate=300, writes_percent=20, fresh_percent=10)
LEAD_SECONDS = 5.0
WRITES_GAP_SECONDS = 30.0
CUT_SECONDS = 10.0
LARGER = "db.t4g.medium"
"""Than the class that the proof's database has."""
FAILOVER_TARGET = (
    "0 acknowledged writes lost, none twice; reads of what is cached 0 failed; writes again in 30 s or less"
)
READERS = 8
"""Requests at once, of those that read back what was written."""
UNMODIFIED = paths.ROOT / "tests/fixtures/apps/plain-cached"
"""An app without the kit, which has DATABASE_URL and REDIS_URL alone."""


class Cached(Items):
    """Writes as ever, and reads of items that the cache has."""

    async def begin(self, client: Client) -> None:
        """Write the items, and read them until each is in the cache."""
        await super().begin(client)
        self._cached = list(self._readable)
        for _, identifier in 2 * self._cached:
            await client.request("GET", f"/items/{identifier}")

    def next(self, number: int) -> tuple[str, Any]:
        """A write, or a read of one of them."""
        method, what = super().next(number)
        return (method, what) if method == "POST" else (method, self._cached[number % len(self._cached)])


def judged(
    running: Running, stored: Sequence[str], unread: Collection[str], figures: Mapping[str, float], most: float
) -> Result:
    """What was seen. `stored` are the names that the database has, `unread` those that the app doesn't give back.

    `most`: seconds for which no write may be acknowledged.
    """
    outcome = running.outcome
    twice, lost = twice_and_lost(outcome, stored)
    gap = written(outcome).gap() / 1000
    return Result(
        outcome,
        unmet(
            none_failed(outcome, "GET"),
            (bool(outcome.acknowledged), "no write was acknowledged"),
            (lost == 0, f"{lost} acknowledged writes are not in the database"),
            (not unread, f"{len(unread)} acknowledged writes are not given back by the app"),
            (twice == 0, f"{twice} writes were carried out twice"),
            (gap <= most, f"no write was acknowledged for {gap:.1f} s"),
        ),
        {
            "acknowledged_writes": len(outcome.acknowledged),
            "lost": lost,
            "twice": twice,
            "failed_post": outcome.failures("POST").total(),
            "writes_gap_seconds": round(gap, 1),
            **figures,
        },
        tuple(running.events),
    )


def written(outcome: Outcome) -> Outcome:
    """The writes among the requests."""
    return Outcome([sample for sample in outcome.samples if sample.method != "GET"])


async def read_back(url: str, acknowledged: Mapping[str, int]) -> set[str]:
    """The names of those items that the app doesn't give back."""
    client, left = Client(url), list(acknowledged.items())
    missing: set[str] = set()

    async def read() -> None:
        while left:
            name, identifier = left.pop()
            if await Items(0, Outcome()).send(client, (name, identifier), fresh=False):
                missing.add(name)

    await asyncio.gather(*(read() for _ in range(READERS)))
    client.close()
    return missing


@asynccontextmanager
async def _load(stand: Stand, plan: Plan = LOAD) -> AsyncGenerator[Running]:
    wrote = Outcome()
    async with stand.load(plan, Cached(plan.writes_percent, wrote), LEAD_SECONDS) as running:
        running.outcome.acknowledged, running.outcome.refused = wrote.acknowledged, wrote.refused
        yield running


@scenario(
    "database-failover",
    "the database's primary is powered off (Multi-AZ)",
    FAILOVER_TARGET,
)
async def failover(stand: Stand) -> Result:
    """Its connections are not even closed; nothing is started anew by hand."""
    return await failed_over(stand, LOAD)


async def failed_over(stand: Stand, plan: Plan) -> Result:
    """What is seen of it under such a load."""
    async with databases.standby(stand):
        async with _load(stand, plan) as running:
            moved = await databases.lose_primary(stand, running)
            at = running.load.elapsed()

            async def again() -> bool:
                ended = (
                    each.at + each.milliseconds / 1000 for each in written(running.outcome).samples if not each.failure
                )
                return any(end > at for end in ended)

            try:
                await stand.until(again, "a write", pause=0.1)
                running.note("writes again")
                await stand.until(lambda: databases.synchronous(stand), "the old primary as the standby")
                running.note("the old primary is the standby")
            except StandError as error:
                return Result(running.outcome, (str(error),), {}, tuple(running.events))
        return await _result(stand, running, {"name_moved_seconds": round(moved, 1)})


@scenario(
    "database-cut",
    "the way between app servers and database is cut for 10 s, then healed",
    "0 acknowledged writes lost, none twice; reads of what is cached 0 failed; writes again in 30 s or less",
)
async def cut(stand: Stand) -> Result:
    """Open connections too: what was under way is neither done nor refused until the way is there again."""
    async with _load(stand) as running:
        await databases.cut_off(stand, running, CUT_SECONDS)
        await asyncio.sleep(LEAD_SECONDS)
    return await _result(stand, running, {})


async def _result(stand: Stand, running: Running, figures: Mapping[str, float]) -> Result:
    stored = await asyncio.to_thread(rotation.stored_names)
    unread = await read_back(stand.url, running.outcome.acknowledged)
    return judged(running, stored, unread, figures, WRITES_GAP_SECONDS)


@scenario(
    "database-failover-unmodified",
    "the database's primary is powered off (Multi-AZ), with an app that knows nothing of it",
    "0 acknowledged writes lost, none twice; reads of what is cached 0 failed; writes again in 30 s or less, "
    "and no process has begun anew",
)
async def failover_unmodified(stand: Stand) -> Result:
    """What it meets is PgBouncer's to notice."""
    return await unmodified(stand, failover)


@scenario(
    "database-cut-unmodified",
    "the way to the database is cut for 10 s, then healed, with an app that knows nothing of it",
    "0 acknowledged writes lost, none twice; reads of what is cached 0 failed; writes again in 30 s or less, "
    "and no process has begun anew",
)
async def cut_unmodified(stand: Stand) -> Result:
    """What it meets is PgBouncer's to notice."""
    return await unmodified(stand, cut)


async def unmodified(stand: Stand, run: Run) -> Result:
    """What is seen with the app without the kit in the sample app's place; which is back afterwards."""
    deployed = await stand.expressway("deploy", "--app", str(UNMODIFIED), "--json")
    deployed.sure(f"the deploy of {UNMODIFIED.name}")
    try:
        await stand.settled()
        before = await _processes(stand)
        result = await run(stand)
        return _unrestarted(result, before, await _processes(stand))
    finally:
        (await stand.expressway("rollback", "--json")).sure("the rollback to the sample app")


async def _processes(stand: Stand) -> dict[str, str]:
    """The ids of the app's workers and of PgBouncer, by app server."""
    pooler = ("systemctl", "show", "-P", "MainPID", "pgbouncer")
    return {
        each.id: await stand.pm2(each.id, "pid") + await stand.inside(each.id, *pooler)
        for each in stand.machines("app")
    }


def _unrestarted(result: Result, before: Mapping[str, str], after: Mapping[str, str]) -> Result:
    """`result`, which has missed as well where a process is another one `after`. Pure."""
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return replace(
        result,
        misses=(*result.misses, *unmet((not changed, f"processes have begun anew on {', '.join(changed)}"))),
    )


@scenario(
    "database-changes",
    "the database gets another class, without and with a standby, more storage, and a new major version",
    "0 acknowledged writes lost, none twice; reads of what is cached 0 failed; the gap of each printed",
)
async def changes(stand: Stand) -> Result:
    """Each at once, and the next when RDS is through. What the lab plays of an upgrade is the outage."""
    gaps: dict[str, float] = {}
    async with _load(stand) as running:
        change = functools.partial(_changed, stand, running, gaps)
        present = databases.instance(stand)
        await change("class", DBInstanceClass=LARGER)
        await change("storage", AllocatedStorage=2 * present["AllocatedStorage"])
        async with databases.standby(stand):
            await change("class_with_standby", DBInstanceClass=present["DBInstanceClass"])
            await stand.until(lambda: databases.synchronous(stand), "the old primary as the standby")
            await change("upgrade", **databases.next_major(stand))
    return await _result(stand, running, gaps)


async def _changed(stand: Stand, running: Running, gaps: dict[str, float], what: str, **asked: Any) -> None:
    at = running.note(what.replace("_", " "))
    await databases.change(stand, what, **asked)
    await asyncio.sleep(LEAD_SECONDS)
    meanwhile = [each for each in running.outcome.samples if each.at + each.milliseconds / 1000 >= at - 1]
    gaps[f"{what}_gap_seconds"] = round(written(Outcome(meanwhile)).gap() / 1000, 1)
