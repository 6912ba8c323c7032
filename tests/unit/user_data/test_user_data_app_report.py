"""What an operator is told of an app server, and what is kept from them."""

import json
from pathlib import Path
from typing import Any

import pytest
from expressway_app import journal, listeners, paths
from expressway_app.report import MOST_LINES, Reporter, last
from expressway_machine import config

BUCKET = "shop-artifacts"
KEY = "reports/app/i-1.json"
PASSWORD = 'p@ss "w/ord\nsecond line'
LOG = [
    "2026-11-25T21:30:27: PM2 log: App [shop:0] starting in -cluster mode-",
    "Error: cannot find module 'x'",
    "    at Module._load",
    "",
    "2026-11-25T21:30:27: PM2 log: App [shop:0] exited with code [1] via signal [SIGINT]",
    "2026-11-25T21:30:27: PM2 log: App [shop:0] will restart in 200ms",
    "2026-11-25T21:30:28: PM2 log: App [shop:1] exited with code [0] via signal [SIGINT]",
    "2026-11-25T21:30:28: PM2 log: App [shop:0] will restart in 300ms",
    "2026-11-25T21:30:28: PM2 log: App [shop:1] will restart in 200ms",
]


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPORT", "SECRETS"):
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).name)
    monkeypatch.setattr(paths, "RELEASES", tmp_path / "releases")


@pytest.fixture
def reporter(s3: Any, app_machine: config.Machine) -> Reporter:
    return Reporter(app_machine, "i-1", s3)


def told(s3: Any) -> dict[str, Any]:
    return json.loads(s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read())


def test_a_report_says_which_release_runs_and_what_the_app_said_last(reporter: Reporter, s3: Any) -> None:
    paths.RELEASES.mkdir()
    paths.RELEASES.joinpath("current").symlink_to(paths.RELEASES / "abc123")
    reporter.write("failed", deploy="d-1", reason="it\n exits", log=[f"line {n}" for n in range(100)])
    found = told(s3)
    assert found.pop("at") > 1_700_000_000
    assert found.pop("log") == [f"line {n}" for n in range(100 - MOST_LINES, 100)]
    assert found == {
        "id": "i-1",
        "tier": "app",
        "release": "abc123",
        "deploy": "d-1",
        "state": "failed",
        "reason": "it exits",
    }
    assert last()["state"] == "failed", "the machine's other programs know it too"


def test_before_the_first_release_none_is_claimed(reporter: Reporter, s3: Any) -> None:
    reporter.write("installing", deploy=None)
    assert (told(s3)["release"], told(s3)["deploy"], told(s3)["reason"]) == (None, None, None)


@pytest.mark.parametrize(
    "line",
    [
        f"connecting with {PASSWORD}",
        "connecting to postgresql://app:p%40ss%20%22w%2Ford%0Asecond%20line@db:5432/app",
        json.dumps({"password": PASSWORD}),
        "second line",
        "token: t0ken-of-the-cache",
    ],
)
def test_no_report_holds_a_secret_in_any_form_in_which_an_app_prints_it(line: str, reporter: Reporter, s3: Any) -> None:
    secrets = {"db": json.dumps({"username": "app", "password": PASSWORD}), "cache": "t0ken-of-the-cache", "x": "a"}
    paths.SECRETS.write_text(json.dumps(secrets))
    reporter.write("failed", deploy=None, reason=f"it said: {line}", log=["an app", line])
    text = json.dumps(told(s3)) + paths.REPORT.read_text()
    for hidden in ("p@ss", "p%40ss", "second line", "t0ken"):
        assert hidden not in text
    assert told(s3)["log"][0] == "an app", "the name of a user, and a letter, are no secrets"


def test_a_report_that_cannot_be_stored_is_no_failure_and_is_stored_later(
    s3: Any, app_machine: config.Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(app_machine | {"bucket": "not-there-yet"}, "i-1", s3)
    reporter.write("ready", deploy=None)
    reporter.again()
    assert not reporter.told
    assert capsys.readouterr().out.count("can't be stored") == 1, "said once, not each time"
    s3.create_bucket(Bucket="not-there-yet")
    reporter.again()
    assert reporter.told


def test_the_apps_own_lines_are_told_from_those_of_pm2() -> None:
    assert journal.own(LOG, 10) == ["Error: cannot find module 'x'", "    at Module._load"]
    assert journal.own(LOG, 1) == ["    at Module._load"]
    ended = ["PM2: App [shop:0] exited with code [1] via signal [SIGINT]"]
    assert journal.last_words(LOG[4:6]) == ended, "better than nothing"


def test_only_ends_that_nobody_asked_for_are_crashes_and_workers_are_told_apart() -> None:
    assert journal.crashes(LOG, "shop") == 2
    assert journal.crashes(LOG, "worker") == 0, "another process of the app's"
    assert journal.crashes(LOG[:5], "shop") == 0, "a worker that is reloaded exits too"


def test_who_listens_is_read_from_the_kernels_tables(tmp_path: Path) -> None:
    import socket

    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    row = "   0: {} {} {} 00000000:00000000 00:00000000 00000000  0 0 1 1\n"
    table = tmp_path / "tcp"
    v6 = "00000000000000000000000001000000"
    table.write_text(
        head
        + row.format("0100007F:0BB8", "00000000:0000", "0A")  # 127.0.0.1:3000 listens
        + row.format("00000000:0BB9", "00000000:0000", "0A")  # another port
        + row.format("0500000A:0BB8", "0600000A:1234", "01")  # a connection
        + row.format(f"{v6}:0BB8", "00000000:0000", "0A")
    )
    assert [str(each) for each in listeners.only_local(3000, (table, tmp_path / "none"))] == ["127.0.0.1", "::1"]
    assert listeners.only_local(3001, (table,)) == []
    assert listeners.only_local(4000, (table,)) == [], "nobody listens yet"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert [str(each) for each in listeners.addresses(server.getsockname()[1])] == ["127.0.0.1"]
