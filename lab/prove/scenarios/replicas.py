"""The database's replica falls behind: nobody may notice who has written something."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from lab.bench.load import Outcome, Plan
from lab.prove import databases, history
from lab.prove.scenario import Own, Result, none_failed, scenario, unmet
from lab.prove.sessions import Sessions
from lab.prove.stand import Running, Stand

OWN: Final = Own(("expressway:database.replicas=1",))
LOAD: Final = Plan(rate=100, writes_percent=30, fresh_percent=10)
"""A third of the usual: workers are asked all the time besides, and what they say must not wait for a core."""
LEAD_SECONDS: Final = 5.0
BEHIND_SECONDS: Final = 10.0
LONG_SECONDS: Final = 10.0
"""For how long it is that far behind, and more."""
OUT_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Look:
    """What all workers said at a moment; `rotating`: that at least one of them read from the replica."""

    at: float
    rotating: bool


@dataclass(frozen=True)
class Seen:
    """A load while the replica was held back."""

    outcome: Outcome
    verdict: history.Verdict
    at: float
    """When it was held back, by the samples' clock."""
    looks: Sequence[Look]
    """Until it was let go."""
    behind: float
    """How far, in seconds, at the most."""
    back: float
    """Seconds until every worker read from it again."""
    scans: tuple[int, int]
    """What was looked for on the replica before, and after it was back."""


def judged(seen: Seen, events: Sequence[tuple[float, str]] = ()) -> Result:
    """What of it was not as it must be. Pure."""
    out = out_after(seen.at, seen.looks)
    before, after = seen.scans
    return Result(
        seen.outcome,
        unmet(
            none_failed(seen.outcome),
            *verdict_misses(seen.verdict),
            (seen.behind >= BEHIND_SECONDS, f"the replica was {seen.behind:.1f} s behind"),
            (out is not None and out <= OUT_SECONDS, f"out of rotation after {f'{out:.1f} s' if out else 'never'}"),
            (before > 0, "nobody read from the replica before"),
            (after > 0, "nobody reads from the replica again"),
        ),
        {
            "behind_seconds": round(seen.behind, 1),
            "out_seconds": round(out or 0.0, 1),
            "back_seconds": round(seen.back, 1),
            "replica_reads_before": before,
            "replica_reads_after": after,
            **verdict_figures(seen.verdict),
        },
        tuple(events),
    )


def verdict_misses(verdict: history.Verdict) -> tuple[tuple[bool, str], ...]:
    """That a history has nothing in it that can't be."""
    return (
        (not verdict.lost, f"{len(verdict.lost)} acknowledged writes are not in the database"),
        (not verdict.twice, f"{len(verdict.twice)} writes were carried out twice"),
        (not verdict.stale, f"{len(verdict.stale)} reads were older than their session's own write"),
        (not verdict.unwritten, f"{len(verdict.unwritten)} values that nobody had written"),
    )


def verdict_figures(verdict: history.Verdict) -> dict[str, int]:
    """How much of it there is."""
    return {"lost": len(verdict.lost), "twice": len(verdict.twice), "stale_own_reads": len(verdict.stale)}


def out_after(at: float, looks: Sequence[Look]) -> float | None:
    """Seconds from `at` to the look from which on no worker read from the replica; None when there was none."""
    last = max((number for number, look in enumerate(looks) if look.rotating), default=-1)
    return looks[last + 1].at - at if last + 1 < len(looks) else None


async def verdict_of(stand: Stand, sessions: Sessions) -> history.Verdict:
    """What the database, or its shards together, say in the end of what the sessions did."""
    stored = [await databases.names(each, databases.primary(each).id) for each in databases.every(stand)]
    names = itertools.chain.from_iterable(stored)
    return await asyncio.to_thread(history.check, sessions.history, history.by_key(names))


@scenario(
    "replica-behind",
    "the database's replica falls 10 s behind, and catches up",
    "0 failed; 0 reads older than their session's own write; out of rotation in 3 s or less",
    own=OWN,
)
async def behind(stand: Stand) -> Result:
    """It receives what its source writes, and applies nothing."""
    replica = databases.replica(stand)
    await stand.until(lambda: databases.all_in_rotation(stand), "a replica in rotation")
    sessions, looks = Sessions(LOAD.writes_percent), list[Look]()
    first = await databases.scans(stand, replica)
    async with stand.load(LOAD, sessions, LEAD_SECONDS) as running:
        before = await databases.scans(stand, replica) - first
        at = running.note("replay paused")
        async with databases.replay_paused(stand, replica), _watched(stand, running, looks):
            await stand.until(lambda: _is_behind(stand), "a replica that is behind", 3 * BEHIND_SECONDS)
            running.note(f"{BEHIND_SECONDS:g} s behind")
            await asyncio.sleep(LONG_SECONDS)
            most = await databases.behind(stand, replica)
        running.note("replay goes on")
        back = await stand.until(lambda: databases.all_in_rotation(stand), "a replica that is in rotation again")
        running.note("in rotation again")
        again = await databases.scans(stand, replica)
        await asyncio.sleep(LEAD_SECONDS)
        after = await databases.scans(stand, replica) - again
    verdict = await verdict_of(stand, sessions)
    return judged(Seen(running.outcome, verdict, at, looks, most, back, (before, after)), running.events)


async def _is_behind(stand: Stand) -> bool:
    return await databases.behind(stand, databases.replica(stand)) >= BEHIND_SECONDS


@contextlib.asynccontextmanager
async def _watched(stand: Stand, running: Running, looks: list[Look]) -> AsyncGenerator[None]:
    """Ask every worker again and again while the body runs."""
    stopped = asyncio.Event()

    async def watch() -> None:
        while not stopped.is_set():
            rotating = any(await databases.in_rotation(stand))
            looks.append(Look(running.load.elapsed(), rotating))
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        stopped.set()
        await watching
