"""Runs on an RDS Proxy's machine: clients wait while the database is away, as a proxy of AWS's lets them.

PgBouncer refuses whoever comes while it has no connection and could not make one. Paused, it lets them wait, each for
its query_wait_timeout at most. So this looks ten times a second: a database that clients want and that has no
connection left is paused, tried, and resumed once it takes one. What is paused is resumed at its start, so it may be
killed at any point.
"""

import contextlib
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

CONFIGURATION = Path("/etc/pgbouncer/pgbouncer.ini")
USERS = Path("/etc/pgbouncer/users.txt")
CONSOLE = "host=/run/pgbouncer port=5432 user=pgbouncer dbname=pgbouncer connect_timeout=2"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
PERIOD = 0.1
"""Seconds between two looks."""
CONNECTED = ("sv_active", "sv_idle", "sv_used", "sv_tested")
WAITING = ("cl_active", "cl_waiting")

Row = Mapping[str, Any]


@dataclass
class Holder:
    """Decides. `pause` and `resume` tell PgBouncer, `takes` tries a database as a user; all by the database's name."""

    pause: Callable[[str], None]
    resume: Callable[[str], None]
    takes: Callable[[str, str], bool]
    _held: set[str] = field(default_factory=set[str])
    _resumed: set[str] = field(default_factory=set[str])

    def look(self, pools: Iterable[Row]) -> None:
        """One look at what PgBouncer says of its pools."""
        by_name: dict[str, list[Row]] = {}
        for pool in pools:
            if pool["database"] != "pgbouncer":
                by_name.setdefault(pool["database"], []).append(pool)
        for name, its in by_name.items():
            if name in self._held:
                self._try(name, its)
            elif _count(its, CONNECTED):
                self._resumed.discard(name)
            elif name not in self._resumed and _count(its, WAITING) and not _count(its, ("sv_login",)):
                # Before it is tried: those who come meanwhile wait.
                self.pause(name)
                self._held.add(name)
                self._try(name, its)

    def _try(self, name: str, its: Iterable[Row]) -> None:
        if any(self.takes(name, pool["user"]) for pool in its):
            self.resume(name)
            self._held.remove(name)
            # Not to be paused again before it has a connection: it makes none while it is.
            self._resumed.add(name)


def takes(name: str, user: str) -> bool:
    """Whether the database takes a connection now, or never will."""
    to = re.search(r"^\* = (host=\S+ port=\d+)$", CONFIGURATION.read_text(), re.MULTILINE)
    password = logins(USERS.read_text()).get(user)
    if to is None or password is None:
        return False
    try:
        psycopg2.connect(
            f"{to[1]} sslmode=verify-full sslrootcert={AUTHORITIES} connect_timeout=2",
            dbname=name,
            user=user,
            password=password,
        ).close()
    except psycopg2.Error as error:
        # No such database, or none for this user: PgBouncer is to say so.
        return "does not exist" in str(error) or "permission denied" in str(error)
    return True


def logins(users: str) -> dict[str, str]:
    """Passwords by user, of PgBouncer's file of them."""
    pairs = re.findall(r'^"((?:[^"]|"")*)" "((?:[^"]|"")*)"$', users, re.MULTILINE)
    return {user.replace('""', '"'): password.replace('""', '"') for user, password in pairs}


def _count(pools: Iterable[Row], columns: Collection[str]) -> int:
    return sum(int(pool[each]) for pool in pools for each in columns)


def _ask(console: Any, command: str) -> list[dict[str, Any]]:
    with console.cursor() as cursor:
        cursor.execute(command)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []


def _hold(console: Any) -> None:
    for row in _ask(console, "SHOW DATABASES"):
        if int(row["paused"]):
            _telling(console, "RESUME")(row["name"])
    holder = Holder(_telling(console, "PAUSE"), _telling(console, "RESUME"), takes)
    while True:
        holder.look(_ask(console, "SHOW POOLS"))
        time.sleep(PERIOD)


def _telling(console: Any, command: str) -> Callable[[str], None]:
    def tell(name: str) -> None:
        quoted = name.replace('"', '""')
        _ask(console, f'{command} "{quoted}"')

    return tell


def main() -> None:
    """Hold until told to stop."""
    while True:
        # It may be starting, or have been started anew.
        with contextlib.suppress(psycopg2.Error, OSError), contextlib.closing(psycopg2.connect(CONSOLE)) as console:
            console.autocommit = True
            _hold(console)
        time.sleep(PERIOD)


if __name__ == "__main__":
    main()
