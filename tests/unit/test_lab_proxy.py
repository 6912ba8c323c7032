"""What runs on an RDS Proxy's machine: PgBouncer's configuration, and the program that has clients wait."""

import subprocess
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from lab.machines.services import holding, proxy
from lab.machines.services.holding import Holder
from tests.unit.test_lab_services import config, files

CONFIGURATION: dict[str, Any] = {
    "database": {"host": "main.c0.us-east-1.rds.amazonaws.com", "port": 5433},
    "connections": 54,
    "borrow_seconds": 20,
    "idle_seconds": 1800,
    "require_tls": True,
}


def settings(**other: Any) -> dict[str, str]:
    lines = proxy.pgbouncer_ini(CONFIGURATION | other).splitlines()
    return dict(line.split(" = ", 1) for line in lines if " = " in line)


def test_it_takes_the_connections_that_it_may_have_and_no_more() -> None:
    told = settings()
    assert {told[name] for name in ("default_pool_size", "max_db_connections", "max_user_connections")} == {"54"}
    assert (told["query_wait_timeout"], told["client_idle_timeout"]) == ("20", "1800")
    assert settings(connections=1)["min_pool_size"] == "1", "an idle one has no more either"


def test_both_sides_speak_tls_and_the_database_shows_who_it_is() -> None:
    told = settings()
    assert (told["client_tls_sslmode"], told["server_tls_sslmode"]) == ("require", "verify-full")
    assert settings(require_tls=False)["client_tls_sslmode"] == "allow"


def test_it_leads_to_the_database_by_its_name() -> None:
    assert settings()["*"] == "host=main.c0.us-east-1.rds.amazonaws.com port=5433"
    assert "*" not in settings(database=None), "to none that it has no target for"


def test_passwords_are_given_on_the_standard_input_and_read_as_they_are() -> None:
    logins = {"app": 'it"s "one"', "own er": "x y"}
    command, given = proxy.apply(CONFIGURATION, logins)
    assert "it" not in " ".join(command).split(proxy.pgbouncer_ini(CONFIGURATION))[1]
    assert holding.logins(given) == logins
    with pytest.raises(ValueError, match="several lines") as raised:
        proxy.apply(CONFIGURATION, {"app": "one\ntwo"})
    assert "one" not in str(raised.value)


def test_what_is_told_is_complete_before_pgbouncer_reads_it(tmp_path: Path) -> None:
    command, given = proxy.apply(CONFIGURATION, {"app": "first"})
    calls = tmp_path / "calls"
    for name in ("chown", "systemctl"):
        stand_in = tmp_path / "bin" / name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f'#!/bin/sh\necho {name} "$@" "$(cat users.txt 2>/dev/null)" >> {calls}\n')
        stand_in.chmod(0o755)
    place = tmp_path / "pgbouncer"
    place.mkdir()
    script = command[2].replace("/etc/pgbouncer", str(place))
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    for _ in range(2):
        subprocess.run(
            ["sh", "-c", script, *command[3:]], input=given, text=True, check=True, env=environment, cwd=tmp_path
        )
    reload = 'systemctl reload-or-restart pgbouncer.service "app" "first"'
    assert calls.read_text().splitlines().count(reload) == 2
    assert (place / "pgbouncer.ini").read_text() == proxy.pgbouncer_ini(CONFIGURATION)
    assert (place / "users.txt").stat().st_mode & 0o777 == 0o600


def test_its_machine_begins_with_a_certificate_and_the_program_and_with_no_login() -> None:
    written = files(proxy.user_data("CERT", "KEY"))
    assert written["/etc/pgbouncer/server.key"]["permissions"] == "0600"
    assert written["/usr/local/lib/lab/holding.py"]["content"] == Path(holding.__file__).read_text()
    assert "/etc/pgbouncer/users.txt" not in written
    assert "enable pgbouncer.service lab-holding.service" in config(proxy.user_data("CERT", "KEY"))["runcmd"][0][2]


