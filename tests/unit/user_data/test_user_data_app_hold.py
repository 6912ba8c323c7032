"""Whether requests wait while a database is away: what PgBouncer is told, and when."""

import json
from pathlib import Path
from typing import Any

import pytest
from expressway_app import hold, paths, pool
from expressway_app.hold import Console, Holder, HoldError, Pool

UP, LOST, TRIED = Pool(2, 0), Pool(0, 0), Pool(0, 1)


class World:
    """PgBouncer and the databases behind it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.there: set[str] = set()
        self.holder = Holder(self._tell("pause"), self._tell("resume"), self._takes, lambda said: None)

    def _tell(self, what: str) -> Any:
        return lambda name: self.done.append((what, name))

    def _takes(self, name: str) -> bool:
        self.done.append(("try", name))
        return name in self.there

    def look(self, now: float, **pools: Pool) -> list[tuple[str, ...]]:
        """What one look led to."""
        self.done = []
        self.holder.look(pools, now)
        return self.done


def test_a_pool_with_connections_is_left_alone() -> None:
    world = World()
    assert world.look(0, app=UP) == []
    assert world.look(1, app=Pool(0, 1)) == [], "requests wait for the one that is being made"
    assert world.look(2) == [], "nobody has asked for anything yet"


def test_requests_are_held_from_the_last_connection_lost_to_the_first_that_the_database_takes() -> None:
    world = World()
    assert world.look(0, app=LOST) == [("pause", "app")], "at once: whoever comes while it is tried would be refused"
    assert world.look(0.1, app=LOST) == [("try", "app")]
    world.there.add("app")
    assert world.look(3, app=LOST) == [("try", "app"), ("resume", "app")]
    assert world.look(3.1, app=LOST) == [], "paused again, it would never make the one that the database now takes"
    assert world.look(3.2, app=TRIED) == []
    assert world.look(3.3, app=UP) == []
    assert world.look(9, app=LOST) == [("pause", "app")], "the next outage"


def test_a_database_that_stays_away_makes_requests_fail_at_once_again() -> None:
    world = World()
    world.look(0, app=LOST)
    assert world.look(hold.HELD - 0.1, app=LOST) == [("try", "app")]
    assert world.look(hold.HELD, app=LOST) == [("try", "app"), ("resume", "app")]
    for now in (hold.HELD + 0.1, hold.HELD + 60, hold.HELD + 600):
        assert world.look(now, app=LOST) == [], "once for each outage, or requests would pile up again"
    assert world.look(700, app=UP) == []
    assert world.look(701, app=LOST) == [("pause", "app")]


def test_nobody_waits_longer_than_pgbouncer_lets_them() -> None:
    longest = float(str(pool.SETTINGS["query_wait_timeout"]))
    assert longest > hold.HELD + 2 * hold.PATIENCE


class Answers(Console):
    """A console with these rows."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        self.asked: list[str] = []
        self._rows = rows

    def ask(self, command: str) -> list[dict[str, Any]]:
        self.asked.append(command)
        return self._rows.get(command.replace(" ", "_"), [])


def row(database: str, **counts: int) -> dict[str, Any]:
    return {"database": database} | dict.fromkeys([*hold.CONNECTED, hold.CONNECTING], 0) | counts


def test_pools_are_those_that_requests_wait_for_whatever_their_connections_do() -> None:
    console = Answers(SHOW_POOLS=[row("app", sv_active=1, sv_used=1, sv_login=1), row("pgbouncer"), row("replica")])
    assert console.pools({"app"}) == {"app": Pool(2, 1)}, "what a replica is asked, another server answers"


def test_one_that_starts_or_ends_releases_what_another_has_held() -> None:
    console = Answers(SHOW_DATABASES=[{"name": "app", "paused": 1}, {"name": "replica", "paused": 0}])
    console.resume_all()
    assert console.asked == ["SHOW DATABASES", 'RESUME "app"'], "PgBouncer refuses it for one that isn't paused"


def test_a_database_is_tried_with_the_password_of_this_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "POOL_HELD", tmp_path / "hold.json")
    assert not hold.takes("app"), "nobody has said how"
    tried: list[dict[str, Any]] = []

    def connect(**how: Any) -> Any:
        tried.append(how)
        raise HoldError("silent")

    monkeypatch.setattr(hold.psycopg2, "connect", connect)
    for password in ("first", "second"):
        paths.POOL_HELD.write_text(json.dumps({"databases": {"app": {"host": "db.internal", "password": password}}}))
        assert not hold.takes("app")
    assert [each["password"] for each in tried] == ["first", "second"]
    assert all(each["connect_timeout"] == 2 for each in tried)
