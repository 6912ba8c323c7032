"""Nginx's list of servers, over the socket on which its balancer takes it: nothing is reloaded."""

import json
import socket
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from .model import Server, Traffic

SOCKET = Path("/run/expressway/balancer.sock")
TIMEOUT = 2.0
"""Seconds for each step. Nginx answers in a millisecond, or is not there."""


class BalancerError(OSError):
    """Nginx isn't there, or didn't take the list. What it said is the message."""


class Balancer:
    """The balancer in the running Nginx."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path

    def read(self) -> Traffic:
        """The servers it has, and what it counts of them. BalancerError when it doesn't say."""
        answer = self._request("GET", "/servers")
        try:
            servers = tuple(sorted(Server(each["id"], each["address"], each["port"]) for each in answer["servers"]))
            counters = {each["id"]: each for each in (*answer.get("leaving", []), *answer["servers"])}
        except (KeyError, TypeError) as error:
            raise BalancerError(f"nginx's balancer answered something else: {error!r}") from error
        return Traffic(servers, counters)

    def apply(self, servers: Sequence[Server]) -> None:
        """Have it balance over these from the next request on. BalancerError when it doesn't: then nothing changes."""
        told = [{"id": each.instance_id, "address": each.address, "port": each.port} for each in servers]
        self._request("PUT", "/servers", json.dumps({"servers": told}))

    def routes(self) -> list[dict[str, Any]]:
        """What it counts of each group of paths. BalancerError when it doesn't say."""
        answer = self._request("GET", "/routes")
        if not isinstance(answer, dict) or not isinstance(answer.get("routes"), list):
            raise BalancerError("nginx's balancer answered no routes")
        return answer["routes"]

    def _request(self, method: str, path: str, body: str | None = None) -> Any:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise BalancerError(f"{self._path}: {str(error) or type(error).__name__}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise BalancerError(f"nginx's balancer refused: {text.strip() or response.status}")
        try:
            return json.loads(text)
        except ValueError as error:
            raise BalancerError(f"nginx's balancer answered no JSON: {text[:100]!r}") from error


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(self._path))
