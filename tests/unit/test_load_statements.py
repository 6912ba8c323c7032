"""The slowest statements of a step, out of what app servers logged."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from operate.load.model import Statement
from operate.load.statements import Statements, added_up

GROUP = "shop-app-logs"
BEGAN = time.time() // 60 * 60 - 600
"""CloudWatch takes no lines that are weeks old."""
SLOW, QUICK = "SELECT * FROM orders WHERE note LIKE $1", "SELECT $1"


def line(slow: tuple[int, float, float], quick: tuple[int, float, float] | None = None) -> str:
    told = [
        {"text": text, "calls": calls, "milliseconds": milliseconds, "share": share}
        for text, (calls, milliseconds, share) in ((SLOW, slow), *([(QUICK, quick)] if quick else []))
    ]
    return f"expressway-statements: {json.dumps({'statements': told})}"


def event(machine: str, message: str) -> dict[str, Any]:
    return {"logStreamName": f"{machine}/system", "message": message}


@pytest.fixture
def logs() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("logs", region_name="us-east-1")
        client.create_log_group(logGroupName=GROUP)
        yield client


def put(logs: Any, stream: str, *events: tuple[float, str]) -> None:
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    told = [{"timestamp": int(at * 1000), "message": message} for at, message in events]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=told)


def test_periods_are_added_up_with_shares_of_all_statements() -> None:
    found = added_up([event("i-1", line((10, 900.0, 0.9), (50, 50.0, 0.05))), event("i-1", line((30, 300.0, 0.3)))])
    assert found == (Statement(SLOW, 40, 1200.0, 0.6), Statement(QUICK, 50, 50.0, 0.025))


def test_each_app_server_tells_of_the_whole_database_and_counts_once() -> None:
    two = [event(machine, line((10, 900.0, 0.9))) for machine in ("i-1", "i-2", "i-1", "i-2")]
    assert added_up(two) == (Statement(SLOW, 20, 1800.0, 0.9),)


@pytest.mark.parametrize(
    "message", ["", "expressway-statements: {", 'expressway-statements: {"statements": 3}', "more"]
)
def test_a_line_that_is_another_one_says_nothing(message: str) -> None:
    assert added_up([event("i-1", message)]) == ()


def test_lines_of_the_periods_within_a_step_are_read(logs: Any) -> None:
    put(
        logs,
        "i-1/system",
        (BEGAN + 0.1, line((1, 1.0, 1.0))),  # of the ten seconds before
        (BEGAN + 10.1, line((10, 100.0, 0.5))),
        (BEGAN + 15.0, "sshd: expressway is here"),
        (BEGAN + 20.1, line((20, 300.0, 0.5))),
        (BEGAN + 30.1, line((1000, 1000.0, 1.0))),  # and after
    )
    assert Statements(logs, GROUP).between(BEGAN, BEGAN + 20) == (Statement(SLOW, 30, 400.0, 0.5),)


def test_without_a_group_there_are_none(logs: Any) -> None:
    assert Statements(logs, "another").between(BEGAN, BEGAN + 20) == ()
