"""The journal, followed by journalctl: the app's output, the boot's, and what else the machine says.

Who doesn't read makes journalctl wait, so that the journal itself is the buffer, as long as journald keeps it. That a
line went unread shows in the numbers that journald gives its lines.
"""

import json
import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from .model import Line, fitting

COMMAND = (
    *("journalctl", "--follow", "--output=json", "--no-pager", "--quiet", "--no-tail"),
    "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,_TRANSPORT",
)
APP = "expressway-app.service"
DEBUG = "7"
PAUSE = 1.0
"""Seconds before it is begun again."""
MOST_SILENT = 10
MOST_FOLLOWED = 4 * 1024 * 1024
"""Bytes that one journalctl tells: it keeps mapped what it has read of the journal, as long as it runs."""
_CHUNK = 256 * 1024
_LONGEST_ENTRY = 8 * 1024 * 1024


def parse(entry: dict[str, Any]) -> Line | None:
    """A line of the journal; None for what is left out: messages for who debugs the system, and audit's."""
    text = entry.get("MESSAGE")
    if isinstance(text, list):  # what isn't UTF-8 comes as numbers
        text = bytes(text).decode(errors="replace")
    if not isinstance(text, str) or not text.strip():
        return None
    unit = entry.get("_SYSTEMD_UNIT") or ""
    at = int(entry["__REALTIME_TIMESTAMP"]) // 1000
    if unit == APP:
        return Line("app", at, fitting(text))
    if entry.get("PRIORITY") == DEBUG or entry.get("_TRANSPORT") == "audit":
        return None
    if unit.startswith(("cloud-", "expressway-install")):
        return Line("boot", at, fitting(text))
    who = entry.get("SYSLOG_IDENTIFIER")
    return Line("system", at, fitting(f"{who}: {text}" if isinstance(who, str) else text))


class Journal:
    """Reads journalctl's output, from a position on."""

    name = "journal"

    def __init__(self, position: dict[str, Any] | None, command: Sequence[str] = COMMAND) -> None:
        """`position` as `take` told it last; from this boot's beginning without one."""
        self._command = command
        self.position: dict[str, Any] = position or {}
        self.dropped = 0
        """Lines that journald has let go of before they were read."""
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._followed = 0
        """Bytes that this child has told."""
        self._told = False
        """Whether this child has said anything."""
        self._silent = 0
        """Children in a row that failed and said nothing."""

    def take(self, most: int, until: float) -> list[Line]:
        """What there is, at most about `most` bytes, waiting for it until then (by time.monotonic)."""
        child = self._child or self._start()
        assert child.stdout is not None  # noqa: S101, it has a pipe
        found: list[Line] = []
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while size < most and selector.select(max(0.0, until - time.monotonic())):
                read = os.read(child.stdout.fileno(), _CHUNK)
                if not read:
                    self._ended(child)
                    break
                self._followed += len(read)
                *entries, self._rest = (self._rest + read).split(b"\n")
                if len(self._rest) > _LONGEST_ENTRY:
                    self._rest = b""
                    self.dropped += 1
                for line in map(self._read, entries):
                    if line:
                        found.append(line)
                        size += line.size
        if self._told and self._followed > MOST_FOLLOWED:
            self.close()  # the next goes on where this one was
        return found

    def close(self) -> None:
        """Stop following."""
        if self._child:
            self._child.kill()
            self._let_go(self._child)

    def _start(self) -> subprocess.Popen[bytes]:
        cursor = self.position.get("cursor")
        since = [f"--after-cursor={cursor}"] if cursor else ["--boot"]
        self._rest, self._told, self._followed = b"", False, 0
        self._child = subprocess.Popen([*self._command, *since], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self._child

    def _ended(self, child: subprocess.Popen[bytes]) -> None:
        # Whatever ended it, it is begun again where it was; where it never says a word, that place is forgotten.
        failed = self._let_go(child) > 0 and not self._told
        self._silent = self._silent + 1 if failed else 0
        if self._silent == MOST_SILENT:
            self.position = {}
        time.sleep(PAUSE)

    def _let_go(self, child: subprocess.Popen[bytes]) -> int:
        self._child = None
        if child.stdout:
            child.stdout.close()
        return child.wait()

    def _read(self, entry: bytes) -> Line | None:
        try:
            found = json.loads(entry)
            line = parse(found)
            self._count(found)
        except (ValueError, KeyError, TypeError):
            return None
        self.position["cursor"] = found["__CURSOR"]
        self._told = True
        return line

    def _count(self, entry: dict[str, Any]) -> None:
        """Lines between this one and the one before, by journald's own numbers, where it tells them."""
        number, series = entry.get("__SEQNUM"), entry.get("__SEQNUM_ID")
        if number is None:
            return
        if series == self.position.get("series") and int(number) > self.position["number"] + 1:
            self.dropped += int(number) - self.position["number"] - 1
        self.position |= {"series": series, "number": int(number)}
