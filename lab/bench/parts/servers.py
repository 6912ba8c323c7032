"""`servers`: one, two and four app servers behind the edge."""

import functools
from itertools import pairwise
from typing import Final

from lab.bench import edges
from lab.bench.bed import APP_SERVERS, Bed
from lab.bench.figures import Figure
from lab.bench.measure import SECONDS, THROUGHPUT, Asked, cpu
from lab.bench.part import Result, Table, part
from lab.bench.rounds import in_turn, ratio, rows

ROUNDS: Final = 4
RATE: Final = 500
COUNTS: Final = (1, 2, 4)
EDGE: Final = cpu("the edge")
APP: Final = cpu("the app")

METHOD: Final = f"""\
Four app servers run (`expressway scale {max(COUNTS)}`), and this project's Nginx is told of one, two or four of them,
so that they can be asked in turn: {ROUNDS} rounds of wrk ({SECONDS} s, 32 connections) and of {RATE} requests a
second of an open loop, `GET /`. All machines share this one's cores, so more servers can't answer more here, as they
do where each has cores of its own. What shows is what more of them cost: CPU per request, and the time an answer
takes.
"""


@part("servers", "One, two and four app servers", METHOD)
def run(bed: Bed) -> Result:
    """Each number of servers, saturated and at a rate."""
    bed.scale(max(COUNTS))
    try:
        servers = bed.apps()
        app = bed.app_meter(servers)
        with edges.ours(bed, servers) as edge:
            meters = {EDGE: edge.cpu, APP: app}
            asked = {
                f"{count} app server{'s' * (count > 1)}": Asked(
                    edge.url, meters, functools.partial(edge.serve, servers[:count])
                )
                for count in COUNTS
            }
            full = in_turn({name: each.saturated for name, each in asked.items()}, ROUNDS)
            calm = in_turn({name: each.at(RATE) for name, each in asked.items()}, ROUNDS)
    finally:
        bed.scale(APP_SERVERS)
    return Result(
        (
            Table("Saturated", rows(full), (THROUGHPUT, APP, EDGE)),
            Table(f"At {RATE} requests/s", rows(calm)),
        ),
        tuple(
            Figure(f"{what}, {of} / {to}", "times", ratio(full, of, to, quantity))
            for of, to in pairwise(reversed(asked))
            for what, quantity in (("the app's CPU per request", APP), ("the edge's CPU per request", EDGE))
        ),
    )
