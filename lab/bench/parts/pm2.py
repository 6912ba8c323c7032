"""`pm2`: one Node process, and PM2's cluster."""

import statistics
from typing import Final

from lab.bench.bed import APP_PORT, Bed
from lab.bench.figures import Figure
from lab.bench.measure import GENERATOR, SECONDS, THROUGHPUT, Asked, cpu
from lab.bench.node import PORTS, process
from lab.bench.part import Result, Table, part
from lab.bench.rounds import Seen, in_turn, ratio, rows

ROUNDS: Final = 5
LEAST_THROUGHPUT: Final = 1.7
"""As a multiple of one process's, on two cores."""
KILOBYTES: Final = 32
ONE: Final = "one process"
CLUSTER: Final = "PM2, a worker per CPU"
LIGHT: Final = "GET /"
HEAVY: Final = f"{KILOBYTES} KB of JSON"
SCRIPTS: Final = {LIGHT: (), HEAVY: ("body.lua", str(KILOBYTES))}
NODE: Final = cpu("Node and PM2")

METHOD: Final = f"""\
On one app server, without the edge: the app as its PM2 runs it, and one `node server.js` with the same environment
beside it, in turn, {ROUNDS} rounds of {SECONDS} s. `GET /` is the lightest route there is: on two cores the load
generator takes a good part of the second one. With a body of {KILOBYTES} KB of JSON, which `express.json` parses
before the same route answers, Node is what is busy, as in an app that does something.
"""


@part("pm2", "One Node process, and PM2", METHOD)
def run(bed: Bed) -> Result:
    """Both, with a request that is nearly nothing and with one that is work."""
    server = bed.machine("app")
    with process(bed, "bench-one", PORTS[0]) as one:
        ways = {ONE: (PORTS[0], one), CLUSTER: (APP_PORT, bed.app_meter([server]))}
        asked = {
            f"{request}, {way}": Asked(f"http://{server.address}:{port}/", {NODE: node}, script=script)
            for request, script in SCRIPTS.items()
            for way, (port, node) in ways.items()
        }
        for each in asked.values():
            each.warm()
        seen = in_turn({name: each.saturated for name, each in asked.items()}, ROUNDS)
    return Result(
        (Table("Saturated", rows(seen), (THROUGHPUT, NODE)),),
        tuple(check(seen, request) for request in SCRIPTS),
        tuple(remark(seen, f"{request}, {CLUSTER}") for request in SCRIPTS),
    )


def check(seen: Seen, request: str) -> Figure:
    """The cluster's throughput against one process's: with a target where it is not the generator that is busy."""
    times = ratio(seen, f"{request}, {CLUSTER}", f"{request}, {ONE}", THROUGHPUT)
    target = LEAST_THROUGHPUT if request == HEAVY else None
    return Figure(f"throughput of {request}, PM2 / one process", "times", times, target, at_least=True)


def remark(seen: Seen, variant: str) -> str:
    """How much of a core the load generator took."""
    share = statistics.median(sample[GENERATOR] * sample[THROUGHPUT] / 1e6 for sample in seen[variant])
    return f"{variant}: the load generator took {100 * share:.0f} % of a core."
