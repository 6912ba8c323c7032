"""`reconciler`: what it takes of the edge machine."""

import time
from collections.abc import Callable
from typing import Final

from lab.bench import reconciler
from lab.bench.bed import APP_SERVERS, Bed, meter
from lab.bench.figures import Quantity
from lab.bench.part import Result, Table, part
from lab.bench.rounds import Sample, in_turn, rows

ROUNDS: Final = 2
REST_SECONDS: Final = 12
MORE: Final = 4
FLEET: Final = 1000
FLEET_REST_SECONDS: Final = 20
RECONCILER: Final = Quantity("reconciler", "% of a core")
EDGE: Final = Quantity("whole edge machine", "% of a core")
TOOK: Final = Quantity("took", "s")

METHOD: Final = f"""\
On the lab's edge machine, which nobody asks for anything meanwhile: at rest, and from `expressway scale` until it is
done, {ROUNDS} rounds. And before {FLEET:,} machines that the lab's API has and nobody boots, as `make
bench-reconciler` measures it at more length.
"""


@part("reconciler", "The reconciler's own cost", METHOD)
def run(bed: Bed) -> Result:
    """At rest, scaling out and in, and before a big fleet."""
    states = {
        f"at rest, {APP_SERVERS} app servers": lambda: _used(bed, lambda: time.sleep(REST_SECONDS)),
        f"scaling {APP_SERVERS} -> {MORE}": lambda: _used(bed, lambda: bed.scale(MORE)),
        f"scaling {MORE} -> {APP_SERVERS}": lambda: _used(bed, lambda: bed.scale(APP_SERVERS)),
    }
    seen = in_turn(states, ROUNDS)
    fleet = reconciler.figures(reconciler.measure(FLEET, FLEET_REST_SECONDS), FLEET)
    # Calls are counted over a whole minute, which is not waited for here.
    fleet = [figure for figure in fleet if figure.unit != "a minute"]
    return Result((Table("On the edge machine", rows(seen), (RECONCILER, EDGE)),), tuple(fleet))


def _used(bed: Bed, work: Callable[[], object]) -> Sample:
    """The share of a core that was used while something was done."""
    meters = {RECONCILER: meter(bed.edge, "expressway-reconciler"), EDGE: meter(bed.edge)}
    before, began = {each: read() for each, read in meters.items()}, time.monotonic()
    work()
    took = time.monotonic() - began
    return {**{each: 100 * (read() - before[each]) / took for each, read in meters.items()}, TOOK: took}
