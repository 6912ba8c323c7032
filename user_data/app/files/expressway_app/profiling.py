"""Have one of the app's workers take a CPU profile of itself: the socket that its processes keep a connection to.

profile.cjs is the other side. Who is here for as long as the connection is open, so a worker that ends is seen at once.
"""

import json
import os
import selectors
import shutil
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import paths
from .requests import RequestError

MOST_CONNECTIONS = 512
"""A worker for each CPU of AWS's largest machines, and what they start."""
LONGEST_HELLO = 1000
"""Bytes of what a process says of itself."""
LARGEST = 24 * 1024 * 1024
"""Bytes of a profile. One of a minute has 1 to 5 MB."""
COMING = 8.0
"""Seconds in which every process that is here has connected: each tries every five."""
LOOKED = 0.5
"""Seconds for which they are looked at, to find the busiest."""
LATE = 20.0
"""Seconds that a profile may be late: what ends it waits for its turn in the process."""


class ProfileError(RequestError):
    """There is no profile; the message says why."""


@dataclass
class Worker:
    """One of the app's processes."""

    pid: int
    """As the kernel says, not the process."""
    name: str = ""
    """PM2's name of what it belongs to; empty until it has told it."""
    id: int = -1
    """PM2's number of the worker."""
    read: bytearray = field(default_factory=bytearray)
    """Of an answer that isn't whole yet."""


class Workers:
    """The app's processes that can be asked. For one thread."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or paths.PROFILE
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        shutil.chown(path, group=paths.USER)
        path.chmod(0o660)
        self._server.listen(128)
        self._server.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._workers: dict[socket.socket, Worker] = {}
        self._asked: socket.socket | None = None
        """Of whom an answer is awaited; nobody else may say more than hello."""

    def wait(self, seconds: float) -> None:
        """Let processes come and go for so long, or until the one that was asked has answered or is gone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._answered():
            for key, _ in self._selector.select(left):
                if key.fileobj is self._server:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)

    def busiest(self, name: str) -> Worker:
        """The process of PM2's `name` that uses most CPU now. ProfileError when none is here."""
        deadline = time.monotonic() + COMING
        while not self._of(name) and time.monotonic() < deadline:
            self.wait(LOOKED)
        before = {each.pid: cpu(each.pid) for each in self._of(name)}
        self.wait(LOOKED)
        found = self._of(name)
        if not found:
            raise ProfileError(
                f"no worker of {name} is here to be profiled: the app isn't running, its workers can't load "
                "profile.cjs, or monitoring.metrics is false"
            )
        return max(found, key=lambda each: cpu(each.pid) - before.get(each.pid, cpu(each.pid)))

    def take(self, worker: Worker, seconds: float) -> str:
        """The profile of so many seconds, as the process tells it: JSON that may be anything. ProfileError."""
        who = f"worker {worker.id} (process {worker.pid})"
        connection = next((each for each, known in self._workers.items() if known is worker), None)
        if connection is None:
            raise ProfileError(f"{who} ended before it was profiled")
        worker.read, self._asked = bytearray(), connection
        try:
            connection.sendall(json.dumps({"seconds": seconds}).encode() + b"\n")
            self.wait(seconds + LATE)
            if connection not in self._workers:
                if len(worker.read) > LARGEST:
                    raise ProfileError(f"the profile has more than {LARGEST >> 20} MB: take one of fewer seconds")
                raise ProfileError(f"{who} ended while it was profiled")
            if not self._answered():
                self._hang_up(connection)  # which ends the profile that it may be taking
                raise ProfileError(f"{who} gave no profile within {LATE:.0f} s of its end: its event loop is held up")
            return worker.read.rstrip(b"\n").decode(errors="replace")
        except OSError as error:
            raise ProfileError(f"{who} ended before it was profiled") from error
        finally:
            worker.read, self._asked = bytearray(), None

    def close(self) -> None:
        """Hang up on everybody."""
        for each in (*self._workers, self._server):
            each.close()
        self._selector.close()

    def _of(self, name: str) -> list[Worker]:
        return [each for each in self._workers.values() if each.name == name]

    def _answered(self) -> bool:
        if self._asked is None:
            return False
        worker = self._workers.get(self._asked)
        return worker is None or worker.read.endswith(b"\n")

    def _accept(self) -> None:
        connection, _ = self._server.accept()
        if len(self._workers) >= MOST_CONNECTIONS:
            connection.close()
            return
        connection.setblocking(False)
        told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self._workers[connection] = Worker(pid=struct.unpack("3i", told)[0])
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        worker = self._workers[connection]
        try:
            read = connection.recv(1 << 20)
            worker.read += read
            if not worker.name and worker.read.endswith(b"\n"):
                worker.name, worker.id = _hello(worker.read)
                worker.read = bytearray()
            asked = connection is self._asked and worker.name
            gone = not read or len(worker.read) > (LARGEST if asked else LONGEST_HELLO)
        except (OSError, ValueError):
            gone = True
        if gone:
            self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._workers[connection]
        connection.close()


def _hello(line: bytearray) -> tuple[str, int]:
    told = json.loads(line)
    if not isinstance(told, dict) or not isinstance(told.get("name"), str) or not isinstance(told.get("id"), int):
        raise ValueError("no worker")
    return told["name"][:100], told["id"]


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has had; 0 for one that is gone."""
    try:
        # The command's name comes before, in brackets, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
