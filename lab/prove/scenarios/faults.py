"""Faults in random order, one after the other, while sessions write and read back what they wrote."""

import asyncio
import random
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from lab.bench.load import Outcome, Plan
from lab.machines.access import MachineError
from lab.prove import breaking, databases, history, slow_cache
from lab.prove.cache_nodes import Nodes
from lab.prove.history import End, Kind
from lab.prove.scenario import Result, scenario, unmet
from lab.prove.sessions import ANOTHERS, Sessions
from lab.prove.stand import Running, Stand, StandError

from . import cache, edge, passwords
from .database import CUT_SECONDS, written
from .replicas import BEHIND_SECONDS, OWN, verdict_figures, verdict_misses, verdict_of

SECONDS: Final = 300.0
LOAD: Final = Plan(rate=150, writes_percent=40, fresh_percent=10)
"""Fewer than elsewhere: more machines than elsewhere share the cores, and each fault has some of them made anew."""
SLOW_SECONDS: Final = 10.0
PAUSES: Final = (1.0, 4.0)
"""Seconds between a stack that is well again and the next fault, at the least and at the most."""


Fault = Callable[[Stand, Nodes, Running], Awaitable[None]]


async def _database_off(stand: Stand, _nodes: Nodes, running: Running) -> None:
    await databases.lose_primary(stand, running)


async def _database_cut(stand: Stand, _nodes: Nodes, running: Running) -> None:
    await databases.cut_off(stand, running, CUT_SECONDS)


async def _replica_behind(stand: Stand, _nodes: Nodes, running: Running) -> None:
    running.note("replay paused")
    async with databases.replay_paused(stand, databases.replica(stand)):
        await asyncio.sleep(BEHIND_SECONDS)
    running.note("replay goes on")


async def _cache_slow(stand: Stand, nodes: Nodes, running: Running) -> None:
    primary = nodes.roles()[0].id
    async with slow_cache.led_round(stand, primary, cache.ANSWER_SECONDS):
        await cache.slow_down(stand, primary, running, SLOW_SECONDS)


async def _password(stand: Stand, _nodes: Nodes, running: Running) -> None:
    await passwords.rotate(stand, running)


async def _server_off(stand: Stand, _nodes: Nodes, running: Running) -> None:
    victim = stand.machines("app")[0]
    running.note("app server powered off")
    await asyncio.to_thread(breaking.power_off, victim)
    await stand.settled(gone=[victim.id])
    running.note("replaced")


async def _reconciler_killed(stand: Stand, _nodes: Nodes, running: Running) -> None:
    await edge.lose_reconciler(stand, running)


async def _nginx_killed(stand: Stand, _nodes: Nodes, running: Running) -> None:
    await edge.lose_nginx(stand, running)


FAULTS: Final[Mapping[str, Fault]] = {
    "database_off": _database_off,
    "database_cut": _database_cut,
    "replica_behind": _replica_behind,
    "cache_primary_off": cache.lose_primary,
    "cache_gone": cache.lose_all,
    "cache_slow": _cache_slow,
    "password_changed": _password,
    "app_server_off": _server_off,
    "reconciler_killed": _reconciler_killed,
    "nginx_killed": _nginx_killed,
}
"""Each breaks one thing, and heals what doesn't heal by itself."""


class Draw:
    """The faults in an order that a seed decides: each as often as the others, but for the last round."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311, the same order for the same seed
        self._round: list[str] = []

    def next(self) -> tuple[str, float]:
        """The name of the next fault, and for how many seconds all is left alone before it."""
        if not self._round:
            self._round = list(FAULTS)
            self._random.shuffle(self._round)
        return self._round.pop(), self._random.uniform(*PAUSES)


def judged(
    outcome: Outcome,
    found: Sequence[history.Operation],
    verdict: history.Verdict,
    seed: int,
    done: Mapping[str, int],
    troubles: Sequence[str],
    events: Sequence[tuple[float, str]] = (),
) -> Result:
    """What was seen. `done` says how often each fault was, `troubles` what did not get well. Pure."""
    acknowledged = sum(each.kind is Kind.WRITE and each.end is End.ACKNOWLEDGED for each in found)
    mixed_up = outcome.failures()[ANOTHERS]
    return Result(
        outcome,
        unmet(
            (not troubles, "; ".join(troubles)),
            (sum(done.values()) > 0, "there was no fault"),
            (acknowledged > 0, "no write was acknowledged"),
            *verdict_misses(verdict),
            (mixed_up == 0, f"{mixed_up} times another item was told"),
        ),
        {
            "seed": seed,
            "faults": sum(done.values()),
            **{f"faults_{name}": count for name, count in done.items()},
            "acknowledged_writes": acknowledged,
            **verdict_figures(verdict),
            **{f"failed_{method.lower()}": outcome.failures(method).total() for method in ("GET", "POST", "PUT")},
            "writes_gap_seconds": round(written(outcome).gap() / 1000, 1),
        },
        tuple(events),
    )


@scenario(
    "faults",
    "faults of all kinds in random order, one after the other, for 5 minutes",
    "0 acknowledged writes lost, none twice; 0 reads older than their session's own write; well again after each",
    own=OWN,
)
async def faults(stand: Stand) -> Result:
    """With the seed and the time of the command line, where it names them."""
    seed = secrets.randbelow(10**6) if stand.asked.seed is None else stand.asked.seed
    seconds, draw = stand.asked.seconds or SECONDS, Draw(seed)
    sessions, done, troubles = Sessions(LOAD.writes_percent), Counter[str](), list[str]()
    print(f"  seed {seed}", file=sys.stderr)
    nodes = Nodes(stand)
    async with databases.standby(stand):
        await _well(stand, nodes)
        async with stand.load(LOAD, sessions) as running:
            while running.load.elapsed() < seconds and not troubles:
                name, pause = draw.next()
                await asyncio.sleep(pause)
                try:
                    await FAULTS[name](stand, nodes, running)
                    await _well(stand, nodes)
                except (StandError, MachineError, TimeoutError) as error:
                    troubles.append(f"{name}: {error}")
                done[name] += 1
        verdict = await verdict_of(sessions)
    return judged(running.outcome, sessions.history, verdict, seed, done, troubles, running.events)


async def _well(stand: Stand, nodes: Nodes) -> None:
    """Wait until nothing is left of a fault."""
    await stand.settled()
    await stand.until(nodes.whole, "a cache with all of its nodes", pause=1)
    await stand.until(lambda: databases.synchronous(stand), "a standby that has all", pause=0.5)
    await stand.until(lambda: databases.all_in_rotation(stand), "a replica in rotation", pause=0.5)
