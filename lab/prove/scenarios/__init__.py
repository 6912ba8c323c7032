"""The scenarios, by what is done to the stack. Importing this puts all of them into the table, in its order."""

from . import membership, deploys, processes, machines, routes, edge, api, tracking, boot  # isort: skip
from . import database, most, restore, cache, misses, replicas, passwords, connections, healthy, faults  # isort: skip
from . import shards, shard_faults, cluster  # isort: skip

__all__ = [
    "api",
    "boot",
    "cache",
    "cluster",
    "connections",
    "database",
    "deploys",
    "edge",
    "faults",
    "healthy",
    "machines",
    "membership",
    "misses",
    "most",
    "passwords",
    "processes",
    "replicas",
    "restore",
    "routes",
    "shard_faults",
    "shards",
    "tracking",
]
