"""`cache`: reads through the cache, and without it."""

from typing import Final

from lab.bench.bed import Bed, meter
from lab.bench.figures import Figure
from lab.bench.items import COUNT, LIST, fill
from lab.bench.measure import SECONDS, THROUGHPUT, Asked, cpu
from lab.bench.node import PORTS, process
from lab.bench.part import Result, Table, part
from lab.bench.rounds import Seen, in_turn, ratio, rows

ROUNDS: Final = 4
ON: Final = "cache on"
OFF: Final = "cache off"
ITEMS: Final = "items"
THE_LIST: Final = "the list"
APP: Final = cpu("the app")
CACHE: Final = cpu("Redis")
DATABASE: Final = cpu("PostgreSQL")

METHOD: Final = f"""\
On one app server, two processes of the sample app in turn, {ROUNDS} rounds of {SECONDS} s: one with its whole
environment, and one without `REDIS_URL`, which then reads the database. Redis and PostgreSQL are machines of their own,
with TLS; their whole machines' CPU counts. Items are {COUNT} rows, asked for one by one by their primary key, the
cheapest question that a database can be asked; `{LIST}` has all of them. Without a cache, parallel reads of one key
in one process share a question to the database: that is why the list costs the database so little.
"""


@part("cache", "Cache-aside, on and off", METHOD)
def run(bed: Bed) -> Result:
    """Items and the list, with the cache and without."""
    server = bed.machine("app")
    first, last = fill(bed)
    with (
        process(bed, "bench-cached", PORTS[0]) as cached,
        process(bed, "bench-uncached", PORTS[1], without=("REDIS_URL",)) as uncached,
    ):
        stores = {CACHE: meter(bed.machine("cache")), DATABASE: meter(bed.machine("database"))}
        scripts = {ITEMS: ("ids.lua", str(first), str(last)), THE_LIST: ()}
        asked = {
            f"{route}, {way}": Asked(f"http://{server.address}:{port}{LIST}", {APP: app, **stores}, script=script)
            for route, script in scripts.items()
            for way, port, app in ((ON, PORTS[0], cached), (OFF, PORTS[1], uncached))
        }
        for each in asked.values():
            each.warm()
        seen = in_turn({name: each.saturated for name, each in asked.items()}, ROUNDS)
    return Result((Table("Saturated", rows(seen), (APP, CACHE, DATABASE)),), checks(seen))


def checks(seen: Seen) -> tuple[Figure, ...]:
    """What the cache changes."""
    quantities = {"throughput": THROUGHPUT, "the app's CPU per request": APP, "PostgreSQL's CPU per request": DATABASE}
    return tuple(
        Figure(f"{what} of {route}, {ON} / off", "times", ratio(seen, f"{route}, {ON}", f"{route}, {OFF}", quantity))
        for route in (ITEMS, THE_LIST)
        for what, quantity in quantities.items()
    )
