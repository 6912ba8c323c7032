"""Workers that get another environment: real PM2, as it runs on an app server."""

import contextlib
import getpass
import os
import signal
import threading
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest
from expressway_app import paths, reload

from artifact import cache
from artifact.runtime import tools
from tests.build.pm2_app import App

SERVER = """
import { appendFileSync, existsSync } from "node:fs";
import { serve } from "KIT";
if (existsSync("broken")) process.exit(1);
const { SECRET, NODE_APP_INSTANCE } = process.env;
const note = (what) => appendFileSync("notes", `${what}\\n`);
note("began");
process.on("exit", () => note("ended"));
serve((_request, response) => response.end(JSON.stringify({ SECRET, worker: NODE_APP_INSTANCE, pid: process.pid })), {
  ready: async () => {
    if (SECRET === "useless") throw new Error("refused");
  },
});
"""


@pytest.fixture(scope="module")
def runtime() -> Path:
    """Node and PM2, unpacked; the user's cache keeps them."""
    return tools(24, cache.root(), lambda _message: None).root


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "USER", getpass.getuser())
    monkeypatch.setattr(paths, "PM2_HOME", tmp_path / "pm2")
    monkeypatch.setattr(paths, "HOME", tmp_path)


@pytest.fixture(params=["cluster"])
def app(request: pytest.FixtureRequest, tmp_path: Path, runtime: Path) -> Iterator[App]:
    app = App(tmp_path, runtime, request.param, SERVER, {"SECRET": "one"})
    yield app
    app.stop()


def test_every_worker_gets_the_new_secret_and_no_request_fails_meanwhile(app: App) -> None:
    failed: list[str] = []
    seen: list[tuple[str, str]] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            try:
                _, answer = app.ask()
                seen.append((answer["worker"], answer["SECRET"]))
            except (OSError, HTTPException) as error:
                failed.append(repr(error))

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    app.reload("two")
    done.set()
    for client in clients:
        client.join()

    assert failed == [], f"of {len(seen)} requests"
    assert app.secrets() == {"0": "two", "1": "two"}
    first_of_last = seen.index(("1", "two")) if ("1", "two") in seen else len(seen)
    assert ("0", "two") in seen[:first_of_last], "one after the other: the second began when the first had its secret"


def test_a_secret_with_which_workers_do_not_get_ready_reaches_one_of_them_only(app: App) -> None:
    with pytest.raises(reload.ReloadError, match="worker 0 isn't ready with the new environment"):
        app.reload("useless")
    assert app.secrets()["1"] == "one", "the others go on with what they have"

    app.reload("two")
    assert app.secrets() == {"0": "two", "1": "two"}, "and the next try mends it"


def test_where_nobody_asks_workers_are_reloaded_two_at_a_time_and_what_fails_is_mended_by_the_next(app: App) -> None:
    notes = app.home / "notes"
    while notes.read_text().split() != ["began"] * 2:
        app.ask()
    app.reload("two", parallel=2)
    assert app.secrets() == {"0": "two", "1": "two"}
    assert notes.read_text().split()[2:] == ["began", "began", "ended", "ended"]

    with pytest.raises(reload.ReloadError, match="worker 0 or 1 isn't ready with the new environment"):
        app.reload("useless", parallel=2)
    app.reload("three", parallel=2)
    assert app.secrets() == {"0": "three", "1": "three"}


def test_workers_that_exit_at_each_start_are_started_ever_more_slowly_and_by_the_same_pm2(app: App) -> None:
    broken = app.home / "broken"
    broken.touch()
    for pid in {app.ask()[1]["pid"] for _ in range(12)}:
        os.kill(pid, signal.SIGKILL)
    app.await_log(r"will restart in [3-9]\d{3}ms")
    assert app.process.poll() is None
    assert "application online" not in app.log.read_text(), "PM2 would end, and begin with the shortest pause again"

    broken.unlink()
    app.reload("two")
    assert app.secrets() == {"0": "two", "1": "two"}, "what they wait for is not waited for"


@pytest.mark.parametrize("app", ["fork"], indirect=True)
def test_a_single_process_is_started_anew(app: App) -> None:
    before = app.ask()[1]["pid"]
    app.reload("two")
    assert app.secrets() == {"0": "two"}
    assert app.ask()[1]["pid"] != before


def test_without_pm2_nothing_is_reloaded_and_none_is_started(tmp_path: Path, runtime: Path) -> None:
    paths.PM2_HOME.mkdir()
    with pytest.raises(reload.ReloadError, match="PM2 isn't running"):
        reload.workers({"SECRET": "two"}, {"port": 1, "readiness_path": "/"}, runtime)
    mine = f"PM2_HOME={paths.PM2_HOME}".encode()
    started = [path for path in Path("/proc").glob("[0-9]*/environ") if mine in _bytes(path)]
    assert started == [], "it would be in the way of the service's own"


def _bytes(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""
