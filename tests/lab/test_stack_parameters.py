"""The database's parameters and memory, on its machine."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.aws import Aws
from lab.config import read
from lab.machines.services import postgresql
from lab.prove import breaking
from tests.lab.stack import Stack, expressway

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

HELD = "from pg_locks natural join pg_stat_activity where locktype = 'advisory' and objid = 77"
HOLD = """
import pg from "pg";
const client = new pg.Client(process.env.DATABASE_URL);
await client.connect();
await client.query("begin");
await client.query("select pg_advisory_xact_lock(77)");
setInterval(() => {}, 1_000);
"""
HOLDER = "test-holder"
MINE = {"work_mem": "immediate", "max_connections": "pending-reboot"}


class Database:
    """The stack's database, by RDS's API and by its own words."""

    def __init__(self, stack: Stack) -> None:
        lab = read()
        assert lab, "the lab has no configuration"
        self._stack, self._rds = stack, Aws(lab.endpoint, lab.region)("rds")
        self.machine = stack.machines("database")[0]["id"]
        self.name, self.group = self.found["DBInstanceIdentifier"], self._group["DBParameterGroupName"]

    @property
    def found(self) -> Any:
        return self._rds.describe_db_instances()["DBInstances"][0]

    @property
    def _group(self) -> Any:
        return self.found["DBParameterGroups"][0]

    @property
    def status(self) -> str:
        return self._group["ParameterApplyStatus"]

    def ask(self, statement: str) -> str:
        done = self._stack.shell(self.machine, *postgresql.questions(5432), f"--command={statement}")
        return done.stdout.strip()

    def change(self, **values: str) -> None:
        asked: list[Any] = [
            {"ParameterName": name, "ParameterValue": value, "ApplyMethod": MINE[name]}
            for name, value in values.items()
        ]
        self._rds.modify_db_parameter_group(DBParameterGroupName=self.group, Parameters=asked)

    def reboot(self) -> None:
        self._rds.reboot_db_instance(DBInstanceIdentifier=self.name)
        wait(lambda: (self.found["DBInstanceStatus"], self.status) == ("available", "in-sync"))

    def reset(self) -> None:
        asked: list[Any] = [{"ParameterName": name, "ApplyMethod": method} for name, method in MINE.items()]
        self._rds.reset_db_parameter_group(DBParameterGroupName=self.group, Parameters=asked)
        self.reboot()


@pytest.fixture
def database(stack: Stack) -> Iterator[Database]:
    made = Database(stack)
    yield made
    made.reset()


def wait(done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.2)


def test_a_dynamic_parameter_counts_without_a_restart_and_a_static_one_from_a_reboot_on(
    stack: Stack, database: Database
) -> None:
    def since() -> str:
        return database.ask("select pg_postmaster_start_time()")

    began, before = since(), database.ask("show max_connections")
    database.change(work_mem="8192", max_connections="60")
    wait(lambda: database.status == "pending-reboot")
    assert (database.ask("show work_mem"), database.ask("show max_connections")) == ("8MB", before)
    assert since() == began, "nobody has restarted it"
    assert "wait for a reboot" in expressway("db", "status").stdout
    database.reboot()
    assert (database.ask("show work_mem"), database.ask("show max_connections")) == ("8MB", "60")
    assert since() != began
    assert stack.get("/items").status_code == 200


def test_a_databases_machine_has_the_memory_of_its_class(stack: Stack) -> None:
    machine = stack.machines("database")[0]["id"]

    def take(mebibytes: int) -> int:
        program = f"x = bytearray({mebibytes} * 2**20)"
        return stack.shell(machine, "systemd-run", "--quiet", "--wait", "/usr/bin/python3", "-c", program).returncode

    assert take(100) == 0
    assert take(1100) != 0, "a db.t4g.micro has a gibibyte"
    assert stack.get("/items").status_code == 200


def test_what_a_server_without_power_had_locked_is_free_after_half_a_minute(stack: Stack) -> None:
    """RDS's own parameters leave it locked for 5 minutes, until the transaction has been idle for too long."""
    database, server = Database(stack), stack.machines("app")[0]
    unit = (
        "--property=EnvironmentFile=/run/expressway/app.env",
        "--working-directory=/srv/releases/current/app",
    )
    node = ("/opt/expressway/runtime/current/bin/node", "--input-type=module", f"--eval={HOLD}")
    stack.shell(server["id"], "systemd-run", f"--unit={HOLDER}", *unit, *node)
    try:
        wait(lambda: database.ask(f"select count(*) {HELD}") == "1")
        with breaking.connection_cut(server["address"], int(database.ask(f"select client_port {HELD}"))):
            began = time.monotonic()
            wait(lambda: database.ask(f"select count(*) {HELD}") == "0", 45)
            took = time.monotonic() - began
    finally:
        stack.shell(server["id"], "systemctl", "stop", HOLDER)
    assert 15 < took < 40, f"{took:.0f} s: a cut of 10 s is to be got over"
