"""A stand-in for an APM vendor's backend: it records what it is sent, and answers as that does, badly or not at all."""

import gzip
import json
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_UNZSTD = "process.stdout.write(require('zlib').zstdDecompressSync(require('fs').readFileSync(0)))"


@dataclass(frozen=True)
class Sent:
    """One request."""

    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes
    """Unpacked."""

    @property
    def query(self) -> dict[str, str]:
        """Of the path."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


class Backend:
    """At `url`, while it is open. `status` is what it answers with; None takes requests and never answers."""

    def __init__(self, folder: Path, runtime: Path, *, tls: bool) -> None:
        self.sent: list[Sent] = []
        self.status: int | None = 200
        self.authority = folder / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        self._server = _Server(("127.0.0.1", 0), _handler(self, runtime))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://localhost:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Nobody listens there any more."""
        self.status = 503  # whoever waits is let go
        self._server.shutdown()
        self._server.server_close()

    def wait(self, found: Callable[[list[Sent]], object], seconds: float = 60) -> None:
        """Return once `found` is true of what was sent."""
        deadline = time.monotonic() + seconds
        while not found(self.sent):
            assert time.monotonic() < deadline, [(each.path, each.body[:300]) for each in self.sent]
            time.sleep(0.2)

    def spans(self) -> list[tuple[dict[str, str], str, dict[str, str]]]:
        """OTLP's: attributes of the resource, the span's name, its attributes."""
        found: list[tuple[dict[str, str], str, dict[str, str]]] = []
        for each in self.sent:
            if urlsplit(each.path).path == "/v1/traces":
                message = ExportTraceServiceRequest.FromString(each.body)
                for resource in message.resource_spans:
                    about = _attributes(resource.resource.attributes)
                    spans = [span for scope in resource.scope_spans for span in scope.spans]
                    found += [(about, span.name, _attributes(span.attributes)) for span in spans]
        return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is no error here."""


def _attributes(given: Any) -> dict[str, str]:
    return {each.key: each.value.string_value or str(each.value.int_value) for each in given}


def _unpacked(body: bytes, coding: str, runtime: Path) -> bytes:
    if coding == "gzip":
        return gzip.decompress(body)
    if coding == "deflate":
        return zlib.decompress(body)
    if coding == "zstd":
        command = [str(runtime / "bin/node"), "-e", _UNZSTD]
        return subprocess.run(command, input=body, capture_output=True, check=True).stdout
    return body


def _answer(sent: Sent, port: int) -> bytes:
    """What a vendor's backend says to a request that it takes."""
    if sent.path.startswith("/agent_listener"):
        method = sent.query["method"]
        run = {"agent_run_id": "1", "request_headers_map": {}, "data_report_period": 5}
        # Every 5 s in place of every minute: the collector may ask for that.
        limits = {"analytic_event_data": 600, "span_event_data": 5000, "error_event_data": 10}
        run["event_harvest_config"] = {"report_period_ms": 5000, "harvest_limits": limits}
        run["span_event_harvest_config"] = {"report_period_ms": 5000, "harvest_limit": 5000}
        said = {"preconnect": {"redirect_host": f"localhost:{port}"}, "connect": run}
        return json.dumps({"return_value": said.get(method)}).encode()
    return b"" if sent.path.startswith("/v1/traces") else b"{}"


def _handler(backend: Backend, runtime: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body(headers)
            while backend.status is None:
                time.sleep(0.1)
            answer = b"no"
            if backend.status == 200:
                sent = Sent(self.path, headers, _unpacked(body, headers.get("content-encoding", ""), runtime))
                backend.sent.append(sent)
                answer = _answer(sent, backend.port)
            self.send_response(backend.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_PUT = do_POST  # noqa: N815 (http.server's own)

        def _body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's own)
            """Nothing is said."""

    return Handler
