"""What databases' machines log, told to CloudWatch Logs as RDS does, for those that export it."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from lab.machines.services import postgresql

from .api import Api
from .wanted import database_machine

PERIOD_SECONDS: Final = 1.0
MOST_BYTES: Final = 512 * 1024
"""Told at once."""
MOST_BEHIND: Final = 4 * 1024 * 1024
"""Older ones are passed over, so that who logs every statement under load doesn't keep the lab busy."""

_BEGIN: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC:")


class DatabaseLogs:
    """Remembers how far each log was told. `machines` is the directory of the machines."""

    def __init__(self, api: Api, machines: Path) -> None:
        self._api = api
        self._machines = machines
        self._told: dict[str, int] = {}
        self._streams: set[tuple[str, str]] = set()
        self._at = 0.0

    def relay(self, databases: Iterable[Mapping[str, Any]], now: float) -> None:
        """Tell what is new, once a second. Raises botocore's errors."""
        if now - self._at < PERIOD_SECONDS:
            return
        self._at = now
        for item in databases:
            if "postgresql" in item["log_exports"]:
                self._relay(item["id"], database_machine(item["id"], item["node"]))

    def _relay(self, database: str, machine: str) -> None:
        path = self._machines / machine / "upper" / postgresql.LOG
        try:
            size = path.stat().st_size
            begin = max(self._told.get(machine, 0), size - MOST_BEHIND)
            with path.open("rb") as stream:
                # A machine that was made anew has a log that is shorter.
                stream.seek(begin if begin <= size else 0)
                begin = stream.tell()
                read = stream.read(MOST_BYTES)
        except FileNotFoundError:
            return
        whole = read.rfind(b"\n") + 1
        if found := events(read[:whole].decode(errors="replace")):
            self._put(f"/aws/rds/instance/{database}/postgresql", f"{database}.0", found)
        self._told[machine] = begin + whole

    def _put(self, group: str, stream: str, found: list[dict[str, Any]]) -> None:
        logs = self._api.aws("logs")
        if (group, stream) not in self._streams:
            for create, names in (
                (logs.create_log_group, {"logGroupName": group}),
                (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
            ):
                try:
                    create(**names)
                except ClientError as error:
                    if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
                        raise
            self._streams.add((group, stream))
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=found)


def events(text: str) -> list[dict[str, Any]]:
    """PutLogEvents' events: a line with those that go on in it, which begin otherwise. Pure."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        if begin := _BEGIN.match(line):
            at = datetime.strptime(begin[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            found.append({"timestamp": int(at.timestamp() * 1000), "message": line})
        elif found:
            found[-1]["message"] += f"\n{line}"
    return found
