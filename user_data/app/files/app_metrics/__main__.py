"""The app server's expressway-metrics.service."""

from expressway_metrics import service
from expressway_metrics.model import Reading

from . import cache, database, parts, pgbouncer, postgresql, reading, redis, redis_cluster, reports, statements
from .listener import Listener
from .watch import Watch

Watched = Watch[postgresql.Seen] | Watch[redis.Seen] | Watch[tuple[pgbouncer.Pools, ...]]


class Workers:
    """The app's workers, as they tell of themselves while this waits, and the services that are watched beside."""

    def __init__(self, listener: Listener, *watches: Watched) -> None:
        self._listener = listener
        self._watches = watches
        self._restarts: dict[tuple[str, int], int] = {}
        """Of every worker that was ever seen: one that crashed may be away at a look."""

    def wait(self, until: float) -> None:
        """Listen until then."""
        self._listener.wait(until)

    def look(self, now: float) -> Reading:
        """What they have told."""
        workers = reports.workers(self._listener.processes())
        found = reading.reading(workers, self._restarts) + parts.reading(workers)
        self._restarts |= {each.key: each.restarts for each in workers}
        return sum((each.told(now) for each in self._watches), found)


def tell_database(now: postgresql.Seen | None, before: postgresql.Seen | None, trips: list[float]) -> Reading:
    """What is told of it, and a line for the journal."""
    if now and now.statements:
        statements.write(now.statements)
    return database.reading(now, before, trips)


def watches() -> tuple[Watched, ...]:
    """The database, the pool before it and the cache, asked from now on."""
    found: tuple[Watched, ...] = (
        Watch("the database", postgresql.connect, tell_database),
        Watch("PgBouncer", pgbouncer.connect, pgbouncer.reading),
        Watch("the cache", redis_cluster.connect, cache.reading),
    )
    for each in found:
        each.start()
    return found


if __name__ == "__main__":
    service.run(Workers(Listener(), *watches()))
