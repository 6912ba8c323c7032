"""PostgreSQL, asked with the app's own address and rights."""

import select
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.extensions

from .services import TIMEOUT, ServiceError, SlowError, address
from .statements import LONGEST_TEXT, Total, line

VARIABLE = "DATABASE_URL"
NAME = "expressway-metrics"
"""Of its connection, by which it leaves itself out."""
MOST_STATEMENTS = 500
"""Those looked at, by the time that they took in all."""

ACTIVITY = f"""
SELECT /* expressway */
  current_setting('max_connections')::int,
  count(*) FILTER (WHERE backend_type = 'client backend'
    OR backend_type IS NULL AND usesysid IS NOT NULL AND datid IS NOT NULL),
  count(*) FILTER (WHERE others AND state = 'active'),
  count(*) FILTER (WHERE others AND wait_event_type = 'Lock'),
  count(*) FILTER (WHERE others AND state LIKE 'idle in transaction%'),
  coalesce(max(extract(epoch FROM clock_timestamp() - query_start))
    FILTER (WHERE others AND state = 'active'), 0)::float8,
  count(*) FILTER (WHERE own),
  count(*) FILTER (WHERE own AND state <> 'idle')
FROM (
  SELECT *, backend_type = 'client backend' AND application_name <> '{NAME}' AS others,
    backend_type = 'client backend' AND application_name <> '{NAME}'
      AND usename = current_user AND datname = current_database() AND client_addr = inet_client_addr() AS own
  FROM pg_stat_activity
) AS sessions
"""  # noqa: S608, constants
# Of another role's session, one that isn't the master user sees little more than whose it is.
# As JSON, for which columns there are depends on PostgreSQL's version.
COUNTS = "SELECT /* expressway */ to_jsonb(d) FROM pg_stat_database d WHERE datname = current_database()"
HAS_STATEMENTS = "SELECT /* expressway */ to_regclass('pg_stat_statements') IS NOT NULL"
# Without texts, which are in a file: they are asked for by the few ids that are told.
STATEMENTS = """
SELECT /* expressway */ queryid, sum(calls)::bigint, sum(total_exec_time) FROM pg_stat_statements(false)
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NOT NULL
GROUP BY queryid ORDER BY sum(total_exec_time) DESC LIMIT %s
"""
TEXTS = """
SELECT /* expressway */ queryid, min(left(query, %s)) FROM pg_stat_statements
WHERE queryid = ANY(%s) AND query NOT LIKE '%%/* expressway */%%' GROUP BY queryid
"""


@dataclass(frozen=True)
class Activity:
    """Sessions at a moment."""

    most: int
    """That there can be."""
    sessions: int
    active: int
    """That run a statement; so do those that wait."""
    waiting: int
    """For a lock."""
    idle_in_transaction: int
    longest: float
    """Seconds that the statement has run for that began first."""
    own: int
    """Of the app on this machine."""
    own_busy: int
    """Of these, running a statement or in a transaction."""


@dataclass(frozen=True)
class Seen:
    """What was seen in a period."""

    samples: tuple[Activity, ...]
    counts: Mapping[str, float]
    """pg_stat_database's, of the app's database."""
    statements: str = ""
    """The journal's line of the statements that took most time; empty when there is nothing to tell."""


@dataclass
class PostgresqlSession:
    """A connection. One statement at a time, each with its time-out."""

    connection: Any
    _samples: list[Activity] = field(default_factory=list[Activity])
    _statements: Mapping[int, Total] | None = None
    """At the last look."""
    _without_statements: bool = False
    """They were refused: not loaded, or another version."""

    def round_trip(self) -> None:
        """`SELECT 1`."""
        self._ask("SELECT /* expressway */ 1")

    def sample(self) -> None:
        """Who does what at this moment."""
        self._samples.append(Activity(*self._ask(ACTIVITY)[0]))

    def look(self) -> Seen:
        """What the database counts, and the samples."""
        samples, self._samples = tuple(self._samples), []
        counts = self._ask(COUNTS)[0][0]
        numbers = {name: float(value) for name, value in counts.items() if isinstance(value, (int, float))}
        return Seen(samples, numbers, self._look_at_statements())

    def close(self) -> None:
        """Hang up."""
        self.connection.close()

    def _look_at_statements(self) -> str:
        if self._without_statements or not self._ask(HAS_STATEMENTS)[0][0]:
            return ""
        try:
            rows = self._ask(STATEMENTS, MOST_STATEMENTS)
        except SlowError:
            raise
        except ServiceError:
            self._without_statements = True
            return ""
        now = {int(number): Total(int(calls), float(spent)) for number, calls, spent in rows}
        before, self._statements = self._statements, now
        return "" if before is None else line(now, before, self._texts)

    def _texts(self, numbers: list[int]) -> dict[int, str]:
        """By id, without values; this program's own are left out."""
        return {int(number): str(text) for number, text in self._ask(TEXTS, LONGEST_TEXT, numbers)}

    def _ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return cursor.fetchall()
        except psycopg2.Error as error:
            raise ServiceError(first_line(error)) from None


def connect() -> PostgresqlSession | None:
    """To the app's database; None when it has none. ServiceError when that can't be reached."""
    url = address(VARIABLE)
    if url is None:
        return None
    psycopg2.extensions.set_wait_callback(wait)
    try:
        psycopg2.extensions.parse_dsn(url)
    except psycopg2.Error:
        # Its message quotes what it doesn't understand, which may be the password.
        raise ServiceError(f"{VARIABLE} is no address of PostgreSQL") from None
    try:
        connection = psycopg2.connect(url, application_name=NAME)
        connection.autocommit = True
        with connection.cursor() as cursor:
            # For what goes on in the server after this side has given up.
            cursor.execute(f"SET statement_timeout = {1000 * TIMEOUT:.0f}")
    except psycopg2.Error as error:
        raise ServiceError(first_line(error)) from None
    return PostgresqlSession(connection)


def wait(connection: Any) -> None:
    """psycopg2's way to be told how to wait: for a server that has fallen silent, no longer than the time-out."""
    deadline = time.monotonic() + TIMEOUT
    while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
        reads = [connection.fileno()] if state == psycopg2.extensions.POLL_READ else []
        writes = [connection.fileno()] if state == psycopg2.extensions.POLL_WRITE else []
        ready = select.select(reads, writes, [], max(0.0, deadline - time.monotonic()))
        if not any(ready):
            raise SlowError(f"no answer in {TIMEOUT:g} s")


def first_line(error: Exception) -> str:
    """What is said of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
