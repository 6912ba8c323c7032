"""An app under real PM2, as it runs on an app server."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from expressway_app import paths, pm2, reload

from tests.paths import ROOT

KIT = ROOT / "app/kit/index.js"
FILES = ROOT / "user_data/app/files"
UNIT = FILES / "units/expressway-app.service"


class App:
    """An app under PM2, in a folder of its own; `server` is its program, in which KIT is the kit's path."""

    def __init__(self, folder: Path, runtime: Path, mode: str, server: str, variables: Mapping[str, str]) -> None:
        home = folder / "release/app"
        home.mkdir(parents=True, exist_ok=True)
        (home / "server.mjs").write_text(server.replace("KIT", str(KIT)))
        (home / "package.json").write_text('{"name": "shop", "scripts": {"start": "node server.mjs"}}')
        start = {"mode": mode, "script": "server.mjs", "args": [], "npm_script": "start"}
        self.run(folder, runtime, {"name": "shop", "wait_ready": True, "start": start}, variables)

    def run(self, folder: Path, runtime: Path, manifest: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        """Start what is in `folder`/release, and wait until it answers."""
        self.runtime = runtime
        self.port = free_port()
        self.app = {"port": self.port, "readiness_path": "/readyz"}
        self.home = folder / "release/app"
        """Where the app runs."""
        ecosystem = folder / "ecosystem.json"
        ecosystem.write_text(pm2.ecosystem(manifest, folder / "release", runtime, 2, 2**31))
        environment = {
            "PATH": f"{runtime}/bin:{os.environ['PATH']}",
            "PM2_HOME": str(paths.PM2_HOME),
            "HOME": str(folder),
            "PORT": str(self.port),
            **variables,
        }
        (started,) = re.findall(
            rf"^ExecStart=\S+/bin/node --require={paths.BUNDLE}/(\S+) \S+/lib/(\S+) start \S+ (.+)$",
            UNIT.read_text(),
            re.MULTILINE,
        )
        loaded, program, options = FILES / started[0], runtime / "lib" / started[1], started[2].split()
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(runtime / "bin/node"), f"--require={loaded}", str(program), "start", str(ecosystem), *options],
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

    def reload(self, secret: str, parallel: int = 1) -> None:
        """What the follower does when the secret is another one."""
        reload.workers({"SECRET": secret, "PORT": str(self.port)}, self.app, self.runtime, parallel=parallel)

    def stop(self) -> None:
        """End PM2 and its workers."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def await_end(stranger: socket.socket, wait: Callable[[], None]) -> None:
    """Wait until the other side, which works while `wait` does, has hung up without a word."""
    stranger.settimeout(0.1)
    deadline = time.monotonic() + 20
    with contextlib.suppress(ConnectionResetError):
        while True:
            wait()
            try:
                assert stranger.recv(1) == b""
                return
            except TimeoutError:
                assert time.monotonic() < deadline, "it is listened to"


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