class World:
    """PgBouncer and a database that is there, or not."""

    def __init__(self) -> None:
        self.there, self.done = True, list[str]()
        self.holder = Holder(
            lambda name: self.done.append(f"pause {name}"), lambda name: self.done.append(f"resume {name}"), self.takes
        )

    def takes(self, name: str, user: str) -> bool:
        self.done.append(f"try {name} as {user}")
        return self.there

    def look(self, *pools: dict[str, Any]) -> list[str]:
        self.done = []
        self.holder.look(pools)
        return self.done


def pool(name: str = "app", user: str = "owner", **counts: int) -> dict[str, Any]:
    columns = dict.fromkeys((*holding.CONNECTED, *holding.WAITING, "sv_login"), 0)
    return {"database": name, "user": user, **columns, **counts}


def test_clients_wait_from_when_the_last_connection_is_lost_until_the_database_takes_one() -> None:
    world = World()
    assert world.look(pool(cl_active=3, sv_idle=1)) == []
    world.there = False
    assert world.look(pool(cl_active=3)) == ["pause app", "try app as owner"]
    assert world.look(pool(cl_waiting=3)) == ["try app as owner"], "once paused, it is tried only"
    world.there = True
    assert world.look(pool(cl_waiting=3)) == ["try app as owner", "resume app"]
    assert world.look(pool(cl_waiting=3)) == [], "it has made no connection yet, and makes none while it is paused"
    assert world.look(pool(cl_active=3, sv_active=1)) == []
    assert world.look(pool(cl_active=3))[0] == "pause app", "the next outage"


def test_nobody_is_held_who_wants_nothing_or_while_a_connection_is_being_made() -> None:
    assert World().look(pool()) == [], "an idle proxy closes its connections"
    assert World().look(pool(cl_waiting=1, sv_login=1)) == []
    assert World().look(pool("pgbouncer", "pgbouncer", cl_active=1)) == [], "its console"


def test_a_database_that_one_user_is_connected_to_is_there() -> None:
    assert World().look(pool(cl_active=1, sv_idle=1), pool(user="master", cl_active=1)) == []
    assert World().look(pool("one", cl_active=1, sv_idle=1), pool("two", cl_active=1))[0] == "pause two"


def test_a_user_whom_the_database_refuses_keeps_no_other_waiting() -> None:
    world = World()
    world.takes = world.holder.takes = lambda name, user: user == "app"
    done = world.look(pool(user="master", cl_waiting=1), pool(user="app", cl_waiting=1))
    assert done == ["pause app", "resume app"]


@pytest.mark.parametrize(
    ("words", "waits"),
    [
        ('FATAL:  database "nobody" does not exist', False),
        ('FATAL:  permission denied for database "app"', False),
        ("FATAL:  the database system is starting up", True),
        ('FATAL:  password authentication failed for user "app"', True),
        ("Connection refused", True),
    ],
)
def test_nobody_waits_for_what_will_not_come(
    words: str, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise psycopg2.OperationalError(words)

    monkeypatch.setattr(holding.psycopg2, "connect", connect)
    monkeypatch.setattr(holding, "CONFIGURATION", tmp_path / "ini")
    monkeypatch.setattr(holding, "USERS", tmp_path / "users")
    (tmp_path / "ini").write_text(proxy.pgbouncer_ini(CONFIGURATION))
    (tmp_path / "users").write_text(proxy.users({"app": "password"}))
    assert holding.takes("app", "app") is not waits


def test_one_that_cannot_be_reached_or_has_no_login_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "CONFIGURATION", tmp_path / "ini")
    monkeypatch.setattr(holding, "USERS", tmp_path / "users")
    nowhere = CONFIGURATION | {"database": {"host": "127.0.0.1", "port": 1}}
    (tmp_path / "ini").write_text(proxy.pgbouncer_ini(nowhere))
    (tmp_path / "users").write_text(proxy.users({"owner": "password"}))
    assert not holding.takes("app", "owner")
    assert not holding.takes("app", "somebody else")
    (tmp_path / "ini").write_text(proxy.pgbouncer_ini(CONFIGURATION | {"database": None}))
    assert not holding.takes("app", "owner")
