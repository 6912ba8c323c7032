"""A machine ends, hangs, or is out of reach."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from lab.bench.load import Plan, Sample, spread
from lab.machines.observation import MachineStatus
from lab.prove import breaking
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Running, Stand

NORMAL_SECONDS = 10.0
SLOWEST_MS = 1_500
P50_TIMES = 3
OUT_SECONDS = 5.0
READS = Plan(rate=300, writes_percent=0, fresh_percent=10)

Break = Callable[[MachineStatus], AbstractContextManager[None]]
TARGET = "GET 0 failed, max 1.5 s; p50 at most 3 x normal; out of the upstream in 5 s; replaced by the group"


def _middle(samples: list[Sample]) -> float:
    ordered = sorted(each.milliseconds for each in samples)
    return ordered[len(ordered) // 2] if ordered else 0.0


async def _broken(stand: Stand, what: str, broken: Break, *, replaced: bool = True) -> Result:
    victim = stand.machines("app")[0]
    async with stand.load(READS, lead=NORMAL_SECONDS) as running:
        at = running.note(what)
        with broken(victim):
            out = await _out(stand, running, victim)
            if replaced:
                await stand.settled(gone=[victim.id])
                running.note("replaced")
        ended = running.load.elapsed()
    outcome = running.outcome
    normal = _middle(list(spread(outcome.samples, 0, at)))
    during = _middle(list(spread(outcome.samples, at, ended)))
    return Result(
        outcome,
        unmet(
            none_failed(outcome),
            (outcome.slowest(1) <= SLOWEST_MS, f"the slowest answer took {outcome.slowest(1):.0f} ms"),
            (during <= P50_TIMES * normal, f"p50 was {during:.1f} ms meanwhile, and normally {normal:.1f} ms"),
            (out <= OUT_SECONDS, f"out of the upstream after {out:.1f} s"),
        ),
        {"p50_normal_ms": round(normal, 2), "p50_meanwhile_ms": round(during, 2), "out_seconds": round(out, 1)},
        tuple(running.events),
    )


async def _out(stand: Stand, running: Running, victim: MachineStatus) -> float:
    async def look() -> bool:
        return victim.id not in await stand.serving()

    seconds = await stand.until(look, f"{victim.id} out of the upstream", 60, pause=0.1)
    running.note("out of the upstream")
    return seconds


def _power_off(machine: MachineStatus) -> AbstractContextManager[None]:
    breaking.power_off(machine)
    return nullcontext()


def _hang(machine: MachineStatus) -> AbstractContextManager[None]:
    breaking.hang(machine.id)
    return nullcontext()


def _black_hole(machine: MachineStatus) -> AbstractContextManager[None]:
    return breaking.black_hole(machine.address)


@scenario("machine-off", "an app server is powered off", TARGET)
async def powered_off(stand: Stand) -> Result:
    """Its connections are not even closed."""
    return await _broken(stand, "powered off", _power_off)


@scenario("machine-hung", "an app server hangs (SIGSTOP)", TARGET)
async def hung(stand: Stand) -> Result:
    """Its kernel takes connections, and nobody answers."""
    return await _broken(stand, "hung", _hang)


@scenario("machine-black-holed", "an app server's packets are dropped", TARGET)
async def black_holed(stand: Stand) -> Result:
    """On open connections too."""
    return await _broken(stand, "black-holed", _black_hole)
