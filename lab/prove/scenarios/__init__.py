"""The scenarios, by what is done to the stack. Importing this puts all of them into the table, in its order."""

from . import membership, deploys, processes, machines, routes, edge, api, tracking, boot  # isort: skip
from . import database, restore, cache, misses, passwords, connections, healthy, shards  # isort: skip

__all__ = [
    "api",
    "boot",
    "cache",
    "connections",
    "database",
    "deploys",
    "edge",
    "healthy",
    "machines",
    "membership",
    "misses",
    "passwords",
    "processes",
    "restore",
    "routes",
    "shards",
    "tracking",
]
