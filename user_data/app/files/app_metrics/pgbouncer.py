"""PgBouncer on this machine, asked on its own console for who waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.extensions
from expressway_metrics.model import Reading, Value, gauge

from .postgresql import first_line, wait
from .services import ServiceError, address

VARIABLE = "POOL_URL"
CONSOLE = "pgbouncer"
"""The database that the console is; it has a pool of its own, which is none of the app's."""


@dataclass(frozen=True)
class Pools:
    """All pools of the app's at a moment."""

    clients_active: int
    """Connections of the app's, in a transaction or idle."""
    clients_waiting: int
    """For a connection to the database."""
    servers_active: int
    """Connections to the database, in a transaction."""
    servers_idle: int
    longest_wait: float
    """Seconds that the client has waited who came first."""

    @property
    def clients(self) -> int:
        """All connections of the app's."""
        return self.clients_active + self.clients_waiting


@dataclass
class PgbouncerSession:
    """A connection to the console."""

    connection: Any
    _last: Pools | None = None
    _samples: list[Pools] = field(default_factory=list[Pools])

    def round_trip(self) -> None:
        """Ask who waits."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SHOW POOLS")
                names = [column[0] for column in cursor.description]
                self._last = pools([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
        except psycopg2.Error as error:
            raise ServiceError(first_line(error)) from None

    def sample(self) -> None:
        """Remember the answer."""
        if self._last:
            self._samples.append(self._last)

    def look(self) -> tuple[Pools, ...]:
        """The answers since the last look."""
        samples, self._samples = tuple(self._samples), []
        return samples

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


def pools(rows: list[Mapping[str, Any]]) -> Pools:
    """What `SHOW POOLS` says of all pools but the console's."""
    own = [row for row in rows if row["database"] != CONSOLE]

    def together(*columns: str) -> int:
        return sum(int(row[column]) for row in own for column in columns)

    return Pools(
        together("cl_active"),
        together("cl_waiting"),
        together("sv_active"),
        together("sv_idle", "sv_used", "sv_tested"),
        max((int(row["maxwait"]) + int(row["maxwait_us"]) / 1e6 for row in own), default=0.0),
    )


def connect() -> PgbouncerSession | None:
    """To the console; None where there is no PgBouncer. ServiceError when that can't be reached."""
    url = address(VARIABLE)
    if url is None:
        return None
    psycopg2.extensions.set_wait_callback(wait)
    try:
        connection = psycopg2.connect(url)
        connection.autocommit = True
    except psycopg2.Error as error:
        raise ServiceError(first_line(error)) from None
    return PgbouncerSession(connection)


def reading(now: tuple[Pools, ...] | None, _before: object, _trips: object) -> Reading:
    """What is told of a look; without an answer `now` is None. Pure."""
    up = gauge("expressway_pool_up", "Whether PgBouncer answered.", [({}, float(now is not None))])
    if not now:
        return Reading([up], [])
    last = now[-1]
    clients = {"active": last.clients_active, "waiting": last.clients_waiting}
    servers = {"active": last.servers_active, "idle": last.servers_idle}
    return Reading(
        [
            up,
            gauge("expressway_pool_clients", "The app's.", [({"state": name}, n) for name, n in clients.items()]),
            gauge("expressway_pool_servers", "The database's.", [({"state": name}, n) for name, n in servers.items()]),
            gauge("expressway_pool_wait_seconds", "The longest.", [({}, max(each.longest_wait for each in now))]),
        ],
        [
            Value.of("DatabasePoolClients", "Count", sum(each.clients for each in now) / len(now)),
            Value.of("DatabasePoolWaiting", "Count", max(each.clients_waiting for each in now)),
        ],
    )
