"""Faults in random order, one after the other, while sessions write and read back what they wrote."""

import asyncio
import random
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from lab.bench.load import Outcome, Plan
from lab.machines.access import MachineError
from lab.prove import databases, history
from lab.prove.cache_nodes import Nodes
from lab.prove.history import End, Kind
from lab.prove.scenario import Result, scenario, unmet
from lab.prove.sessions import ANOTHERS, Sessions
from lab.prove.stand import Stand, StandError

from .database import written
from .fault_kinds import FAULTS, ONCE, Fault, Scene
from .replicas import OWN, verdict_figures, verdict_misses, verdict_of

SECONDS: Final = 300.0
LOAD: Final = Plan(rate=150, writes_percent=40, fresh_percent=10)
"""Fewer than elsewhere: more machines than elsewhere share the cores, and each fault has some of them made anew."""
PAUSES: Final = (1.0, 4.0)
"""Seconds between a stack that is well again and the next fault, at the least and at the most."""

Condition = tuple[Callable[[], Awaitable[bool]], str]
"""Whether it is so, and what it is."""


class Draw:
    """Names in an order that a seed decides: each as often as the others, but for the last round and for `once`."""

    def __init__(self, seed: int, names: Iterable[str], once: Container[str]) -> None:
        self._random = random.Random(seed)  # noqa: S311, the same order for the same seed
        self._names, self._once = list(names), once
        self._round: list[str] = []

    def next(self) -> tuple[str, float]:
        """The name of the next fault, and for how many seconds all is left alone before it."""
        if not self._round:
            self._round = list(self._names)
            self._random.shuffle(self._round)
            self._names = [each for each in self._names if each not in self._once]
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
            "minutes": round(max((each.at for each in outcome.samples), default=0.0) / 60, 1),
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
    "faults and changes of all kinds in random order, one after the other",
    "0 acknowledged writes lost, none twice; 0 reads older than their session's own write; well again after each",
    own=OWN,
)
async def faults(stand: Stand) -> Result:
    """For 5 minutes, or with the seed and the time of the command line, where it names them."""
    whole, read = Nodes(stand).whole, partial(databases.all_in_rotation, stand)
    async with databases.standby(stand):
        return await drawn(
            stand, FAULTS, ONCE, (whole, "a cache with all of its nodes"), (read, "a replica in rotation")
        )


async def drawn(stand: Stand, kinds: Mapping[str, Fault], once: Container[str], *conditions: Condition) -> Result:
    """What comes of faults of these kinds; one of a database befalls any of the stack's shards.

    `conditions` are those of a stack that is well, besides its app servers and the databases' standbys.
    """
    seed = secrets.randbelow(10**6) if stand.asked.seed is None else stand.asked.seed
    seconds, draw = stand.asked.seconds or SECONDS, Draw(seed, kinds, once)
    sessions, done, troubles = Sessions(LOAD.writes_percent), Counter[str](), list[str]()
    shards, chance = databases.every(stand), random.Random(seed)  # noqa: S311, the same for the same seed
    print(f"  seed {seed}", file=sys.stderr)
    await _well(stand, conditions)
    async with stand.load(LOAD, sessions) as running:
        scenes = [Scene(each, Nodes(each), running, sessions) for each in shards]
        while running.load.elapsed() < seconds and not troubles:
            name, pause = draw.next()
            await asyncio.sleep(pause)
            try:
                await kinds[name](chance.choice(scenes))
                await _well(stand, conditions)
            except (StandError, MachineError, TimeoutError) as error:
                troubles.append(f"{name}: {error}")
            done[name] += 1
    verdict = await verdict_of(stand, sessions)
    return judged(running.outcome, sessions.history, verdict, seed, done, troubles, running.events)


async def _well(stand: Stand, conditions: Iterable[Condition]) -> None:
    """Wait until nothing is left of a fault."""
    await stand.settled()
    standbys = ((partial(databases.synchronous, each), "a standby that has all") for each in databases.every(stand))
    for true, what in (*standbys, *conditions):
        await stand.until(true, what, pause=0.5)
