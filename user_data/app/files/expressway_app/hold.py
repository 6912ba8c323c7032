"""Requests wait while the database is away, instead of failing: PgBouncer is paused meanwhile, as long as that helps.

PgBouncer refuses whoever comes while it has no connection and could not make one (server_login_retry has no mercy in
it). Paused, it lets them wait. So this looks at its pools ten times a second. One that has lost all its connections is
paused and its database is tried, until that takes a connection again, or HELD seconds have passed: then requests had
better fail at once than pile up. Requests for a replica fail at once from the start: another server has the answer.
All that it knows is in PgBouncer, and all pools are resumed at its own start and at
its end, so it may be killed at any point.
"""

import contextlib
import json
import select
import time
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.extensions
from expressway_machine import systemd

from . import paths
from .service import say

PERIOD = 0.1
"""Seconds between two looks."""
HELD = 15.0
"""Seconds for which requests are held: less than PgBouncer's query_wait_timeout, so that nobody waits for that."""
PATIENCE = 2.0
"""Seconds for an answer of PgBouncer, or of the database. libpq knows no shorter time-out."""
CONNECTED = ("sv_active", "sv_idle", "sv_used", "sv_tested")
CONNECTING = "sv_login"
"""While one is being made, requests wait anyway."""


class HoldError(Exception):
    """PgBouncer doesn't answer. It may be starting."""


UNREADY = (HoldError, OSError, ValueError, KeyError)
"""It doesn't answer, or nobody has said yet how it is reached."""


@dataclass(frozen=True)
class Pool:
    """One of PgBouncer's, at a moment."""

    connected: int
    connecting: int


@dataclass
class Outage:
    """Of one database, until PgBouncer has a connection again. Requests are held once in it."""

    began: float
    held: bool = True
    given_up: bool = False


@dataclass
class Holder:
    """Decides. `pause` and `resume` tell PgBouncer, `takes` tries the database; all of them by its name."""

    pause: Callable[[str], None]
    resume: Callable[[str], None]
    takes: Callable[[str], bool]
    say: Callable[[str], None] = say
    _outages: dict[str, Outage] = field(default_factory=dict[str, Outage])

    def look(self, pools: Mapping[str, Pool], now: float) -> None:
        """One look. `now` is in seconds of a clock that never goes back."""
        for name, pool in pools.items():
            outage = self._outages.get(name)
            if outage is None:
                if not pool.connected and not pool.connecting:
                    # Before it is tried: those who come meanwhile wait.
                    self.pause(name)
                    self._outages[name] = Outage(now)
            elif outage.held:
                self._try(name, outage, now)
            elif pool.connected:
                if outage.given_up:
                    self.say(f"{name} is back after {now - outage.began:.0f} s")
                del self._outages[name]

    def _try(self, name: str, outage: Outage, now: float) -> None:
        if there := self.takes(name):
            self.say(f"{name} was away for {now - outage.began:.1f} s, for which requests waited")
        elif now - outage.began >= HELD:
            self.say(f"{name} has been away for {HELD:.0f} s: requests fail until it is back")
        else:
            return
        # Not to be paused again before it has a connection: it makes none while it is.
        self.resume(name)
        outage.held, outage.given_up = False, not there


class Console:
    """PgBouncer's own, asked as one who may pause. HoldError from everything but `close`."""

    def __init__(self, url: str) -> None:
        with _answered():
            self._connection = psycopg2.connect(url)
            self._connection.autocommit = True

    def ask(self, command: str) -> list[dict[str, Any]]:
        """The rows of a command's answer."""
        with _answered(), self._connection.cursor() as cursor:
            cursor.execute(command)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []

    def pools(self, names: Collection[str]) -> dict[str, Pool]:
        """Those of the databases that are called so."""
        return {
            row["database"]: Pool(sum(int(row[each]) for each in CONNECTED), int(row[CONNECTING]))
            for row in self.ask("SHOW POOLS")
            if row["database"] in names
        }

    def pause(self, name: str) -> None:
        """Have a database's clients wait."""
        self.ask(f'PAUSE "{name}"')

    def resume(self, name: str) -> None:
        """Have a database's clients served, or refused."""
        self.ask(f'RESUME "{name}"')

    def resume_all(self) -> None:
        """The same of each that is paused."""
        for row in self.ask("SHOW DATABASES"):
            if int(row["paused"]):
                self.resume(row["name"])

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def told() -> Mapping[str, Any]:
    """What pool.py wrote: PgBouncer's console, and how what is held for is reached, by its name."""
    return json.loads(paths.POOL_HELD.read_text())


def takes(name: str) -> bool:
    """Whether the database takes a connection, with the password of this moment."""
    try:
        psycopg2.connect(**told()["databases"][name], connect_timeout=int(PATIENCE)).close()
    except (psycopg2.Error, *UNREADY):
        return False
    return True


def main() -> int:
    """Hold until told to stop."""
    psycopg2.extensions.set_wait_callback(_wait)
    while True:
        try:
            known = told()
            with contextlib.closing(Console(known["console"])) as console:
                console.resume_all()
                holder = Holder(console.pause, console.resume, takes)
                systemd.notify("READY=1")
                while True:
                    holder.look(console.pools(known["databases"]), time.monotonic())
                    systemd.notify("WATCHDOG=1")
                    time.sleep(PERIOD)
        except UNREADY:
            # A PgBouncer that starts anew is not paused.
            systemd.notify("WATCHDOG=1")
            time.sleep(PERIOD)


def release() -> int:
    """For the unit's end."""
    psycopg2.extensions.set_wait_callback(_wait)
    try:
        with contextlib.closing(Console(told()["console"])) as console:
            console.resume_all()
    except UNREADY:
        return 1
    return 0


@contextlib.contextmanager
def _answered() -> Generator[None]:
    try:
        yield
    except psycopg2.Error as error:
        raise HoldError(str(error).strip()) from None


def _wait(connection: Any) -> None:
    """psycopg2's way to be told how to wait: no longer than PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
        reads = [connection.fileno()] if state == psycopg2.extensions.POLL_READ else []
        writes = [connection.fileno()] if state == psycopg2.extensions.POLL_WRITE else []
        if not any(select.select(reads, writes, [], max(0.0, deadline - time.monotonic()))):
            raise HoldError("no answer in time")
