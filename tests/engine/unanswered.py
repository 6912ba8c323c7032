"""The API behind a proxy that keeps one answer back: a thing is there, and the engine does not know it yet."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

from typing_extensions import override

from tests.plan.lab_api_server import ApiServer

CHUNK = 65536


class Unanswered(ThreadingTCPServer):
    """Hands all through but the answer to the first request with `call` in it; `reached` is set when that is there."""

    daemon_threads = True

    def __init__(self, port: int, call: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = ("127.0.0.1", port)
        self.call = call.encode()
        self.reached = threading.Event()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what this is for."""


class _Connection(BaseRequestHandler):
    """One client. It sends no second request before it has the answer to the first."""

    @override
    def handle(self) -> None:
        assert isinstance(self.server, Unanswered)
        self._proxy, self._asked = self.server, False
        with socket.create_connection(self._proxy.upstream) as upstream:
            asking = threading.Thread(target=self._ask, args=(upstream,), daemon=True)
            asking.start()
            while answer := upstream.recv(CHUNK):
                if self._asked and not self._proxy.reached.is_set():
                    self._proxy.reached.set()
                    asking.join()  # until the client is gone
                    return
                self.request.sendall(answer)

    def _ask(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while question := self.request.recv(CHUNK):
                self._asked = self._asked or self._proxy.call in question
                upstream.sendall(question)
            upstream.shutdown(socket.SHUT_WR)


@contextmanager
def unanswered(api: ApiServer, call: str) -> Generator[Unanswered]:
    """Such a proxy before `api`."""
    with Unanswered(api.port, call) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
