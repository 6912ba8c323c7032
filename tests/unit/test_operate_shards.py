"""Which of several databases a command of `expressway db` works on."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest
from test_database_tables import DATABASE
from typer.testing import CliRunner, Result

from cli import targets
from cli.main import app
from operate.database import password, status
from operate.stack import Stack

HOSTS = ["shop-database.example:5432", "shop-database-2.example:5432", "shop-database-3.example:5432"]
SECRETS = ["", "arn:second", "arn:third"]
NEEDED = {"artifactBucket": "b", "releaseParameter": "p", "appGroupName": "a", "edgeGroupName": "e"}
SHARDED = {
    "databaseEndpoint": HOSTS[0],
    "databaseEndpoints": HOSTS,
    "databasePasswordSecret": SECRETS[0],
    "databasePasswordSecrets": SECRETS,
    "databaseAppSecrets": ["arn:app-0", "arn:app-1", "arn:app-2"],
}
ALONE = {"databaseEndpoint": HOSTS[0], "databaseEndpoints": HOSTS[:1]}
COMMANDS = (
    ("failover",),
    ("snapshot",),
    ("snapshots",),
    ("restore", "--as", "copy", "--latest"),
    ("promote", "shop-replica-1", "--yes"),
    ("rotate-password", "--master"),
    ("connect",),
)


class AskedError(Exception):
    """With the stack that was worked on."""


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The outputs of the stack, of which a test may make others."""
    outputs: dict[str, Any] = {**NEEDED, **SHARDED}

    def find(*_: object) -> targets.Target:
        return targets.Target("shop", Stack.of(outputs, boto3.Session(region_name="us-east-1")), None)

    monkeypatch.setattr(targets, "find", find)
    return outputs


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["db", *words])


def worked_on(result: Result) -> Mapping[str, Any]:
    assert isinstance(result.exception, AskedError), result.output
    return result.exception.args[0].outputs


def ask(stack: Stack, *_: object) -> None:
    raise AskedError(stack)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.usefixtures("stand")
def test_of_several_databases_one_has_to_be_named(command: tuple[str, ...]) -> None:
    done = run(*command)
    assert done.exit_code == 2, done.output
    assert "the stack has shards 0 to 2" in done.stderr
    assert "--shard" in done.stderr

    wrong = run(*command[:1], "--shard", "3", *command[1:])
    assert wrong.exit_code == 2, wrong.output
    assert "there is no shard 3: the stack has shards 0 to 2" in wrong.stderr


@pytest.mark.usefixtures("stand")
def test_the_status_is_that_of_all_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [each.partition(".")[0] for each in HOSTS]

    def look(stack: Stack) -> status.Status:
        return replace(DATABASE, id=stack.outputs["databaseEndpoint"].partition(".")[0])

    monkeypatch.setattr(status, "look", look)
    done = run("status")
    assert done.exit_code == 0, done.output
    assert re.findall(r"shop-database(?:-\d)?(?=: PostgreSQL)", done.stdout) == names
    assert [each["id"] for each in json.loads(run("status", "--json").stdout)] == names
    assert json.loads(run("status", "--json", "--shard", "1").stdout)["id"] == "shop-database-2"
    assert "there is no shard 3: the stack has shards 0 to 2" in run("status", "--shard", "3").stderr


@pytest.mark.parametrize("number", range(3))
@pytest.mark.usefixtures("stand")
def test_the_one_that_is_named_is_worked_on(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(status, "look", ask)
    found = worked_on(run("status", "--shard", str(number)))
    assert found["databaseEndpoint"] == HOSTS[number]
    assert found["databasePasswordSecret"] == SECRETS[number]
    assert found["databaseAppSecrets"] == [f"arn:app-{number}"]


def test_outputs_of_before_have_no_secret_of_another_shard(
    monkeypatch: pytest.MonkeyPatch, stand: dict[str, Any]
) -> None:
    del stand["databasePasswordSecrets"], stand["databaseAppSecrets"]
    stand["databasePasswordSecret"] = "arn:first"
    monkeypatch.setattr(status, "look", ask)
    assert worked_on(run("status", "--shard", "0"))["databasePasswordSecret"] == "arn:first"
    assert worked_on(run("status", "--shard", "1"))["databasePasswordSecret"] == ""


def test_one_database_needs_no_number(monkeypatch: pytest.MonkeyPatch, stand: dict[str, Any]) -> None:
    stand.update(ALONE)
    monkeypatch.setattr(status, "look", ask)
    assert worked_on(run("status"))["databaseEndpoint"] == HOSTS[0]
    assert worked_on(run("status", "--shard", "0"))["databaseEndpoint"] == HOSTS[0]
    assert "the stack has one database, shard 0" in run("status", "--shard", "1").stderr
    del stand["databaseEndpoints"]
    assert worked_on(run("status"))["databaseEndpoint"] == HOSTS[0]


@pytest.mark.usefixtures("stand")
def test_the_role_of_the_apps_own_gets_another_password_at_every_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password, "rotate_app", ask)
    assert worked_on(run("rotate-password"))["databaseAppSecrets"] == SHARDED["databaseAppSecrets"]
    assert worked_on(run("rotate-password", "--shard", "2"))["databaseAppSecrets"] == ["arn:app-2"]
