"""What the reconciler meets, on this host: machines on loopback addresses, a balancer, an API in trouble."""

import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.paths import ROOT

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from reconciler.__main__ import run
machine, instance_id, socket, state = sys.argv[1:]
asyncio.run(run(json.loads(machine), instance_id, Path(socket), Path(state)))
"""
EDGE = "i-00000000000edge00"


class Balancer(socketserver.ThreadingUnixStreamServer):
    """Nginx's side of the socket: keeps the last good list, and counts what the test says."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.servers: list[dict[str, Any]] = []
        self.in_flight: dict[str, int] = {}
        self.lists: list[tuple[float, frozenset[str]]] = []
        super().__init__(str(path), _Socket)

    @property
    def ids(self) -> frozenset[str]:
        """Who gets requests."""
        return frozenset(each["id"] for each in self.servers)

    def take(self, servers: list[dict[str, Any]]) -> None:
        """Use another list."""
        self.servers = servers
        self.lists.append((time.monotonic(), self.ids))

    def state(self) -> dict[str, Any]:
        """What it tells of itself."""
        counters = {
            "requests": 0,
            "connect_failures": 0,
            "aside_for": 0,
            "statuses": {"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0},
            "seconds": 0.0,
            "buckets": {"+Inf": 0},
        }
        there = [
            {key: each[key] for key in ("id", "address", "port")}
            | counters
            | {"in_flight": self.in_flight.get(each["id"], 0)}
            for each in self.servers
        ]
        gone = [
            {"id": each, "address": "127.0.0.1", "port": 1} | counters | {"in_flight": count}
            for each, count in self.in_flight.items()
            if each not in self.ids
        ]
        return {"servers": there, "leaving": gone}


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def address_string(self) -> str:
        return "somebody"

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Socket(_Quiet):
    def do_GET(self) -> None:
        balancer = self.server
        assert isinstance(balancer, Balancer)
        self.reply(200, json.dumps(balancer.state()).encode())

    def do_PUT(self) -> None:
        balancer = self.server
        assert isinstance(balancer, Balancer)
        balancer.take(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["servers"])
        self.reply(200, b'{"applied": 1}')


class Machine:
    """An app on a loopback address, ready or not; `stop` leaves a port that refuses."""

    def __init__(self, address: str, port: int, ready: bool = True) -> None:
        self.ready = ready
        self.ready_at: float | None = None
        machine = self

        class Handler(_Quiet):
            def do_GET(self) -> None:
                if machine.ready and machine.ready_at is None:
                    machine.ready_at = time.monotonic()
                self.reply(200 if machine.ready else 503, b"")

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Whoever asks may hang up at any moment."""

        self._server = Server((address, port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more."""
        self._server.shutdown()
        self._server.server_close()


class Trouble(ThreadingHTTPServer):
    """The API behind a proxy that can be told to fail: `mode` is pass, down, throttled, empty or garbage."""

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        self.mode = "pass"
        self.endpoint = endpoint
        self.asked = 0
        super().__init__(("127.0.0.1", 0), _Proxy)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        """Where the reconciler asks."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """The reconciler may be killed at any moment."""


class _Proxy(_Quiet):
    def _forward(self) -> None:
        trouble = self.server
        assert isinstance(trouble, Trouble)
        trouble.asked += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if trouble.mode == "down":
            self.close_connection = True
            return
        if trouble.mode == "throttled":
            error = "<Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
            self.reply(400, f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>".encode())
            return
        if trouble.mode == "garbage":
            self.reply(200, b"<html>Bad gateway</html")
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(self.command, trouble.endpoint + self.path, headers=headers, data=body, timeout=20)
        content = answer.content
        if trouble.mode == "empty":
            content = re.sub(rb"<Instances>.*?</Instances>", b"<Instances/>", content, flags=re.DOTALL)
            content = re.sub(rb"<reservationSet>.*</reservationSet>", b"<reservationSet/>", content, flags=re.DOTALL)
        self.reply(answer.status_code, content, {"Content-Type": answer.headers.get("Content-Type", "text/xml")})

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815


class Process:
    """The reconciler itself."""

    def __init__(self, directory: Path, endpoint: str, machine: dict[str, Any], credentials: dict[str, str]) -> None:
        self.state = directory / "reconciler.json"
        self.log = directory / "reconciler.log"
        folders = [str(ROOT / "user_data" / tier / "files") for tier in ("edge", "common")]
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(folders),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_CONFIG_FILE": "/dev/null",
            **credentials,
        }
        paths = [str(directory / "balancer.sock"), str(self.state)]
        self._command = [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(machine), EDGE, *paths]
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """As systemd does."""
        with self.log.open("a") as log:
            self.running = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """At once, as kill -9 does."""
        assert self.running
        assert self.running.poll() is None, self.log.read_text()
        self.running.send_signal(signal.SIGKILL)
        self.running.wait(10)

    def published(self) -> dict[str, Any]:
        """What it tells of itself; nothing yet at first."""
        return json.loads(self.state.read_text()) if self.state.exists() else {"error": "nothing is told yet"}


@contextmanager
def listening(path: Path) -> Generator[Balancer]:
    """A balancer on its socket."""
    with Balancer(path) as balancer:
        threading.Thread(target=balancer.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield balancer
        balancer.shutdown()
