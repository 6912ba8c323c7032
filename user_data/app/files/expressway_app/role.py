"""The app's own role at its databases (`database.appUser`): made with the master user's login, which the app hasn't.

Whoever reads the role's secret on this machine comes by here, so PostgreSQL knows a password before anything is told
of it. Any number of machines may do so at once, any number of times.
"""

import hashlib
import json
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from expressway_machine import config, files
from psycopg2 import extensions, sql

from . import environment, paths
from .environment import SecretError

ATTEMPTS = 3
"""To connect as the master user: RDS may be changing its password, and the secret says so seconds later."""
PAUSE = 3.0
CONNECT_SECONDS = 5
LOCK_PATIENCE = "30s"
"""What a machine waits for another one that is at it, and may have died; the next look tries again."""
DEAD: dict[str, Any] = {
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    # For the server, so that a machine which is no more doesn't have the lock for minutes.
    "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3",
}
"""A connection whose other end is gone ends: nobody follows secrets meanwhile."""
LOCK_TIMEOUT = "5s"
"""What a table may wait for that gets another owner: who uses it waits behind."""
LOCK = 0x65787072
"""The advisory lock in the app's database that machines take for this."""
MARK = "Made by Expressway for the app (database.appUser)"
"""The comment by which a role of ours is known."""
SECRET = 0o600
TLS: dict[str, Any] = {
    "sslmode": "verify-full",
    "sslrootcert": str(paths.RDS_CA),
    # It would be looked for in root's home, which services have no access to, and that is an error.
    "sslcertmode": "disable",
}

UNFIT = """
SELECT rolsuper OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = %s
"""
OTHER_DATABASES = """
SELECT datname FROM pg_database
WHERE datname <> current_database() AND datdba = current_user::regrole
  AND has_database_privilege('public', oid, 'CONNECT')
"""
"""Of the master user's, those that everybody can connect to; who is let in by name, somebody has let in."""
OTHER_LOGINS = """
SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname NOT IN (%s, current_user)
"""
MOVES = """
WITH former AS (
  SELECT oid FROM pg_roles
  WHERE rolname <> %(role)s AND (rolname = current_user OR shobj_description(oid, 'pg_authid') = %(mark)s)
), spaces AS (
  SELECT oid, nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), extended AS (
  SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
)
SELECT 1 AS place, format('SCHEMA %%I', nspname) AS what FROM pg_namespace n
WHERE n.nspowner IN (SELECT oid FROM former) AND n.oid IN (SELECT oid FROM spaces) AND nspname <> 'public'
  AND ('pg_namespace'::regclass, n.oid) NOT IN (SELECT classid, objid FROM extended)
UNION ALL
SELECT 2, format('%%s %%I.%%I',
  CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
    WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, s.name, c.relname)
FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
WHERE c.relowner IN (SELECT oid FROM former) AND c.relkind IN ('r', 'p', 'S', 'v', 'm', 'f', 'c')
  AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM extended)
  -- A sequence of a column goes with its table.
  AND NOT (c.relkind = 'S' AND EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
UNION ALL
SELECT 3, format('%%s %%I.%%I', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, s.name, t.typname)
FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
WHERE t.typowner IN (SELECT oid FROM former) AND t.typtype IN ('d', 'e', 'r')
  AND ('pg_type'::regclass, t.oid) NOT IN (SELECT classid, objid FROM extended)
UNION ALL
SELECT 4, format('ROUTINE %%s', p.oid::regprocedure)
FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
WHERE p.proowner IN (SELECT oid FROM former)
  AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM extended)
  -- A range type makes its own.
  AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
ORDER BY place, what
"""
"""What is to have the role for its owner, as ALTER names it: what the app made as the master user, or as another role
of ours. Schemas first, as an owner must be able to create in one."""


class RoleError(SecretError):
    """The role can't be made as it has to be. No password is in the message."""


def fetch(client: Any, machine: config.Machine, name: str) -> str:
    """The current value of one secret that the app needs; of a role's, once PostgreSQL knows it. SecretError."""
    value = environment.fetch_secret(client, machine, name)
    for database in environment.shards(machine["database"]):
        if database["secret"] == name and database.get("master_secret") and not _done(name, value):
            with _as_master(client, machine, database) as cursor:
                # Again, now that no other machine is at it: an older answer must not come last.
                value = environment.fetch_secret(client, machine, name)
                try:
                    settle(cursor, database, *environment.login(name, value))
                except psycopg2.Error as error:
                    raise _failed(database, error) from None
                _remember(name, value)
    return value


