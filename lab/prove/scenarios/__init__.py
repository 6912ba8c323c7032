"""The scenarios, by what is done to the stack. Importing this puts all of them into the table, in its order."""

from . import membership, deploys, processes, machines, routes, edge, api, tracking, boot, healthy  # isort: skip

__all__ = ["api", "boot", "deploys", "edge", "healthy", "machines", "membership", "processes", "routes", "tracking"]
