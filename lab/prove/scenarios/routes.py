"""One route of the app is ill, and the others must not notice."""

import asyncio
from dataclasses import replace
from typing import Any, Final

from lab.bench.load import Client, Load, Plan, spread
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Stand

FAULTS: Final = ("500", "503", "late", "much")
ILL = Plan(rate=50, writes_percent=0)
P99_TIMES: Final = 1.5


class Faulty:
    """Requests to a route that misbehaves; whatever it answers is as expected."""

    def __init__(self, fault: str) -> None:
        self._path = f"/faulty/{fault}"

    async def begin(self, client: Client) -> None:
        """Nothing has to be there."""

    def next(self, number: int) -> tuple[str, Any]:
        """Always the same one."""
        return "GET", None

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        """Send it, on a connection that is given up with it."""
        await client.request("GET", self._path, fresh=True)
        return ""


async def _ill(stand: Stand, seconds: float) -> Result:
    spans: dict[str, tuple[float, float]] = {}
    async with stand.load(lead=seconds) as running:
        normal_until = running.load.elapsed()
        for fault in FAULTS:
            began = running.note(f"/faulty/{fault}")
            stopped = asyncio.Event()
            load = asyncio.create_task(Load(stand.url, ILL, Faulty(fault)).run(stopped))
            await asyncio.sleep(seconds)
            stopped.set()
            spans[fault] = began, running.load.elapsed()
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
            await asyncio.sleep(1)
    samples = running.outcome.samples
    normal = replace(running.outcome, samples=list(spread(samples, 0, normal_until))).slowest(0.99)
    p99 = {
        fault: replace(running.outcome, samples=list(spread(samples, *span))).slowest(0.99)
        for fault, span in spans.items()
    }
    return Result(
        running.outcome,
        unmet(
            none_failed(running.outcome),
            *(
                (
                    each <= P99_TIMES * normal,
                    f"p99 was {each:.1f} ms with /faulty/{fault}, and normally {normal:.1f} ms",
                )
                for fault, each in p99.items()
            ),
        ),
        {"p99_normal_ms": round(normal, 1)} | {f"p99_{fault}_ms": round(each, 1) for fault, each in p99.items()},
        tuple(running.events),
    )


async def _ill_shortly(stand: Stand) -> Result:
    result = await _ill(stand, 3)
    # So few requests say little about the slowest of a hundred.
    return replace(result, misses=tuple(each for each in result.misses if not each.startswith("p99")))


@scenario(
    "routes",
    "one route answers 500, 503, too late or too much, at 50/s, while the others get 300/s",
    "the others: 0 failed, p99 at most 1.5 x normal",
    _ill_shortly,
)
async def routes(stand: Stand) -> Result:
    """One fault after the other."""
    return await _ill(stand, 20)
