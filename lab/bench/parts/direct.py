"""`direct`: what it costs to have an edge at all."""

from typing import Final

from lab.bench import edges
from lab.bench.bed import APP_PORT, Bed
from lab.bench.figures import Figure
from lab.bench.measure import P50, P99, SECONDS, Asked, cpu
from lab.bench.part import Result, Table, part
from lab.bench.rounds import difference, in_turn, rows

ROUNDS: Final = 4
RATE: Final = 500
DIRECT: Final = "direct"
THROUGH: Final = "through the edge"
APP: Final = cpu("the app")
EDGE: Final = cpu("the edge")

METHOD: Final = f"""\
One app server, asked for `GET /` from the same place: at its port, or through this project's Nginx on the edge
machine. {ROUNDS} rounds in turn of wrk ({SECONDS} s, 32 connections), and of {RATE} requests a second of an open
loop, for how long an answer takes when nothing is saturated.
"""


@part("direct", "Direct to the app, and through the edge", METHOD)
def run(bed: Bed) -> Result:
    """Both ways, saturated and at a rate."""
    server = bed.machine("app")
    app = bed.app_meter([server])
    direct = f"http://{server.address}:{APP_PORT}/"
    with edges.ours(bed, [server]) as edge:
        ways = {
            DIRECT: Asked(direct, {APP: app, EDGE: lambda: 0.0}),
            THROUGH: Asked(edge.url, {APP: app, EDGE: edge.cpu}),
        }
        for way in ways.values():
            way.warm()
        full = in_turn({name: way.saturated for name, way in ways.items()}, ROUNDS)
        calm = in_turn({name: way.at(RATE) for name, way in ways.items()}, ROUNDS)
    return Result(
        (
            Table("Saturated", rows(full), (APP, EDGE)),
            Table(f"At {RATE} requests/s", rows(calm)),
        ),
        (
            Figure("p50 that the edge adds", "ms", difference(calm, THROUGH, DIRECT, P50)),
            Figure("p99 that the edge adds", "ms", difference(calm, THROUGH, DIRECT, P99)),
        ),
    )
