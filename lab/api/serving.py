"""HTTP and HTTPS servers for one WSGI application, with keep-alive."""

import io
import ssl
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from typing_extensions import override
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.test import run_wsgi_app

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

HANDSHAKE_SECONDS = 10.0
BODILESS = (204, 304)


class Handler(MotoRequestHandler):
    """One connection. Werkzeug's own closes it after each answer; SDKs that ask every second deserve keep-alive."""

    protocol_version = "HTTP/1.1"
    timeout = 75  # seconds of an idle connection; longer than SDKs keep theirs
    wbufsize = -1  # head and body in one segment: else Nagle's algorithm costs 40 ms an answer
    disable_nagle_algorithm = True

    @override
    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        environ = self.make_environ()
        length = environ.get("CONTENT_LENGTH")
        # Read to its end before the application runs: what it left unread would be taken for the next request.
        body = environ["wsgi.input"].read(int(length)) if length else b""
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
            environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            chunks, status, headers = run_wsgi_app(self.server.app, environ)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self.send_error(500)
            return
        self._answer(status, headers, chunks, head=environ["REQUEST_METHOD"] == "HEAD")

    def _answer(self, status: str, headers: Any, chunks: Iterable[bytes], *, head: bool) -> None:
        code, _, phrase = status.partition(" ")
        bodiless = head or int(code) in BODILESS
        if "content-length" not in headers and not bodiless:
            chunks = [b"".join(chunks)]
            headers["Content-Length"] = str(len(chunks[0]))
        self.send_response(int(code), phrase)
        for name, value in headers:
            if name.lower() not in ("server", "date"):  # send_response has written these
                self.send_header(name, value)
        self.end_headers()
        if not bodiless:
            for chunk in chunks:
                self.wfile.write(chunk)
        if close := getattr(chunks, "close", None):
            close()
        self.wfile.flush()

    @override
    def handle_expect_100(self) -> bool:
        return True  # run_wsgi does, for each version of the protocol

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    @override
    def log(self, type: str, message: str, *args: object) -> None:
        pass


class Server(ThreadedWSGIServer):
    """Plain HTTP, or HTTPS with a certificate and its key."""

    def __init__(self, address: str, port: int, app: Application, tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(address, port, app, Handler)
        # Not given to werkzeug, which would shake hands in the accepting thread; but it tells the application "https".
        self.ssl_context = _context(*tls) if tls else None

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # The handshake belongs to the connection's thread: a silent client must not hold up the others.
        if self.ssl_context:
            try:
                request.settimeout(HANDSHAKE_SECONDS)
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except OSError:
                request.close()
                return
        super().process_request_thread(request, client_address)

    def start(self) -> None:
        """Serve in a thread of its own until the process ends."""
        threading.Thread(target=self.serve_forever, name=f"serve {self.host}:{self.port}", daemon=True).start()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
