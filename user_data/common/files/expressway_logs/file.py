"""A file that grows and is rotated: renamed to its name with .1, while Nginx goes on in a new one.

The file is the buffer. Who falls behind by more than `KEPT` goes on at its end less that, and counts what that leaves
out.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .model import Line

KEPT = 64 * 1024 * 1024
"""Bytes."""
_CHUNK = 256 * 1024


class File:
    """Reads a file's lines, from a position on."""

    def __init__(
        self, path: Path, parse: Callable[[str, float], Line | None], position: dict[str, Any] | None, kept: int = KEPT
    ) -> None:
        """`parse` makes a line of text, read at a time, one of the log; None leaves it out."""
        self.name = path.name
        self._path = path
        self._parse = parse
        self._kept = kept
        self.position: dict[str, Any] = position or {}
        self.dropped = 0
        """Lines that were passed over."""
        self._stream: IO[bytes] | None = None

    def take(self, most: int, until: float) -> list[Line]:
        """What there is, at most about `most` bytes. It waits for nothing."""
        found: list[Line] = []
        size = 0
        while size < most and (stream := self._stream or self._open()):
            self._pass_over(stream)
            read = stream.read(min(_CHUNK, most))
            whole = read.rfind(b"\n") + 1
            if not whole and len(read) == min(_CHUNK, most):
                whole = len(read)  # a line without an end
            stream.seek(self.position["offset"] + whole)
            self.position["offset"] += whole
            size += whole
            now = time.time()
            for text in read[:whole].splitlines():
                line = self._parse(text.decode(errors="replace"), now)
                if line:
                    found.append(line)
            if not whole and not self._next(stream):
                break
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._stream:
            self._stream.close()
            self._stream = None

    def _open(self) -> IO[bytes] | None:
        """Where the position says, also under the name that a rotation has given the file; else at its beginning."""
        for path in (self._path, self._rotated):
            stream = _opened(path)
            if stream and self.position.get("inode") == os.fstat(stream.fileno()).st_ino:
                stream.seek(self.position["offset"])
                self._stream = stream
                return stream
            if stream:
                stream.close()
        return self._begin(self._path)

    def _begin(self, path: Path) -> IO[bytes] | None:
        self._stream = _opened(path)
        if self._stream:
            self.position = {"inode": os.fstat(self._stream.fileno()).st_ino, "offset": 0}
        return self._stream

    def _next(self, stream: IO[bytes]) -> bool:
        """Go on to the file that came after this one. Whether there is one."""
        inode = self.position["inode"]
        current, rotated = _inode(self._path), _inode(self._rotated)
        if current in (inode, None):
            if current == inode and os.fstat(stream.fileno()).st_size < self.position["offset"]:
                self.position["offset"] = 0  # cut short in its place
                stream.seek(0)
            return False
        stream.close()
        # Rotated more than once meanwhile, when what has the name with .1 isn't this one either.
        return self._begin(self._path if rotated in (inode, None) else self._rotated) is not None

    @property
    def _rotated(self) -> Path:
        return self._path.with_name(f"{self._path.name}.1")

    def _pass_over(self, stream: IO[bytes]) -> None:
        behind = os.fstat(stream.fileno()).st_size - self.position["offset"] - self._kept
        if behind <= 0:
            return
        while behind > 0 and (read := stream.read(min(_CHUNK, behind))):
            self.dropped += read.count(b"\n")
            behind -= len(read)
        rest = stream.readline()  # to the end of a line
        self.dropped += rest.count(b"\n")
        self.position["offset"] = stream.tell()


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except OSError:
        return None


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
