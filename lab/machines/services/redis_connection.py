"""Commands to one node of a cache with all rights, many at once: by its socket, which this host sees as a file.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import contextlib
import socket
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from lab.machines import observation
from lab.machines.access import MachineError

from .redis import LAB_USER, SOCKET

SECONDS: Final = 10.0
"""A node that says nothing for so long is given up."""

Word = str | bytes | int


class Stream(Protocol):
    """What a connection is read from and written to."""

    def write(self, data: bytes, /) -> int:
        """Bytes to be sent."""
        ...

    def flush(self) -> None:
        """Send them."""
        ...

    def readline(self) -> bytes:
        """Up to the end of a line, or all that is left."""
        ...

    def read(self, size: int, /) -> bytes:
        """So many bytes, or all that is left."""
        ...


class RedisError(Exception):
    """A node refused a command; the message has its words."""


class Connection:
    """A node that answers. Every call raises OSError when it no longer does."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def ask(self, *words: Word) -> Any:
        """The answer to one command. Raises RedisError for a refusal."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """The answers to commands that are sent together; all are read before a RedisError is raised for the first
        refusal.
        """
        self._stream.write(b"".join(map(_request, commands)))
        self._stream.flush()
        answers = [self._answer() for _ in commands]
        for answer in answers:
            if isinstance(answer, RedisError):
                raise answer
        return answers

    def _answer(self) -> Any:
        line = self._stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the node has closed the connection")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest.decode()
            case b"-":
                return RedisError(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._stream.read(int(rest) + 2)[:-2]
            case b"*":
                return [self._answer() for _ in range(int(rest))]
            case _:
                raise ConnectionError(f"not an answer of Redis: {line[:40]!r}")


@contextlib.contextmanager
def connect(path: Path, password: str, seconds: float = SECONDS) -> Generator[Connection]:
    """The node whose socket is at `path`, for as long as the body runs. Raises OSError, or RedisError."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(seconds)
        link.connect(str(path))
        with link.makefile("rwb") as stream:
            connection = Connection(stream)
            connection.ask("AUTH", LAB_USER, password)
            yield connection


def socket_of(machine: str, machines: Path) -> Path:
    """Where this host finds the socket of the node on a machine. Raises MachineError when that does not run."""
    pid = observation.leader(machine, machines)
    if pid is None:
        raise MachineError(f"machine {machine} does not run")
    return Path(f"/proc/{pid}/root{SOCKET}")


def _request(words: Sequence[Word]) -> bytes:
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
