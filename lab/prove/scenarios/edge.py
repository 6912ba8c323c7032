"""What breaks on the edge."""

import asyncio
import random

from lab.prove import breaking
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Running, Stand, StandError

NGINX_GAP_MS = 1_000
EDGE_GAP_MS = 30_000


async def lose_reconciler(stand: Stand, running: Running) -> None:
    """Kill it; systemd starts it again."""
    running.note("reconciler killed")
    await _kill(stand, "expressway-reconciler.service")


async def lose_nginx(stand: Stand, running: Running) -> None:
    """Kill all of its processes; systemd starts it again."""
    running.note("Nginx killed")
    await _kill(stand, "nginx.service")


async def _kill(stand: Stand, unit: str) -> None:
    await stand.inside(stand.machines("edge")[0].id, "systemctl", "kill", "--signal=KILL", unit)


async def _kill_reconciler(stand: Stand, times: int) -> Result:
    chance = random.Random(3)  # noqa: S311, the same instants each time
    async with stand.load() as running:
        for _ in range(times):
            await lose_reconciler(stand, running)
            await asyncio.sleep(chance.uniform(0.2, 4))
    await stand.settled()
    return Result(running.outcome, unmet(none_failed(running.outcome)), {"kills": times}, tuple(running.events))


async def _kill_reconciler_shortly(stand: Stand) -> Result:
    return await _kill_reconciler(stand, 3)


@scenario(
    "reconciler-killed", "the reconciler killed 20 times at random instants", "0 failed", _kill_reconciler_shortly
)
async def reconciler_killed(stand: Stand) -> Result:
    """Nginx goes on with the list that it has."""
    return await _kill_reconciler(stand, 20)


async def _kill_nginx(stand: Stand) -> Result:
    async with stand.load() as running:
        await lose_nginx(stand, running)
        await asyncio.sleep(5)
    gap = running.outcome.gap()
    return Result(
        running.outcome, unmet((gap < NGINX_GAP_MS, f"no answer for {gap:.0f} ms")), {}, tuple(running.events)
    )


@scenario("nginx-restarted", "Nginx killed with -9, restarted by systemd", "under 1 s gap")
async def nginx_restarted(stand: Stand) -> Result:
    """All of its processes at once."""
    return await _kill_nginx(stand)


@scenario("edge-off", "the edge machine powered off", "the gap printed, 30 s or less")
async def edge_off(stand: Stand) -> Result:
    """Another machine takes the address."""
    edge = stand.machines("edge")[0]

    async def replaced() -> bool:
        others = [one for one in stand.machines("edge") if one.id != edge.id]
        return bool(others) and len(await stand.serving()) == 2

    async with stand.load() as running:
        running.note("edge powered off")
        breaking.power_off(edge)
        try:
            await stand.until(replaced, "another edge")
        except StandError as error:
            return Result(running.outcome, (str(error),), {}, tuple(running.events))
        running.note("another edge serves")
        await asyncio.sleep(5)
    gap = running.outcome.gap()
    return Result(
        running.outcome,
        unmet((gap <= EDGE_GAP_MS, f"no answer for {gap / 1000:.1f} s")),
        {"gap_seconds": round(gap / 1000, 1)},
        tuple(running.events),
    )
