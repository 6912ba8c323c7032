"""The socket to which the app's processes tell how they are; one is here for as long as its connection is open."""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import reports
from .reports import Process, Report

SOCKET = Path("/run/expressway-metrics/workers.sock")
"""Where measure.cjs looks for it."""
MOST_CONNECTIONS = 512
"""A worker for each CPU of AWS's largest machines, and what they start."""
_ANYBODY = 0o666
"""Whoever is on this machine, which is the app: it can tell nothing here but how it is."""


@dataclass
class _Peer:
    rest: bytes = b""
    """Of a line that isn't whole yet."""
    before: Report | None = None
    """The last report of an earlier look."""
    told: list[Report] = field(default_factory=list[Report])
    """Since the last look."""
    at: float = 0.0
    """When it told something last, by the clock that never goes back."""


class Listener:
    """Reads while it waits, in the one thread that there is."""

    def __init__(self, path: Path = SOCKET) -> None:
        path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        path.chmod(_ANYBODY)
        self._server.listen(128)
        self._server.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._peers: dict[socket.socket, _Peer] = {}

    def wait(self, until: float) -> None:
        """Read what comes until then, in seconds since the epoch."""
        while (left := until - time.time()) > 0:
            for key, _ in self._selector.select(left):
                if key.fileobj is self._server:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)

    def processes(self) -> Iterator[Process]:
        """What each process did since this was asked last. One that told nothing meanwhile is as it was."""
        now = time.monotonic()
        for peer in self._peers.values():
            told = peer.told or ([peer.before] if peer.before else [])
            if told:
                yield reports.between(peer.before, told, now - peer.at)
                peer.before, peer.told = told[-1], []

    def close(self) -> None:
        """Hang up on everybody."""
        for each in (*self._peers, self._server):
            each.close()
        self._selector.close()

    def _accept(self) -> None:
        connection, _ = self._server.accept()
        if len(self._peers) >= MOST_CONNECTIONS:
            connection.close()
            return
        connection.setblocking(False)
        self._peers[connection] = _Peer()
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        peer = self._peers[connection]
        try:
            read = connection.recv(65536)
            *lines, peer.rest = (peer.rest + read).split(b"\n")
            if lines:
                peer.told += [reports.parse(line) for line in lines]
                peer.at = time.monotonic()
            gone = not read or len(peer.rest) > reports.LONGEST
        except (OSError, ValueError):
            gone = True
        if gone:
            self._selector.unregister(connection)
            del self._peers[connection]
            connection.close()
