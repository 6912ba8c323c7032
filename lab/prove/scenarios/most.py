"""The most that the lab holds, and the loss of the database's primary at that."""

import asyncio
from dataclasses import replace
from typing import Final

from lab.bench.load import Outcome
from lab.prove.scenario import Result, scenario
from lab.prove.stand import Stand

from .database import FAILOVER_TARGET, LOAD, failed_over

RATES: Final = range(300, 1001, 100)
"""Requests a second, of which a fifth are writes: at the most 800 reads and 200 writes."""
STEP_SECONDS: Final = 10.0
SLOW_MS: Final = 100.0
"""Of the slowest hundredth: what is slower is queueing, and the cores have no room for a fault."""


def held(outcome: Outcome) -> bool:
    """Whether a rate can be gone on with. Pure."""
    return bool(outcome.samples) and not outcome.failures() and outcome.slowest(0.99) <= SLOW_MS


@scenario(
    "database-failover-most",
    f"the database's primary is powered off at the most that the lab holds, up to {RATES[-1]} requests a second",
    FAILOVER_TARGET,
)
async def most(stand: Stand) -> Result:
    """A rate is held when nothing fails and 99 of a hundred are answered in time; the next one is tried then."""
    rate, figures = 0, dict[str, float]()
    for tried in RATES:
        async with stand.load(replace(LOAD, rate=tried)) as running:
            await asyncio.sleep(STEP_SECONDS)
        await stand.settled()
        figures[f"p99_ms_at_{tried}"] = round(running.outcome.slowest(0.99), 1)
        if not held(running.outcome):
            if not rate:
                return Result(running.outcome, (f"{tried} requests a second are too many",), figures)
            break
        rate = tried
    result = await failed_over(stand, replace(LOAD, rate=rate))
    return replace(result, figures={"held_per_second": rate, **figures, **result.figures})
