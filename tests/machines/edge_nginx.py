"""The edge's own Nginx, Debian's, with the configuration that machines get: in its image's files, without a machine."""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expressway_edge import nginx

from lab import images
from lab.machines import image, recipe
from tests.machines import balancer_client as upstream
from tests.machines.network_namespaces import own_network
from tests.paths import ROOT

TEMPLATES = ROOT / "user_data/edge/files/nginx"
APP = Path(__file__).with_name("edge_app.py")
DEBIAN_13 = (1, 26, 3)
URL = "http://127.0.0.1:80"
MACHINE: dict[str, Any] = {"max_body_size": "1m", "certificate": None, "trusted_proxies": []}


@dataclass
class Edge:
    """Nginx over `root`, and the app servers that a test starts."""

    root: Path
    master: "subprocess.Popen[bytes] | None" = None
    apps: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def balancer(self) -> upstream.Balancer:
        """Its socket."""
        return upstream.Balancer(self.root / upstream.SOCKET.relative_to("/"))

    def start(self) -> None:
        """Nginx, as systemd starts it; back once it answers."""
        (self.root / upstream.SOCKET.relative_to("/")).unlink(missing_ok=True)
        self.master = subprocess.Popen(["chroot", str(self.root), "nginx", "-g", "daemon off;"])
        eventually(lambda: self.request("/") is not None, "Nginx answers")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End Nginx and its workers."""
        if self.master:
            left = self.workers()
            self.master.send_signal(how)
            self.master.wait()
            for worker in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Process ids."""
        assert self.master
        found = subprocess.run(
            ["pgrep", "--parent", str(self.master.pid)], capture_output=True, text=True, check=False
        ).stdout
        return [int(each) for each in found.split()]

    def serve(self, *numbers: int) -> list[upstream.Entry]:
        """App servers that run; the list of them."""
        entries = [entry(number) for number in numbers]
        for each in entries:
            if each.id not in self.apps:
                self.apps[each.id] = subprocess.Popen(
                    [sys.executable, "-S", str(APP), each.address, str(each.port)], stdout=subprocess.PIPE
                )
                stdout = self.apps[each.id].stdout
                assert stdout
                assert stdout.readline() == b"ready\n", f"{each.id} doesn't start"
        return entries

    def signal(self, number: int, how: signal.Signals) -> None:
        """Kill, stop or continue an app server."""
        self.apps[f"i-{number}"].send_signal(how)

    def end(self, number: int) -> None:
        """Kill an app server, whose port then refuses connections."""
        process = self.apps.pop(f"i-{number}")
        process.kill()
        process.communicate()

    def request(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, str] | None:
        """Status and body of one request; None when there was no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
        try:
            connection.request(method, path, body=b"x" if method == "POST" else None, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def reading(self, number: int) -> upstream.Reading:
        """What the balancer tells of a server."""
        state = self.balancer.read()
        return next(each for each in (*state.servers, *state.leaving) if each.id == f"i-{number}")


def entry(number: int, max_conns: int = 0) -> upstream.Entry:
    """An app server by its number."""
    return upstream.Entry(f"i-{number}", f"127.0.1.{number}", 3000, max_conns)


def eventually(true: Any, what: str, seconds: float = 20) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def edge_nginx(directory: Path, machine: dict[str, Any] = MACHINE) -> Generator[Edge]:
    """Nginx and a network of its own, until the end of the body."""
    built = image.ensure([recipe.edge(images.packages("edge"))], lambda _: contextlib.nullcontext())
    root = directory / "root"
    with own_network(), _overlay(built["expressway-edge"].layers, directory, root):
        _configure(root, machine)
        edge = Edge(root)
        try:
            edge.start()
            yield edge
        finally:
            edge.stop()
            for process in edge.apps.values():
                process.kill()
                process.communicate()


@contextlib.contextmanager
def _overlay(layers: Sequence[Path], directory: Path, root: Path) -> Generator[None]:
    for each in ("upper", "work", "root"):
        (directory / each).mkdir()
    lower = ":".join(map(str, layers))
    options = f"lowerdir={lower},upperdir={directory}/upper,workdir={directory}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def _configure(root: Path, machine: dict[str, Any]) -> None:
    """What `expressway_edge.nginx.install` and systemd do on a machine."""
    etc = root / "etc/nginx"
    shutil.copytree(TEMPLATES.parent / "balancer", etc / "expressway/balancer")
    for each in TEMPLATES.glob("*.conf"):
        shutil.copy(each, etc / "expressway")
    (etc / "nginx.conf").write_text(nginx.render(TEMPLATES, machine, DEBIAN_13))
    (root / upstream.SOCKET.relative_to("/")).parent.mkdir(parents=True, mode=0o700)
    (root / nginx.SERVERS.relative_to("/")).parent.mkdir(parents=True)
    subprocess.run(["chroot", str(root), "chown", "www-data:", str(nginx.SERVERS.parent)], check=True)
