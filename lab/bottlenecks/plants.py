"""What is planted, in the order of the table. The routes are tests/fixtures/apps/bottlenecks/server.js's."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from lab.prove.stand import Stand

from . import starving
from .plant import Environment, Plant

WORKER_CONNECTIONS: Final = 64
"""For each of Nginx's workers, to clients and servers together; a request has two."""
CACHE_MEMORY: Final = "8mb"
"""Of which Redis takes two itself: of a thousand answers of 20 KB, about a third has room."""
GENERATOR_CPU: Final = 0.02
"""Of one CPU. vegeta takes a tenth of a millisecond for a request, or more."""

_NGINX: Final = "/etc/nginx/nginx.conf"
_REDIS: Final = "/etc/redis/redis.conf"


@contextmanager
def one_worker(stand: Stand) -> Generator[Environment]:
    """One worker of the app on each app server."""
    servers = [each.id for each in stand.machines("app")]
    before = {each: asyncio.run(_workers(stand, each)) for each in servers}
    try:
        for each in servers:
            asyncio.run(stand.pm2(each, "scale", _APP, "1"))
        yield {}
    finally:
        for each, count in before.items():
            asyncio.run(stand.pm2(each, "scale", _APP, str(count)))


@contextmanager
def few_connections(stand: Stand) -> Generator[Environment]:
    """An Nginx with few `worker_connections`."""
    edge = stand.machines("edge")[0].id
    with _edited(stand, edge, _NGINX, rf"s/(worker_connections) [0-9]+/\1 {WORKER_CONNECTIONS}/", "reload nginx"):
        yield {}


@contextmanager
def full_cache(stand: Stand) -> Generator[Environment]:
    """A Redis with little memory. It begins empty, and so it does afterwards."""
    nodes = [each.id for each in stand.machines("cache")]
    (node, *_) = nodes
    with _edited(stand, node, _REDIS, rf"s/^(maxmemory) [0-9]+/\1 {CACHE_MEMORY}/", "restart redis-server"):
        yield {}


@contextmanager
def slow_generator(_stand: Stand) -> Generator[Environment]:
    """A vegeta that gets little CPU."""
    with starving.vegeta(GENERATOR_CPU) as path:
        yield {"PATH": path}


_APP: Final = "bottlenecks"


async def _workers(stand: Stand, machine: str) -> int:
    told = await stand.pm2(machine, "id", _APP)
    return told.count(",") + 1


@contextmanager
def _edited(stand: Stand, machine: str, file: str, edit: str, then: str) -> Generator[None]:
    """A file of a machine changed by sed, and `systemctl` told so, for as long as the body runs."""
    asyncio.run(stand.inside(machine, "cp", "--archive", file, f"{file}.before"))
    try:
        asyncio.run(stand.inside(machine, "sed", "--in-place", "--regexp-extended", edit, file))
        asyncio.run(stand.inside(machine, "systemctl", *then.split()))
        yield
    finally:
        asyncio.run(stand.inside(machine, "mv", f"{file}.before", file))
        asyncio.run(stand.inside(machine, "systemctl", *then.split()))


ALL: Final = (
    Plant("app-cpu", "30 ms of the app's CPU for each request", (("app", "cpu"),), "/cpu", 25),
    Plant("one-worker", "the same, and one PM2 worker for two CPUs", (("app", "worker cpu"),), "/cpu", 15, one_worker),
    Plant(
        "slow-query",
        "a query that no index helps",
        (("database", "cpu"),),
        "/query/{1..100000}",
        35,
    ),
    Plant(
        "few-database-connections",
        "a pool of two connections a worker, each held for 50 ms",
        (("database", "pool"),),
        "/transaction",
        40,
    ),
    Plant(
        "slow-cache",
        "a script that takes Redis 20 ms",
        (("cache", "cpu"), ("cache", "round trip")),
        "/script",
        25,
    ),
    Plant("full-cache", f"maxmemory {CACHE_MEMORY}", (("cache", "memory"),), "/cached/{1..1000}", 40, full_cache),
    Plant(
        "few-edge-connections",
        f"worker_connections {WORKER_CONNECTIONS}, and answers after 300 ms",
        (("edge", "connections"),),
        "/wait",
        60,
        few_connections,
    ),
    Plant(
        "slow-external-call",
        "a service that answers after 100 ms, eight at a time",
        (("external", "waiting"),),
        "/external",
        40,
    ),
    Plant(
        "slow-generator",
        f"vegeta with {100 * GENERATOR_CPU:.0f} % of a CPU",
        (("generator", "cpu"), ("generator", "lateness")),
        "/",
        60,
        slow_generator,
    ),
    Plant("none", "nothing: the sample app, as `make up` has it", (), None, None, runs=3, fixture=False),
)
"""Each is named by one verdict, or by one of two where either is right."""
PLANTS: Final = {each.name: each for each in ALL}
