"""Servers come and go."""

import asyncio
import json

from lab.bench.load import Plan
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import BALANCER, Stand


async def _scale(stand: Stand, times: int, high: int) -> Result:
    async with stand.load() as running:
        for _ in range(times):
            for count in (high, 2):
                running.note(f"scale to {count}")
                (await stand.expressway("scale", str(count), "--json")).sure(f"scale {count}")
    return Result(
        running.outcome,
        unmet(none_failed(running.outcome)),
        {"changes": 2 * times},
        tuple(running.events),
    )


async def _scale_shortly(stand: Stand) -> Result:
    return await _scale(stand, 1, 3)


@scenario("scale", "scale 2 -> 5 -> 2, ten times", "0 failed of 30,000 or more", _scale_shortly)
async def scale(stand: Stand) -> Result:
    """Through the command line, as a user would."""
    result = await _scale(stand, 10, 5)
    enough = len(result.outcome.samples) >= 30_000, "fewer than 30,000 requests"
    return Result(result.outcome, (*result.misses, *unmet(enough)), result.figures, result.events)


async def _change(stand: Stand, changes: int) -> Result:
    """Tell Nginx one list after the other, with the reconciler stopped so that it doesn't mend them."""
    edge = stand.machines("edge")[0].id
    servers = [{name: each[name] for name in ("id", "address", "port")} for each in await stand.servers()]
    lists = [servers, servers[:1], servers, servers[1:]]

    async def tell(number: int) -> None:
        given = json.dumps({"servers": lists[number % len(lists)]})
        put = ["curl", "-sf", "-X", "PUT", "--data", given, "--unix-socket", BALANCER, "http://balancer/servers"]
        await stand.inside(edge, *put)

    await stand.inside(edge, "systemctl", "stop", "expressway-reconciler.service")
    try:
        async with stand.load(Plan(rate=300, writes_percent=20)) as running:
            running.note(f"{changes} changes begin")
            for number in range(1, changes + 1):
                change = asyncio.create_task(tell(number))
                await asyncio.sleep(1)
                await change
            running.note("and end")
    finally:
        await stand.inside(edge, "systemctl", "start", "expressway-reconciler.service")
        await stand.settled()
    return Result(running.outcome, unmet(none_failed(running.outcome)), {"changes": changes}, tuple(running.events))


async def _change_shortly(stand: Stand) -> Result:
    return await _change(stand, 8)


@scenario("membership", "60 membership changes in 60 s, keep-alive clients", "0 failed", _change_shortly)
async def membership(stand: Stand) -> Result:
    """A server taken out or let in each second."""
    return await _change(stand, 60)
