"""`edge`: what an edge costs."""

import contextlib
from typing import Final

from lab.bench import edges
from lab.bench.bed import Bed
from lab.bench.figures import Figure, Quantity
from lab.bench.measure import SECONDS, THROUGHPUT, Asked, cpu
from lab.bench.part import Result, Table, part
from lab.bench.rounds import Seen, in_turn, ratio, rows

ROUNDS: Final = 5
MOST_CPU: Final = 0.30
LEAST_THROUGHPUT: Final = 4.0
"""Both as multiples of the tutorial's."""

EDGE: Final = cpu("the edge")
APP: Final = cpu("the app")

METHOD: Final = f"""\
All four are programs on the lab's edge machine, Debian 13's packages, with the same two app servers behind them; what
is asked for is the sample app's `GET /`, by wrk over 32 connections that are kept, {SECONDS} s in turn, {ROUNDS}
rounds. This project's Nginx has the machine's own nginx.conf, Lua balancer and access log included. The tutorial's is
a site with `upstream`, `least_conn` and `proxy_pass` in Debian's nginx.conf: HTTP/1.0 to the servers, and a
connection for each request. HAProxy and Caddy keep connections to the servers, choose by least connections, probe,
and log each request ([configurations](../lab/bench/edges)).
"""


@part("edge", "Four edges in the same place", METHOD)
def run(bed: Bed) -> Result:
    """All of them, in turn."""
    edges.install(bed)
    servers = bed.apps()
    app = bed.app_meter(servers)
    makers = {
        edges.OURS: edges.ours,
        edges.TUTORIAL: edges.tutorial,
        edges.HAPROXY: edges.haproxy,
        edges.CADDY: edges.caddy,
    }
    with contextlib.ExitStack() as running:
        started = {name: running.enter_context(make(bed, servers)) for name, make in makers.items()}
        asked = {name: Asked(edge.url, {EDGE: edge.cpu, APP: app}) for name, edge in started.items()}
        seen = in_turn({name: each.saturated for name, each in asked.items()}, ROUNDS)
    return Result((Table("Saturated", rows(seen), (EDGE, THROUGHPUT)),), checks(seen))


def checks(seen: Seen) -> tuple[Figure, ...]:
    """This project's edge against the others."""

    def times(
        what: str, of: str, to: str, quantity: Quantity, target: float | None = None, *, least: bool = False
    ) -> Figure:
        return Figure(f"{what}, {of} / {to}", "times", ratio(seen, of, to, quantity), target, least)

    edge_cpu = "the edge's CPU per request"
    return (
        times(edge_cpu, edges.OURS, edges.TUTORIAL, EDGE, MOST_CPU),
        times("throughput", edges.OURS, edges.TUTORIAL, THROUGHPUT, LEAST_THROUGHPUT, least=True),
        times(edge_cpu, edges.HAPROXY, edges.OURS, EDGE),
        times(edge_cpu, edges.CADDY, edges.OURS, EDGE),
    )
