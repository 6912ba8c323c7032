"""One route of the app is ill, and the others must not notice."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from lab.bench.load import Client, Load, Plan, spread
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Running, Stand

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


async def _span(running: Running, seconds: float) -> tuple[float, float]:
    """Let so many seconds go by; from when to when, by the samples' clock."""
    began = running.load.elapsed()
    await asyncio.sleep(seconds)
    return began, running.load.elapsed()


def _p99(running: Running, spans: Sequence[tuple[float, float]]) -> float:
    """Milliseconds, of the requests that were due in these spans."""
    samples = [sample for span in spans for sample in spread(running.outcome.samples, *span)]
    return replace(running.outcome, samples=samples).slowest(0.99)


async def _ill(stand: Stand, seconds: float) -> Result:
    normally: list[tuple[float, float]] = []
    spans: dict[str, tuple[float, float]] = {}
    async with stand.load() as running:
        # Before each fault the stack is seen without one: what else the machine does changes from minute to minute.
        for fault in FAULTS:
            normally.append(await _span(running, seconds))
            running.note(f"/faulty/{fault}")
            stopped = asyncio.Event()
            load = asyncio.create_task(Load(stand.url, ILL, Faulty(fault)).run(stopped))
            spans[fault] = await _span(running, seconds)
            stopped.set()
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
            await asyncio.sleep(1)
    normal = _p99(running, normally)
    p99 = {fault: _p99(running, [span]) for fault, span in spans.items()}
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
    """One fault after the other, and as long without one before each."""
    return await _ill(stand, 20)
