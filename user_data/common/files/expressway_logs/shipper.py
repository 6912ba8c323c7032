"""Reads what was logged and tells CloudWatch, in a thread of its own that nothing waits for.

What is read is told before more is read, so that memory holds a few MB at most, however long CloudWatch is away: the
journal and the files keep the rest, and a position says how far they were told. It is written after each call, so that
a restart loses nothing, and tells again what was under way at most.
"""

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine.outage import Outage

from .mask import Mask
from .model import Line, batches, fitting

MOST_AT_ONCE = 256 * 1024
"""Bytes that are read from each source before they are told."""
GATHER = 2.0
"""Seconds that lines are gathered, as each call costs time."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries."""
NEVER_TAKEN = frozenset({"InvalidParameterException", "ValidationException", "SerializationException"})
"""Refusals that the same lines would meet again."""


Call = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Makes a call of CloudWatch Logs by its name; botocore's errors, or OSError, when that fails."""


class Source(Protocol):
    """What lines come from."""

    name: str
    position: dict[str, Any]
    dropped: int

    def take(self, most: int, until: float) -> list[Line]:
        """What there is."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


class Positions:
    """How far each source was told, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Any]:
        """By a source's name; empty when there is none, or it can't be read."""
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, positions: dict[str, Any]) -> None:
        """Keep them. Not waited for to be on the disk: after a crash, lines are told again."""
        partial = self._path.with_name(f"{self._path.name}.partial")
        partial.write_text(json.dumps(positions))
        partial.rename(self._path)


class Shipper:
    """Tells a group of CloudWatch Logs what sources have, in one stream for each kind of line."""

    def __init__(
        self,
        group: str,
        sources: Sequence[Source],
        positions: Positions,
        mask: Mask,
        call: Call,
        find: Callable[[], str],
    ) -> None:
        """`find` finds out the instance's id, and may fail like a call."""
        self._group = group
        self._sources = sources
        self._positions = positions
        self._mask = mask
        self._call = call
        self._find = find
        self._machine: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._outage = Outage(
            f"CloudWatch Logs can't be told ({group}), the journal and the files keep it",
            "CloudWatch Logs is told again",
            "lines",
        )
        self.sent = 0
        """Lines that CloudWatch took."""
        self._refused = 0

    @property
    def dropped(self) -> int:
        """Lines that it never took."""
        return self._refused + sum(each.dropped for each in self._sources)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience: float) -> None:
        """Tell what there is, for so many seconds at most."""
        self._stopping.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while True:
            last = self._stopping.is_set()
            try:
                self.turn(0.2 if last else GATHER)
            except Exception as error:  # a line that nobody thought of must not end the rest
                self._outage.failed(error, self.dropped)
                self._stopping.wait(LONGEST_PAUSE)
            if last:
                break
        for each in self._sources:
            each.close()

    def turn(self, gather: float) -> None:
        """Read once, and tell that, however long it takes; when stopping, it is tried once."""
        until = time.monotonic() + gather
        self._mask.look()
        lines = [line for each in self._sources for line in each.take(MOST_AT_ONCE, until)]
        if not lines:
            return
        streams: dict[str, list[Line]] = defaultdict(list)
        for line in lines:
            streams[line.kind].append(Line(line.kind, line.at, fitting(self._mask(line.text))))
        for kind, found in streams.items():
            for batch in batches(found):
                if not self._tell(kind, batch):
                    return  # stopping: the position is as before
        self._positions.write({each.name: each.position for each in self._sources})

    def _tell(self, kind: str, batch: list[Line]) -> bool:
        """Until it is told, or never will be. False when stopping before that."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._machine = self._machine or self._find()
                self._put(f"{self._machine}/{kind}", batch)
            except ClientError as error:
                if _code(error) in NEVER_TAKEN:
                    self._refused += len(batch)
                    print(f"expressway: CloudWatch Logs refuses {len(batch)} lines of {kind}: {error}", flush=True)
                    return True
                self._outage.failed(error, self.dropped)
            except (BotoCoreError, OSError) as error:
                self._outage.failed(error, self.dropped)
            else:
                self._outage.worked(self.dropped)
                return True
            if self._stopping.wait(pause):
                return False
            pause = min(2 * pause, LONGEST_PAUSE)

    def _put(self, stream: str, batch: list[Line]) -> None:
        where = {"logGroupName": self._group, "logStreamName": stream}
        events = {"logEvents": [{"timestamp": line.at, "message": line.text} for line in batch]}
        try:
            answer = self._call("PutLogEvents", where | events)
        except ClientError as error:
            if _code(error) != "ResourceNotFoundException":
                raise
            self._make(where)
            answer = self._call("PutLogEvents", where | events)
        lost = rejected(answer.get("rejectedLogEventsInfo") or {}, len(batch))
        self._refused += lost
        self.sent += len(batch) - lost

    def _make(self, stream: dict[str, Any]) -> None:
        try:
            self._call("CreateLogStream", stream)
        except ClientError as error:
            if _code(error) != "ResourceAlreadyExistsException":
                raise


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def rejected(answer: dict[str, int], count: int) -> int:
    """How many of a call's events it did not take: too old at the beginning, too new at the end."""
    begin = max(answer.get("tooOldLogEventEndIndex", 0), answer.get("expiredLogEventEndIndex", 0))
    return begin + count - min(answer.get("tooNewLogEventStartIndex", count), count)


def state() -> Path:
    """Where systemd lets the service keep things."""
    return Path(os.environ.get("STATE_DIRECTORY", "/var/lib/expressway-metrics"))
