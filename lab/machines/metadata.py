"""The instance metadata service (IMDS): what an EC2 machine reads at http://169.254.169.254 about itself.

It listens on an address of the lab's, to which the lab's network rewrites machines' calls to AWS's. It knows a machine
by its source address and speaks both versions, as EC2's does: IMDSv2 with session tokens, and plain IMDSv1 requests
only where the instance's options leave tokens optional. Not emulated: the hop limit (no router lies between a machine
of the lab and the service) and the signatures of the identity document.

Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
import socketserver
import struct
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Final, cast

from lab.network import addresses

from .instance import InstanceMetadata, Leaf, Tree, tree

ADDRESS: Final = (str(addresses.METADATA_SERVER), 80)
"""Where the service listens."""

MAX_TOKEN_SECONDS: Final = 21600
"""The longest life of a session token: six hours."""

VERSIONS: Final = ("1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
"""The versions that `GET /` lists. Every dated one serves the same tree."""

Lookup = Callable[[str], InstanceMetadata | None]
"""Whose address is this? None when it is nobody's (yet)."""

_TTL: Final = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN: Final = "X-aws-ec2-metadata-token"  # noqa: S105 - a header's name
_VERSION: Final = re.compile(r"latest|1\.0|\d{4}-\d\d-\d\d")

log = logging.getLogger(__name__)


class Tokens:
    """Session tokens. They carry their own expiry and a keyed hash, so none is stored; each is good for one address."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def issue(self, address: str, seconds: int) -> str:
        """A token for the machine at `address`, good for `seconds`."""
        expiry = struct.pack(">d", self._clock() + seconds)
        return base64.urlsafe_b64encode(expiry + self._sign(address, expiry)).decode()

    def valid(self, address: str, token: str) -> bool:
        """Whether `token` was issued to `address` and has not expired."""
        try:
            raw = base64.urlsafe_b64decode(token)
        except (binascii.Error, ValueError):
            return False
        expiry, signature = raw[:8], raw[8:]
        if not hmac.compare_digest(signature, self._sign(address, expiry)):
            return False
        return self._clock() < struct.unpack(">d", expiry)[0]

    def _sign(self, address: str, expiry: bytes) -> bytes:
        return hmac.digest(self._key, expiry + address.encode(), hashlib.sha256)


class MetadataServer(socketserver.ThreadingTCPServer):
    """The service on `address` (host, port). `serve_forever()` runs it, `shutdown()` and `server_close()` end it."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, lookup: Lookup, address: tuple[str, int] = ADDRESS, tokens: Tokens | None = None) -> None:
        self.lookup = lookup
        self.tokens = tokens or Tokens()
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what broke; the client sees a closed connection and tries again."""
        log.exception("metadata: the request of %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    server_version = "EC2ws"
    sys_version = ""
    timeout = 10

    def do_PUT(self) -> None:
        if self.path != "/latest/api/token":
            self._answer(HTTPStatus.NOT_FOUND)
        elif "X-Forwarded-For" in self.headers:
            # EC2 refuses tokens to whatever an open proxy on the machine forwards.
            self._answer(HTTPStatus.FORBIDDEN)
        elif (seconds := _seconds(self.headers.get(_TTL, ""))) is None:
            self._answer(HTTPStatus.BAD_REQUEST)
        else:
            token = self._server.tokens.issue(self._peer, seconds)
            self._answer(HTTPStatus.OK, token.encode(), {_TTL: str(seconds)})

    def do_GET(self) -> None:
        machine = self._server.lookup(self._peer)
        if machine is None:
            # Not "not found": clients take that for an answer, and this machine will be known in a moment.
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if not self._authorized(machine):
            self._answer(HTTPStatus.UNAUTHORIZED)
        elif (found := find(machine, self.path)) is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self._answer(HTTPStatus.OK, found)

    def _authorized(self, machine: InstanceMetadata) -> bool:
        token = self.headers.get(_TOKEN)
        return not machine.tokens_required if token is None else self._server.tokens.valid(self._peer, token)

    @property
    def _server(self) -> MetadataServer:
        return cast("MetadataServer", self.server)

    @property
    def _peer(self) -> str:
        return self.client_address[0]

    def _answer(self, status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        log.debug("%s %s", self._peer, format % args)


def find(machine: InstanceMetadata, path: str) -> bytes | None:
    """What a GET of `path` answers for `machine`: a value or the listing of a directory; None if neither."""
    version, *names = [part for part in path.partition("?")[0].split("/") if part] or [""]
    if not version:
        return "\n".join(VERSIONS).encode()
    if not _VERSION.fullmatch(version):
        return None
    node: Leaf | Tree = tree(machine)
    for name in names:
        if not isinstance(node, Mapping) or name not in node:
            return None
        node = node[name]
    if isinstance(node, Mapping):
        return _listing(node).encode()
    if isinstance(node, bytes):
        return node
    return (node if isinstance(node, str) else node()).encode()


def _listing(directory: Tree) -> str:
    # EC2 marks directories with a slash, except a role's name, which clients take as it stands: it is a value here too.
    return "\n".join(f"{name}/" if isinstance(node, Mapping) else name for name, node in directory.items())


def _seconds(text: str) -> int | None:
    """A token's life as the client asked for it; None when it is no number from 1 to six hours."""
    return int(text) if text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_TOKEN_SECONDS else None
