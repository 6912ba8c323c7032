"""The WSGI application: AWS's API by moto, RDS's trust store, and the lab's own control surface."""

import gzip
import io
import json
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from lab.api import tls
from lab.api.authorization.gate import Gate
from lab.api.changes import Changes
from lab.api.control import PREFIX, Control
from lab.api.faults import Faults

log = logging.getLogger(__name__)

READING = (
    "Describe",
    "Get",
    "List",
    "Head",
    "BatchGet",
    "AssumeRole",
    "ReceiveMessage",
    "DeleteMessage",
    "PutMetricData",
    "FilterLogEvents",
    "CreateLogStream",
    "PutLogEvents",
)
"""Begins of calls that change nothing that a machine or a group goes by."""


PACKED = ("application/x-www-form-urlencoded", "application/x-amz-json", "application/cbor")
"""Bodies that an SDK compresses when they are long, as it does with PutMetricData's from 10 KB on. Not S3's objects."""


class Application:
    """One application for both sides, plain HTTP for this host and HTTPS for the machines: same backends, same lock.

    `step` is run after each call that may have changed something, so that Auto Scaling reacts at once.
    """

    def __init__(
        self,
        changes: Changes,
        control: Control,
        gate: Gate,
        faults: Faults,
        step: Callable[[], bool],
        authority: Path | None,
    ) -> None:
        self._changes = changes
        self._gate = gate
        self._control = control
        self._faults = faults
        self._step = step
        self._authority = authority
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI."""
        _unpack(environ)
        request = Request(environ)
        machines_side = request.scheme == "https"
        if machines_side and request.path.startswith((PREFIX, "/moto-api")):
            return Response("not for machines", 403)(environ, start_response)
        if request.host.partition(":")[0] == tls.TRUSTSTORE_HOST:
            return self._truststore(request)(environ, start_response)
        with self._changes.lock:
            if request.path.startswith(PREFIX):
                return self._control(request)(environ, start_response)
            return self._aws(environ, start_response, machines_side)

    def _aws(self, environ: dict[str, Any], start_response: Any, machines_side: bool) -> Iterable[bytes]:
        reading = _reads(environ)
        started = time.monotonic()
        try:
            verdict = self._gate.check(environ, machines_side=machines_side)
            if verdict.refusal is not None:
                return verdict.refusal(environ, start_response)
            if machines_side and (failing := self._faults.answer(_action(environ))):
                return failing(environ, start_response)
            answer = self._answer(environ, start_response, verdict.instead_of_missing)
        except Exception as error:
            # moto's own failures would be bare HTML pages, that no SDK can show.
            log.exception("%s %s failed in moto", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return _failure(environ, error)(environ, start_response)
        log.debug("%s %s %.0f ms", environ["REQUEST_METHOD"], _action(environ), 1000 * (time.monotonic() - started))
        if not reading:
            self._changes.record()
            self._step()
        return answer

    def _answer(
        self, environ: dict[str, Any], start_response: Any, instead_of_missing: Response | None
    ) -> Iterable[bytes]:
        if instead_of_missing is None:
            return self._moto(environ, start_response)
        answer = Response.from_app(self._moto, environ)
        return (instead_of_missing if answer.status_code == 404 else answer)(environ, start_response)

    def _truststore(self, request: Request) -> Response:
        if self._authority is None or request.path != "/global/global-bundle.pem":
            return Response("not found", 404)
        return Response((self._authority / tls.CERTIFICATE).read_bytes(), content_type="application/x-pem-file")


def _unpack(environ: dict[str, Any]) -> None:
    if environ.get("HTTP_CONTENT_ENCODING") != "gzip" or not environ.get("CONTENT_TYPE", "").startswith(PACKED):
        return
    body = gzip.decompress(environ["wsgi.input"].read())
    del environ["HTTP_CONTENT_ENCODING"]
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def _action(environ: dict[str, Any]) -> str:
    """The API call's name: in a header for JSON protocols, in the form for query ones, else the HTTP method (S3)."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return target.rpartition(".")[2]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"]
        form = parse_qs(body.read().decode())
        body.seek(0)
        return form.get("Action", [""])[0]
    return environ["REQUEST_METHOD"].capitalize()


def _reads(environ: dict[str, Any]) -> bool:
    return _action(environ).startswith(READING)


def _failure(environ: dict[str, Any], error: Exception) -> Response:
    """The error as the caller's SDK reads it: JSON for JSON protocols, XML in both of AWS's shapes for the others."""
    unsupported = isinstance(error, NotImplementedError)
    code, status = ("NotImplemented", 501) if unsupported else ("InternalFailure", 500)
    message = f"The lab's API does not support this: {error}" if unsupported else f"{type(error).__name__}: {error}"
    if "json" in environ.get("CONTENT_TYPE", ""):
        body = json.dumps({"__type": code, "message": message})
        return Response(body, status=status, content_type="application/x-amz-json-1.1")
    inner = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    xml = f"<Response><Errors><Error>{inner}</Error></Errors><Error>{inner}</Error></Response>"
    return Response(xml, status=status, content_type="text/xml")
