"""The scenarios, by what is done to the stack. Importing this puts all of them into the table, in its order."""

from . import membership, deploys, processes, machines, database, routes, edge, api, tracking, boot, healthy  # isort: skip

__all__ = [
    "api",
    "boot",
    "database",
    "deploys",
    "edge",
    "healthy",
    "machines",
    "membership",
    "processes",
    "routes",
    "tracking",
]
