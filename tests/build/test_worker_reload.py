"""Workers that get another environment: real PM2, as it runs on an app server."""

import contextlib
import getpass
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from expressway_app import paths, pm2, reload

from artifact import cache
from artifact.runtime import tools

ROOT = Path(__file__).resolve().parents[2]
KIT = ROOT / "app/kit/index.js"
UNIT = ROOT / "user_data/app/files/units/expressway-app.service"

SERVER = """
import { existsSync } from "node:fs";
import { serve } from "KIT";
if (existsSync("broken")) process.exit(1);
const { SECRET, NODE_APP_INSTANCE } = process.env;
serve((_request, response) => response.end(JSON.stringify({ SECRET, worker: NODE_APP_INSTANCE, pid: process.pid })), {
  ready: async () => {
    if (SECRET === "useless") throw new Error("refused");
  },
});
"""


class App:
    """An app under PM2, in a folder of its own; its first secret is `one`."""

    def __init__(self, folder: Path, runtime: Path, mode: str) -> None:
        self.runtime = runtime
        self.port = _free_port()
        self.app = {"port": self.port, "readiness_path": "/readyz"}
        self.broken = folder / "release/app/broken"
        """While this exists, the app exits at each start."""
        home = self.broken.parent
        home.mkdir(parents=True)
        (home / "server.mjs").write_text(SERVER.replace("KIT", str(KIT)))
        (home / "package.json").write_text('{"name": "shop", "scripts": {"start": "node server.mjs"}}')
        start = {"mode": mode, "script": "server.mjs", "args": [], "npm_script": "start"}
        manifest = {"name": "shop", "wait_ready": True, "start": start}
        ecosystem = folder / "ecosystem.json"
        ecosystem.write_text(pm2.ecosystem(manifest, folder / "release", runtime, 2, 2**31))
        environment = {
            "PATH": f"{runtime}/bin:{os.environ['PATH']}",
            "PM2_HOME": str(paths.PM2_HOME),
            "HOME": str(folder),
            "PORT": str(self.port),
            "SECRET": "one",
        }
        (started,) = re.findall(
            r"^ExecStart=\S+/bin/node \S+/lib/(\S+) start \S+ (.+)$", UNIT.read_text(), re.MULTILINE
        )
        program, options = runtime / "lib" / started[0], started[1].split()
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(runtime / "bin/node"), str(program), "start", str(ecosystem), *options],
                env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until the app answers."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, HTTPException):
                if self.ask("/readyz")[0] == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"the app isn't ready: {self.log.read_text()}")

    def await_log(self, pattern: str) -> None:
        """Wait until PM2 or the app has said what matches."""
        deadline = time.monotonic() + 60
        while not re.search(pattern, self.log.read_text()):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def ask(self, path: str = "/") -> tuple[int, Any]:
        """Status and answer, on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def secrets(self) -> dict[str, str]:
        """The secret of each worker that answers, by its number."""
        answers = [self.ask()[1] for _ in range(12)]
        return {answer.get("worker", "0"): answer["SECRET"] for answer in answers}

    def reload(self, secret: str) -> None:
        """What the follower does when the secret is another one."""
        reload.workers({"SECRET": secret, "PORT": str(self.port)}, self.app, self.runtime)

    def stop(self) -> None:
        """End PM2 and its workers."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


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
    app = App(tmp_path, runtime, request.param)
    yield app
    app.stop()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


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


def test_workers_that_exit_at_each_start_are_started_ever_more_slowly_and_by_the_same_pm2(app: App) -> None:
    app.broken.touch()
    _kill_workers(app)
    app.await_log(r"will restart in [3-9]\d{3}ms")
    assert app.process.poll() is None
    assert "application online" not in app.log.read_text(), "PM2 would end, and begin with the shortest pause again"

    app.broken.unlink()
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


def _kill_workers(app: App) -> None:
    for pid in {app.ask()[1]["pid"] for _ in range(12)}:
        os.kill(pid, signal.SIGKILL)


def _bytes(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""
