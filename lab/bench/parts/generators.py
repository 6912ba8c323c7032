"""`generators`: which load generator to believe."""

import functools
import os
import signal
import statistics
import time
from collections.abc import Callable
from typing import Final

from lab.bench import edges, generators
from lab.bench.bed import Bed
from lab.bench.figures import Figure, Quantity
from lab.bench.generators import CONNECTIONS, LOAD, Generator, Said
from lab.bench.measure import GENERATOR, P50, P90, P99, metered
from lab.bench.part import Result, Table, part
from lab.bench.rounds import Sample, Seen, in_turn, rows
from lab.machines import control_groups

ROUNDS: Final = 3
RATE: Final = 500
SECONDS: Final = 6
STALL_AFTER: Final = 2.0
STALL_SECONDS: Final = 1.0
SENT: Final = Quantity("p99 from sending", "ms")
HELD: Final = Quantity("rate held", "requests/s")
RATE_OFF: Final = 2.0
P99_APART: Final = 10.0
"""Both in percent."""
VEGETA: Final = "vegeta"

METHOD: Final = f"""\
Each is to hold {RATE} requests a second for {SECONDS} s on this project's Nginx with two app servers (`GET /`),
{ROUNDS} rounds in turn, on the same cores as what it asks. Then once more, while all processes of that Nginx are
stopped for {STALL_SECONDS:.0f} s: of {RATE * SECONDS:,} requests that were due, {RATE * STALL_SECONDS:,.0f} had to
wait, so the right p90 is about {1000 * (STALL_SECONDS - 0.1 * SECONDS):,.0f} ms. wrk and hey are closed loops, which
send nothing while they wait (coordinated omission): to them it was a wait for {CONNECTIONS} requests, and the others
were never sent. wrk adds what it takes to have missed to the times that it prints; hey doesn't. wrk has no rate: a
script ([pace.lua](../lab/bench/pace.lua)) has its connections wait between requests. vegeta and {LOAD} are open
loops. By itself: `make bench ONLY=generators`.
"""


@part("generators", "Load generators", METHOD)
def run(bed: Bed) -> Result:
    """All that this machine has."""
    known = generators.known()
    with edges.ours(bed, bed.apps()) as edge:
        calm = in_turn({name: functools.partial(_hold, one, edge.url) for name, one in known.items()}, ROUNDS)
        stall = functools.partial(_stall, edge)
        stalled = in_turn({name: functools.partial(_hold, one, edge.url, stall) for name, one in known.items()}, 1)
    absent = () if VEGETA in known else ("vegeta was not measured: it is no package of Debian, and needs Go.",)
    return Result(
        (
            Table(f"At {RATE} requests/s", rows(_shown(calm)), (P99, GENERATOR)),
            Table(f"The same, and the edge stands still for {STALL_SECONDS:.0f} s", rows(_shown(stalled))),
        ),
        checks(calm, stalled),
        (
            remark(calm),
            *absent,
        ),
    )


def checks(calm: Seen, stalled: Seen) -> tuple[Figure, ...]:
    """Which of them keep the rate, and whether those that count alike say the same."""
    held = [Figure(f"rate off by, {name}", "%", [_off(one[HELD]) for one in calm[name]], RATE_OFF) for name in calm]
    if VEGETA not in calm:
        return tuple(held)
    apart = "p99 apart, open loops"
    return (
        *held,
        Figure(apart, "%", _apart(calm, P99), P99_APART),
        Figure(f"{apart}, both counted from sending", "%", _apart(calm, SENT), P99_APART),
        Figure(f"{apart}, standing still", "%", _apart(stalled, P99), P99_APART),
    )


def _shown(seen: Seen) -> Seen:
    """Without what only one of them tells."""
    return {
        name: [{each: value for each, value in sample.items() if each != SENT} for sample in samples]
        for name, samples in seen.items()
    }


def remark(calm: Seen) -> str:
    """What the open loops' times begin with."""
    due, sent = (statistics.median(sample[each] for sample in calm[LOAD]) for each in (P99, SENT))
    return (
        f"{LOAD} counts from when a request was due, and vegeta from when it sent it. Counted from sending, the p99 of"
        f" {LOAD} is {sent:.1f} ms instead of {due:.1f} ms: the rest is how late it was itself, on shared cores."
    )


def _off(rate: float) -> float:
    return 100 * abs(rate / RATE - 1)


def _apart(seen: Seen, ours: Quantity) -> list[float]:
    pairs = zip(seen[LOAD], seen[VEGETA], strict=True)
    return [100 * abs(own[ours] / other[P99] - 1) for own, other in pairs]


def _hold(one: Generator, url: str, meanwhile: Callable[[], None] = lambda: None) -> Sample:
    def load() -> Said:
        return generators.run(one.words(url, RATE, SECONDS), one.read, meanwhile)

    said, spent = metered(load, {})
    sent = {} if said.p99_sent is None else {SENT: said.p99_sent}
    return {HELD: said.rate, P50: said.p50, P90: said.p90, P99: said.p99, GENERATOR: spent[GENERATOR], **sent}


def _stall(edge: edges.Edge) -> None:
    """Stop the edge's processes for a moment."""
    time.sleep(STALL_AFTER)
    stopped = control_groups.processes(edge.bed.edge.id, f"{edge.name}.service")
    for each, how in ((STALL_SECONDS, signal.SIGSTOP), (0.0, signal.SIGCONT)):
        for pid in stopped:
            os.kill(pid, how)
        time.sleep(each)
