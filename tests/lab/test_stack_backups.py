"""The database as it was: at a time, and in a snapshot, with what it had then."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lab.aws import Aws
from lab.config import read
from lab.machines.services import postgresql
from tests.lab.stack import Stack, expressway

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

LOOK = "select json_agg(json_build_array(id, name) order by id) from items"
COPIES = ("as-it-was", "as-in-the-snapshot")
SNAPSHOT = "after-the-mistake"


@pytest.fixture
def rds(stack: Stack) -> Iterator[Any]:
    lab = read()
    assert lab, "the lab has no configuration"
    client, before = Aws(lab.endpoint, lab.region)("rds"), len(stack.status["machines"])
    yield client
    for each in client.describe_db_instances()["DBInstances"]:
        if each["DBInstanceIdentifier"] in COPIES:
            client.delete_db_instance(DBInstanceIdentifier=each["DBInstanceIdentifier"], SkipFinalSnapshot=True)
    client.delete_db_snapshot(DBSnapshotIdentifier=SNAPSHOT)
    stack.refresh()
    stack.await_machines(before)


def ask(stack: Stack, machine: str, statement: str) -> str:
    done = stack.shell(machine, *postgresql.questions(5432), "--dbname=app", f"--command={statement}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def command(*arguments: str) -> None:
    done = expressway("db", *arguments)
    assert done.returncode == 0, done.stderr


def test_a_database_is_had_as_it_was_at_a_time_and_in_a_snapshot(stack: Stack, rds: Any) -> None:
    live = stack.machines("database")[0]["id"]
    (name,) = [each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]]
    for number in range(20):
        assert stack.request("POST", "/items", json={"name": f"kept-{number}"}).status_code == 201
    time.sleep(1.1)
    at, then = datetime.now(UTC).replace(microsecond=0), ask(stack, live, LOOK)
    time.sleep(1.1)
    ask(stack, live, "delete from items where name like 'kept-%'")
    command("snapshot", SNAPSHOT)
    after = ask(stack, live, LOOK)
    assert stack.request("POST", "/items", json={"name": "later"}).status_code == 201
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        latest = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0].get("LatestRestorableTime")
        if latest and latest > at:
            break
        time.sleep(0.5)
    command("restore", "--as", COPIES[0], "--time", at.isoformat())
    command("restore", "--as", COPIES[1], "--snapshot", SNAPSHOT)
    found = [ask(stack, f"db-{copy}", LOOK) for copy in COPIES]
    assert found == [then, after]
    assert sum(item.startswith("kept-") for _, item in json.loads(then)) == 20
    assert "kept-" not in after
    assert stack.get("/items").status_code == 200