def settle(cursor: Any, database: Mapping[str, Any], user: str, password: str) -> None:
    """Have the role there, with its password, its rights and its tables. RoleError; psycopg2.Error."""
    _make(cursor, user)
    # Without the password itself, which the database's log might have.
    if not _lets_in(database, user, password):
        verifier = extensions.encrypt_password(password, user, cursor.connection, "scram-sha-256")
        _run(cursor, "ALTER ROLE {} PASSWORD {}", user, literal=verifier)
    cursor.execute("SELECT current_database()")
    here = cursor.fetchone()[0]
    # So the master user can give to it, and servers that still connect as that one reach what is the role's by then.
    cursor.execute("SELECT pg_has_role(current_user, %s, 'USAGE')", (user,))
    if not cursor.fetchone()[0]:
        cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(user)))
    _run(cursor, "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {}", here, user)
    _run(cursor, "GRANT USAGE, CREATE ON SCHEMA public TO {}", user)
    _close_others(cursor, user)
    cursor.execute(MOVES, {"role": user, "mark": MARK})
    for _, what in cursor.fetchall():
        cursor.execute(sql.SQL("ALTER {} OWNER TO {}").format(sql.SQL(what), sql.Identifier(user)))


def _make(cursor: Any, user: str) -> None:
    cursor.execute("SELECT current_user")
    if cursor.fetchone()[0] == user:
        raise RoleError(f"{user} is the master user of this database: name another role as database.appUser")
    cursor.execute(UNFIT, (user,))
    found = cursor.fetchone()
    if found is None:
        _run(cursor, "CREATE ROLE {} LOGIN NOCREATEDB NOCREATEROLE", user)
        _run(cursor, "COMMENT ON ROLE {} IS {}", user, literal=MARK)
    elif found[0]:
        raise RoleError(f"{user} is there, and may more than an app's role: name another as database.appUser")
    else:
        _run(cursor, "ALTER ROLE {} LOGIN NOCREATEDB NOCREATEROLE", user)


def _close_others(cursor: Any, user: str) -> None:
    """Keep the role out of other databases, where PostgreSQL lets everybody in; who could log in goes on to."""
    cursor.execute(OTHER_DATABASES)
    databases = [name for (name,) in cursor.fetchall()]
    cursor.execute(OTHER_LOGINS, (user,))
    logins = [name for (name,) in cursor.fetchall()]
    for database in databases:
        for login in logins:
            _run(cursor, "GRANT CONNECT ON DATABASE {} TO {}", database, login)
        _run(cursor, "REVOKE CONNECT ON DATABASE {} FROM PUBLIC", database)


def _run(cursor: Any, statement: str, *names: str, literal: str | None = None) -> None:
    values = [*map(sql.Identifier, names), *([] if literal is None else [sql.Literal(literal)])]
    cursor.execute(sql.SQL(statement).format(*values))


def _lets_in(database: Mapping[str, Any], user: str, password: str) -> bool:
    try:
        _connect(database, user, password).close()
    except psycopg2.OperationalError:
        return False
    return True


@contextmanager
def _as_master(client: Any, machine: config.Machine, database: Mapping[str, Any]) -> Generator[Any]:
    """The master user's session in the app's database, with the lock."""
    with closing(_connected(client, machine, database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            try:
                cursor.execute(f"SET lock_timeout = '{LOCK_PATIENCE}'")
                cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
                cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            except psycopg2.Error as error:
                raise _failed(database, error) from None
            yield cursor


def _connected(client: Any, machine: config.Machine, database: Mapping[str, Any]) -> Any:
    name = database["master_secret"]
    for left in reversed(range(ATTEMPTS)):
        login = environment.login(name, environment.fetch_secret(client, machine, name))
        try:
            return _connect(database, *login)
        except psycopg2.OperationalError as error:
            if not left:
                raise _failed(database, error) from None
        time.sleep(PAUSE)
    raise AssertionError


def _connect(database: Mapping[str, Any], user: str, password: str) -> Any:
    return psycopg2.connect(
        host=database["host"],
        port=database["port"],
        dbname=database["name"],
        user=user,
        password=password,
        **TLS,
        **DEAD,
        connect_timeout=CONNECT_SECONDS,
        application_name="expressway-role",
    )


def _failed(database: Mapping[str, Any], error: psycopg2.Error) -> RoleError:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return RoleError(f"the app's role at {database['host']}: {said}")


def _done(name: str, value: str) -> bool:
    return _settled().get(name) == _digest(value)


def _remember(name: str, value: str) -> None:
    paths.ROLES.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    files.write(paths.ROLES, json.dumps({**_settled(), name: _digest(value)}), SECRET)


def _settled() -> dict[str, str]:
    """By secret, the digest of the value that PostgreSQL was given since this machine booted."""
    try:
        return json.loads(paths.ROLES.read_text())
    except (OSError, ValueError):
        return {}


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
