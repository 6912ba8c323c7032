"""What `expressway logs` finds, in moto's CloudWatch Logs."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from lab.controller.database_logs import events
from operate.logs import Logs, LogsError, Query, ago
from operate.stack import Stack

ID = "0f6e3f1f2c1ce9c0a3a7b0f1d2f4a6b8"
NOW = int(time.time())
OUTPUTS = {
    "artifactBucket": "bucket",
    "releaseParameter": "pointer",
    "appGroupName": "app",
    "edgeGroupName": "edge",
    "region": "us-east-1",
    "edgeLogGroup": "shop-edge-logs",
    "appLogGroup": "shop-app-logs",
    "databaseLogGroup": "/aws/rds/instance/shop-db/postgresql",
}
LINES = [
    ("shop-edge-logs", "i-edge/access", 3.0, json.dumps({"request_id": ID, "status": 201})),
    ("shop-edge-logs", "i-edge/access", 3.0, json.dumps({"request_id": "f" * 32, "status": 200})),
    ("shop-edge-logs", "i-edge/system", 0.5, "systemd: started"),
    ("shop-app-logs", "i-app/app", 2.0, json.dumps({"message": "item created", "request_id": ID})),
    ("shop-app-logs", "i-app/boot", 0.1, "configured"),
    ("/aws/rds/instance/shop-db/postgresql", "shop-db.0", 1.0, f"LOG: insert /*request_id='{ID}'*/"),
]


@pytest.fixture
def stack() -> Iterator[Stack]:
    with mock_aws():
        logs = boto3.client("logs", region_name="us-east-1")
        for group, stream, at, message in LINES:
            for create in (
                lambda group=group: logs.create_log_group(logGroupName=group),
                lambda group=group, stream=stream: logs.create_log_stream(logGroupName=group, logStreamName=stream),
            ):
                try:
                    create()
                except logs.exceptions.ResourceAlreadyExistsException:
                    continue
            put(logs, group, stream, at, message)
        yield Stack.of(OUTPUTS, boto3.Session(region_name="us-east-1"))


def put(logs: Any, group: str, stream: str, at: float, message: str) -> None:
    event = {"timestamp": int((NOW - 10 + at) * 1000), "message": message}
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])


def found(stack: Stack, **wanted: Any) -> list[tuple[str, str, str]]:
    return [(each.tier, each.machine, each.kind) for each in Logs(stack).find(Query(NOW - 60, **wanted)).entries]


def test_a_request_is_found_in_all_tiers_in_the_order_of_time(stack: Stack) -> None:
    assert found(stack, request=ID) == [
        ("database", "shop-db", "postgresql"),
        ("app", "i-app", "app"),
        ("edge", "i-edge", "access"),
    ]


def test_lines_are_told_apart_by_tier_machine_and_kind(stack: Stack) -> None:
    assert len(found(stack)) == len(LINES)
    assert found(stack, tiers=["app"]) == [("app", "i-app", "boot"), ("app", "i-app", "app")]
    assert found(stack, machine="i-edge", kind="system") == [("edge", "i-edge", "system")]
    assert found(stack, kind="boot") == [("app", "i-app", "boot")]
    assert found(stack, machine="i-ed") == [], "a machine's name is a whole one"


def test_older_lines_are_left_out(stack: Stack) -> None:
    assert [each.kind for each in Logs(stack).find(Query(NOW - 7.5)).entries] == ["access", "access"]


def test_a_group_that_is_not_there_is_named_and_hides_nothing_else(stack: Stack) -> None:
    boto3.client("logs", region_name="us-east-1").delete_log_group(logGroupName=OUTPUTS["databaseLogGroup"])
    there = Logs(stack).find(Query(NOW - 60, request=ID))
    assert (there.missing, len(there.entries)) == (["database"], 2)


def test_all_pages_are_read(stack: Stack) -> None:
    logs = boto3.client("logs", region_name="us-east-1")
    lines = [{"timestamp": NOW * 1000, "message": f"line {each}"} for each in range(10_000)]
    for _ in range(3):
        logs.put_log_events(logGroupName="shop-app-logs", logStreamName="i-app/app", logEvents=lines)
    assert len(found(stack, tiers=["app"], kind="app")) == 30_001


def test_following_shows_each_line_once_also_one_that_comes_late(stack: Stack) -> None:
    logs, rounds = boto3.client("logs", region_name="us-east-1"), 0

    def sleep(_seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            put(logs, "shop-app-logs", "i-app/app", 2.5, "late")  # older than what the edge told

    following = Logs(stack).follow(Query(NOW - 60), sleep)
    assert len(next(following)) == len(LINES)
    assert [each.message for each in next(following)] == ["late"]
    assert next(following) == []


def test_following_goes_on_when_cloudwatch_is_away_for_a_moment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Logs(stack)
    find = there.find
    answers = iter([EndpointConnectionError(endpoint_url="https://logs")])

    def failing(query: Query) -> Any:
        for error in answers:
            raise error
        return find(query)

    monkeypatch.setattr(there, "find", failing)
    following = there.follow(Query(NOW - 60), lambda _seconds: None)
    assert next(following) == []
    assert len(next(following)) == len(LINES)


def test_a_stack_without_logs_says_how_to_have_some() -> None:
    off = {**OUTPUTS, "edgeLogGroup": "", "appLogGroup": "", "databaseLogGroup": ""}
    without = Stack.of(off, boto3.Session(region_name="us-east-1"))
    with pytest.raises(LogsError, match=r"monitoring\.logs: true"):
        Logs(without)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_an_age_has_a_unit(text: str, seconds: int) -> None:
    assert ago(text, 100_000) == 100_000 - seconds


@pytest.mark.parametrize("text", ["10", "m", "-1m", "1w", "1.5h", ""])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^" + text):
        ago(text, 0)


@pytest.fixture
def target(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find", lambda _name, _outputs: Target("shop", stack, None))


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["logs", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.usefixtures("target")
def test_the_command_prints_time_tier_machine_and_message() -> None:
    status, said, _ = run("--request", ID)
    assert status == 0
    assert [line.split()[1] for line in said.splitlines()] == ["database", "app", "edge"]
    assert f'i-edge {{"request_id": "{ID}"' in said


@pytest.mark.usefixtures("target")
def test_the_command_prints_json_lines_whose_messages_stay_json() -> None:
    status, said, _ = run("--request", ID, "--json", "--tier", "app")
    (line,) = [json.loads(each) for each in said.splitlines()]
    assert (status, line["message"]["message"], line["machine"]) == (0, "item created", "i-app")
    assert line["time"].endswith("Z")


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--request", "x" * 32), 1, f"nothing was logged of {'x' * 32} in the last 1h"),
        (("--request", 'a" b'), 2, "8 to 64 letters"),
        (("--tier", "cache"), 2, "edge, app, database"),
        (("--kind", "all"), 2, "access, app, system, boot"),
        (("--since", "soon"), 2, "as in 30s, 10m"),
    ],
)
def test_what_finds_nothing_or_is_wrong_says_so_in_one_line(arguments: tuple[str, ...], status: int, says: str) -> None:
    code, said, problem = run(*arguments)
    assert (code, said) == (status, "")
    assert says in problem
    assert len(problem.strip().splitlines()) == 1


def test_a_statement_of_several_lines_is_one_event_of_the_labs_database() -> None:
    text = (
        "2026-11-26 10:00:00 UTC:10.0.0.1(5):me@app:[7]:LOG:  statement: create\n\ttable\n"
        "2026-11-26 10:00:01 UTC::@:[1]:LOG:  ready\n"
    )
    first, second = events(text)
    assert first["message"].endswith("create\n\ttable")
    assert second["timestamp"] - first["timestamp"] == 1000
