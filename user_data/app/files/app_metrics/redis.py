"""Redis, asked with the app's own address. hiredis speaks its protocol; redis-py would take 5 MB more of memory."""

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import hiredis

from .services import TIMEOUT, ServiceError, SlowError, address

VARIABLE = "REDIS_URL"
PORT = 6379


@dataclass(frozen=True)
class Seen:
    """What INFO told."""

    info: Mapping[str, str]
    commands: Mapping[str, tuple[float, float]]
    """By name, `get` or `config|get`: calls, and microseconds in all."""

    def number(self, name: str) -> float:
        """Of `info`; 0 for what isn't there."""
        try:
            return float(self.info.get(name, 0))
        except ValueError:
            return 0.0


class RedisSession:
    """A connection. One command at a time, each with its time-out."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace")

    def round_trip(self) -> None:
        """PING."""
        self.ask("PING")

    def sample(self) -> None:
        """Nothing: what Redis tells, it counts."""

    def look(self) -> Seen:
        """INFO, and what each command took. ServiceError from a node that is no primary any more."""
        info, commands = parse(self.ask("INFO")), parse(self.ask("INFO", "commandstats"))
        if info.get("role", "master") != "master":
            raise ServiceError("the node isn't the primary any more")
        return Seen(info, dict(map(_command, commands.items())))

    def ask(self, *command: str) -> str:
        """The answer to a command, as text."""
        deadline = time.monotonic() + TIMEOUT
        try:
            self._stream.settimeout(TIMEOUT)
            # Its types know commands of one word only.
            self._stream.sendall(hiredis.pack_command(command))  # pyright: ignore[reportArgumentType]
            while (answer := self._reader.gets()) is False:
                self._stream.settimeout(max(0.001, deadline - time.monotonic()))
                if not (received := self._stream.recv(65536)):
                    raise ServiceError("the connection was closed")
                self._reader.feed(received)
        except TimeoutError:
            raise SlowError(f"no answer in {TIMEOUT:g} s") from None
        except (OSError, hiredis.HiredisError) as error:
            raise ServiceError(str(error)) from None
        if isinstance(answer, Exception):
            # Redis' own words may repeat a command's arguments.
            raise ServiceError(f"{command[0]} is refused: {str(answer).split()[0]}")
        return str(answer)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()


def connect() -> RedisSession | None:
    """To the app's cache; None when it has none. ServiceError when that can't be reached."""
    url = address(VARIABLE)
    return None if url is None else open_session(url)


def open_session(url: str, certificate_of: str | None = None) -> RedisSession:
    """Connect, and say who asks. ServiceError when that is no address, or nobody answers there.

    `certificate_of` is the name that the certificate has to be for; without it, the address' own.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORT
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme not in ("redis", "rediss") or not host:
            raise ValueError(parts.scheme)
    except ValueError:
        # Its message quotes what it doesn't understand, which may be the password.
        raise ServiceError(f"{VARIABLE} is no address of Redis") from None
    try:
        stream = socket.create_connection((host, port), TIMEOUT)
        if parts.scheme == "rediss":
            stream = ssl.create_default_context().wrap_socket(stream, server_hostname=certificate_of or host)
    except TimeoutError:
        raise SlowError(f"no connection in {TIMEOUT:g} s") from None
    except OSError as error:
        raise ServiceError(str(error)) from None
    session = RedisSession(stream)
    try:
        if password:
            session.ask("AUTH", *([user] if user else []), password)
    except ServiceError:
        session.close()
        raise
    return session


def parse(text: str) -> dict[str, str]:
    """INFO's lines."""
    pairs = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}


def _command(item: tuple[str, str]) -> tuple[str, tuple[float, float]]:
    pairs = (pair.partition("=") for pair in item[1].split(","))
    fields = {name: value for name, _, value in pairs}
    return item[0].removeprefix("cmdstat_"), (float(fields.get("calls", 0)), float(fields.get("usec", 0)))


def slowest(now: Seen, before: Seen) -> tuple[str, float] | None:
    """The command that took most time between two looks, and milliseconds of each call; None when there was none."""
    grown: list[tuple[float, str, Any]] = []
    for name, (calls, spent) in now.commands.items():
        calls_before, spent_before = before.commands.get(name, (0.0, 0.0))
        if calls > calls_before and spent >= spent_before and name not in ("ping", "info", "auth"):
            grown.append((spent - spent_before, name, calls - calls_before))
    if not grown:
        return None
    spent, name, calls = max(grown)
    return name, spent / calls / 1000
