"""The AWS API fails, in each way that it can."""

import asyncio
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from lab.network import addresses
from lab.prove import breaking
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Running, Stand, control

FAULTS = ("throttled", "empty", "garbage")
DOWN_SECONDS = 120.0
FAULT_SECONDS = 20.0
WELL_SECONDS = 3.0
"""Between two faults: more than the reconciler has between two questions, so that it has an answer."""
PASS_SECONDS = 10.0
"""What a pass may take itself, and its report be late, when nobody answers."""


@contextmanager
def _fault(stand: Stand, fault: str) -> Generator[None]:
    control(stand.lab, "PUT", "fault", {"fault": fault})
    try:
        yield
    finally:
        control(stand.lab, "PUT", "fault", {"fault": None})


async def _age(stand: Stand) -> float:
    """How old the reconciler says its last good answer is, in seconds."""
    edge = stand.machines("edge")[0].id
    state = json.loads(await stand.inside(edge, "cat", "/run/expressway/reconciler.json"))
    return float(state["last_answer_age_seconds"])


async def _failing(stand: Stand, down: float, fault: float, faults: Sequence[str] = FAULTS) -> Result:
    before = await stand.serving()
    lists: dict[str, set[str]] = {}
    ages: dict[str, float] = {}

    async def during(name: str, running: Running, seconds: float) -> None:
        running.note(f"API {name}")
        await asyncio.sleep(seconds)
        lists[name], ages[name] = await stand.serving(), await _age(stand)

    async with stand.load() as running:
        with breaking.black_hole(str(addresses.API)):
            await during("down", running, down)
        for name in faults:
            running.note("API well")
            await asyncio.sleep(WELL_SECONDS)
            with _fault(stand, name):
                await during(name, running, fault)
        running.note("API well")
    await stand.settled()
    shown = {name: (down - PASS_SECONDS if name == "down" else fault - WELL_SECONDS) for name in ages}
    return Result(
        running.outcome,
        unmet(
            none_failed(running.outcome),
            *((there == before, f"with the API {name}, the list became {there}") for name, there in lists.items()),
            *(
                (ages[name] >= least, f"with the API {name}, the age shown was {ages[name]:.0f} s")
                for name, least in shown.items()
            ),
        ),
        {f"age_{name}_seconds": round(age, 1) for name, age in ages.items()},
        tuple(running.events),
    )


async def _failing_shortly(stand: Stand) -> Result:
    return await _failing(stand, 13, 6, ["empty"])


@scenario(
    "api",
    "the AWS API down for 2 minutes; throttled; answering empty; answering garbage",
    "0 failed, list kept, the age of the last good answer shown",
    _failing_shortly,
)
async def api(stand: Stand) -> Result:
    """As the edge sees it."""
    return await _failing(stand, DOWN_SECONDS, FAULT_SECONDS)
