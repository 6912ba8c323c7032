"""Connections that PM2 handed to a worker which died: real Node and PM2, as on an app server."""

import getpass
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from expressway_app import paths

from artifact import cache
from artifact.runtime import NODE_VERSIONS, tools
from tests.build.pm2_app import App

SERVER = """
import { appendFileSync } from "node:fs";
import { serve } from "KIT";
const { pid, execArgv } = process;
serve((request, response) => {
  if (request.method === "POST") appendFileSync("posts", `${request.url}\\n`);
  response.end(JSON.stringify({ pid, execArgv }));
});
"""
WORKERS = 2
PATIENCE = 20
"""Seconds for an answer."""


@pytest.fixture(params=NODE_VERSIONS)
def app(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setattr(paths, "USER", getpass.getuser())
    monkeypatch.setattr(paths, "PM2_HOME", tmp_path / "pm2")
    runtime = tools(request.param, cache.root(), lambda _message: None).root
    app = App(tmp_path, runtime, "cluster", SERVER, {})
    yield app
    app.stop()


def test_what_was_handed_to_a_killed_worker_is_answered_by_another_once(app: App) -> None:
    for round_ in range(3):
        first, *_ = _workers(app)
        os.kill(first, signal.SIGSTOP)
        asked = [_ask(app, "POST", f"/{round_}/{number}") for number in range(2 * WORKERS)]
        waiting = _without_an_answer([one for one in asked if one])
        assert len(waiting) == 1, "the stopped worker was handed one, and the others got the rest"

        os.kill(first, signal.SIGKILL)
        late = _answer(waiting[0])
        assert isinstance(late, dict), late
        assert late["pid"] != first
    posts = (app.home / "posts").read_text().split()
    assert sorted(posts) == [f"/{round_}/{number}" for round_ in range(3) for number in range(2 * WORKERS)]


def test_it_waits_where_all_others_are_busy(app: App) -> None:
    for _ in range(3):
        workers = _workers(app)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        asked = [_ask(app, "GET", "/") for _ in workers]
        assert [_answer(one, 0.5) for one in asked] == ["nothing"] * WORKERS

        os.kill(workers[0], signal.SIGKILL)
        time.sleep(0.1)
        os.kill(workers[1], signal.SIGCONT)
        answers = [_answer(one) for one in asked]
        assert all(isinstance(answer, dict) for answer in answers), answers


def test_when_all_workers_are_killed_no_connection_stays_open(app: App) -> None:
    workers = _workers(app)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    # One for each worker, and one that waits in PM2 until one of them is free.
    asked = [_ask(app, "GET", "/") for _ in range(WORKERS + 1)]
    assert [_answer(one, 0.5) for one in asked] == ["nothing"] * (WORKERS + 1)

    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert "nothing" not in [_answer(one) for one in asked]
    assert len(_workers(app)) == WORKERS, "and those in their place are handed connections"


def test_workers_do_not_load_what_pm2_does(app: App) -> None:
    assert app.ask()[1]["execArgv"] == []


def _workers(app: App) -> list[int]:
    """The numbers of the processes that answer, once all do."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found: set[int] = set()
        for _ in range(4 * WORKERS):
            answer = _answer(_ask(app, "GET", "/"))
            if isinstance(answer, dict):
                found.add(answer["pid"])
        if len(found) == WORKERS:
            return sorted(found)
        time.sleep(0.2)
    raise AssertionError(f"not every worker answers: {app.log.read_text()}")


def _ask(app: App, method: str, path: str) -> socket.socket | None:
    """A connection of its own with a request on it; None where nobody listens."""
    try:
        connection = socket.create_connection(("127.0.0.1", app.port), 5)
    except ConnectionRefusedError:
        return None
    head = f"{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def _without_an_answer(asked: list[socket.socket]) -> list[socket.socket]:
    """Those on which nothing comes, a second after it has on all others but one."""
    waiting, deadline = asked, time.monotonic() + 60
    while len(waiting) > 1 and time.monotonic() < deadline:
        heard, _, _ = select.select(waiting, [], [], 1)
        waiting = [one for one in waiting if one not in heard]
    heard, _, _ = select.select(waiting, [], [], 1)
    for one in asked:
        if one in heard or one not in waiting:
            _answer(one)
    return [one for one in waiting if one not in heard]


def _answer(connection: socket.socket | None, seconds: float = PATIENCE) -> Any:
    """What the app answered; "closed" when the connection ended without; "nothing" after so many seconds of silence."""
    if connection is None:
        return "closed"
    connection.settimeout(seconds)
    got = b""
    try:
        while part := connection.recv(4096):
            got += part
    except TimeoutError:
        return "nothing"
    except ConnectionResetError:
        pass
    connection.close()
    return json.loads(got.partition(b"\r\n\r\n")[2]) if got else "closed"
