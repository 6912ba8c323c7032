"""What there is to be seen on this machine: Nginx's counts and connections, the state of reconciler and certificate."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar

from reconciler.health import FAILURES_TO_FALL
from reconciler.upstream import Balancer

STATUS = ("127.0.0.1", 8082)
"""Where Nginx tells its connections."""
STATE = Path("/run/expressway/reconciler.json")
STATE_SECONDS = 10.0
"""What the reconciler says of servers counts for so long: it says it each second."""
CERTIFICATE = Path("/run/expressway-certificate/status.json")
DAY = 86_400.0
TIMEOUT = 2.0
"""Seconds. Nginx answers in a millisecond, or is not there."""

_Seen = TypeVar("_Seen")
CONFIGURATION = Path("/etc/nginx/nginx.conf")
_COUNTS = re.compile(
    r"Active connections: (\d+)\s+server accepts handled requests\s+(\d+) (\d+) \d+"
    r"\s+Reading: (\d+) Writing: (\d+) Waiting: (\d+)"
)
_WORKERS = re.compile(r"^\s*worker_processes\s+(\w+);", re.MULTILINE)
_CONNECTIONS = re.compile(r"^\s*worker_connections\s+(\d+);", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """How the edge is now; empty, or None, is what can't be said."""

    servers: Mapping[str, Mapping[str, Any]]
    """Nginx's counts by server, those included that have just left."""
    listed: int | None
    """Servers that get requests."""
    routes: Mapping[str, Mapping[str, Any]]
    """Nginx's counts by route."""
    connections: Mapping[str, int]
    """`active`, of which some are `reading`, `writing` or `waiting`; `dropped`, for want of more, since it started."""
    list_age: float | None
    """Seconds since AWS last said who is in the group."""
    unhealthy: int | None
    """Servers that AWS has in service and whose probes fail."""
    certificate_days: float | None
    """Until the certificate in use expires; below 0 once it has."""
    most: int | None = None
    """Connections that Nginx can have, to clients and servers together."""

    def or_last(self, last: "Seen | None") -> "Seen":
        """With the counts of `last` for those that Nginx was too busy to tell, so that the next look misses nothing."""
        if last is None:
            return self
        told = self.listed is not None
        return replace(
            self,
            servers=self.servers if told else last.servers,
            listed=self.listed if told else last.listed,
            routes=self.routes or last.routes,
            connections=self.connections or last.connections,
        )


def observe(now: float, balancer: Balancer) -> Seen:
    """Look; `now` in seconds since the epoch."""
    traffic = _unless(OSError, balancer.read)
    routes = _unless(OSError, balancer.routes)
    return Seen(
        servers=traffic.counters if traffic else {},
        listed=len(traffic.servers) if traffic else None,
        routes={each["route"]: each for each in routes or ()},
        connections=_unless(OSError, _ask_connections) or {},
        most=_unless(OSError, lambda: most_connections(CONFIGURATION.read_text(), os.cpu_count() or 1)),
        list_age=_unless(OSError, lambda: list_age(STATE.read_text(), now)),
        unhealthy=_unless(OSError, lambda: unhealthy(STATE.read_text(), now)),
        certificate_days=_unless(OSError, lambda: certificate_days(CERTIFICATE.read_text(), now)),
    )


def connections(status: str) -> dict[str, int]:
    """The connections that a page of stub_status tells of; none when it isn't one."""
    found = _COUNTS.search(status)
    if not found:
        return {}
    active, accepted, handled, reading, writing, waiting = map(int, found.groups())
    busy = {"active": active, "reading": reading, "writing": writing, "waiting": waiting}
    # What Nginx accepts and doesn't handle, it closes at once: its connections are all in use.
    return {**busy, "dropped": accepted - handled}


def most_connections(configuration: str, cpus: int) -> int | None:
    """Of all workers together, as Nginx's configuration says; None when it doesn't."""
    workers, connections = _WORKERS.search(configuration), _CONNECTIONS.search(configuration)
    if not workers or not connections:
        return None
    return int(connections[1]) * (cpus if workers[1] == "auto" else int(workers[1]))


def list_age(state: str, now: float) -> float | None:
    """The age of the last good answer in the reconciler's state; None when there was none."""
    try:
        answered = json.loads(state)["last_answer_at"]
    except (ValueError, KeyError, TypeError):
        return None
    return max(0.0, now - answered) if isinstance(answered, (int, float)) else None


def unhealthy(state: str, now: float) -> int | None:
    """How many servers fail by the reconciler's state; None when that is too old to say."""
    try:
        found = json.loads(state)
        if now - found["updated_at"] > STATE_SECONDS:
            return None
        return sum(
            each["lifecycle"] == "InService" and each["failed_probes"] >= FAILURES_TO_FALL for each in found["members"]
        )
    except (ValueError, KeyError, TypeError):
        return None


def certificate_days(status: str, now: float) -> float | None:
    """How long the certificate in the keeper's status is still good; None where there is none."""
    try:
        return (datetime.fromisoformat(json.loads(status)["not_after"]).timestamp() - now) / DAY
    except (ValueError, KeyError, TypeError):
        return None


def _ask_connections() -> dict[str, int]:
    connection = HTTPConnection(*STATUS, timeout=TIMEOUT)
    try:
        connection.request("GET", "/nginx_status")
        return connections(connection.getresponse().read().decode())
    except HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def _unless(problem: type[Exception], look: Callable[[], _Seen]) -> _Seen | None:
    """What `look` sees; None with that problem, which the reconciler or the health watch tells of."""
    try:
        return look()
    except problem:
        return None
