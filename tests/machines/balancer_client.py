"""The balancer's socket as a test asks it, every count included; the reconciler's own client knows what it needs."""

import http.client
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SOCKET = Path("/run/expressway/balancer.sock")
_PATIENCE = 5.0
"""Seconds; an answer takes a millisecond."""


class ApplyError(Exception):
    """The balancer gave no good answer, or didn't take the list. What it said is the message."""


@dataclass(frozen=True, order=True)
class Entry:
    """A server as the balancer is told of it."""

    id: str
    address: str
    port: int
    max_conns: int = 0
    """Requests that it may have in flight; 0: any number."""


@dataclass(frozen=True)
class Reading:
    """A server as the balancer tells of it. Counts are totals since Nginx's start."""

    id: str
    address: str
    port: int
    in_flight: int
    requests: int
    connect_failures: int
    retries: int
    """Requests that came here after another server had failed."""
    aside_for: float
    """Seconds since a connection failed or it went silent, during which it gets no requests; 0: it gets them."""
    statuses: Mapping[str, int] = field(hash=False)
    """Answers by class: `2xx` to `5xx`."""
    seconds: float
    """How long all requests took together."""
    buckets: Mapping[str, int] = field(hash=False)
    """Requests that took at most so many seconds, as Prometheus counts them; `+Inf` has all."""


@dataclass(frozen=True)
class Route:
    """A group of paths as the balancer tells of it; as for a server, but from a request's start."""

    route: str
    own_errors: int
    """Answers of 500 and above to requests that no server was sent."""
    statuses: Mapping[str, int] = field(hash=False)
    seconds: float
    buckets: Mapping[str, int] = field(hash=False)


@dataclass(frozen=True)
class State:
    """What the balancer has."""

    servers: tuple[Reading, ...]
    leaving: tuple[Reading, ...]
    """Off the list, and with requests in flight, or gone for less than a minute."""


class Balancer:
    """The running Nginx."""

    def __init__(self, path: Path = SOCKET) -> None:
        """`path` is its socket."""
        self._path = path

    def read(self) -> State:
        """The servers and their counts. ApplyError when it can't be asked, as while Nginx restarts."""
        answer = self._ask("GET")
        return State(*(tuple(Reading(**each) for each in answer[key]) for key in ("servers", "leaving")))

    def apply(self, servers: Sequence[Entry]) -> None:
        """Have Nginx balance over these and no others, at once. ApplyError when it doesn't: then the old list stays."""
        self._ask("PUT", json.dumps({"servers": [asdict(each) for each in servers]}))

    def routes(self) -> dict[str, Route]:
        """The groups of paths by their names."""
        return {each["route"]: Route(**each) for each in self._ask("GET", path="/routes")["routes"]}

    def _ask(self, method: str, body: str | None = None, path: str = "/servers") -> Any:
        connection = _Connection(self._path)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            document = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApplyError(f"the balancer at {self._path} gives no good answer: {error}") from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ApplyError(f"the balancer refused the list: {document['error']}")
        return document


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("balancer", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
