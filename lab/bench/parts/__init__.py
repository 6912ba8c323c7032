"""The parts of `make bench`, in the order in which they are carried out. Importing them fills `part.PARTS`."""

from . import edge, direct, servers, pm2, cache, reconciler, generators  # isort: skip

__all__ = ["cache", "direct", "edge", "generators", "pm2", "reconciler", "servers"]
