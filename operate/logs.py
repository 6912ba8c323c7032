"""What a stack's tiers logged, in the order of time, out of CloudWatch Logs."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operate.stack import LOG_GROUPS, Stack, lasting

TIERS = tuple(LOG_GROUPS)
KINDS = ("access", "app", "system", "boot")
"""Of what machines log, by the ends of their streams' names."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
LATE = 15.0
"""Seconds that a line may reach CloudWatch after one that is newer; while following, that much is looked at again."""
POLL_SECONDS = 2.0
MOST_STREAMS = 100
"""That FilterLogEvents takes by name."""


class LogsError(Exception):
    """What was asked for isn't there; the message says why, and how to mend it."""


@dataclass(frozen=True)
class Entry:
    """A line."""

    at: float
    """Seconds since the epoch."""
    tier: str
    machine: str
    """The instance's id; the database's name."""
    kind: str
    """Of KINDS, or `postgresql`."""
    message: str
    id: str = field(repr=False)
    """CloudWatch's."""

    def as_json(self) -> dict[str, Any]:
        """For machines; a message that is JSON stays it."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "time": at,
            "tier": self.tier,
            "machine": self.machine,
            "kind": self.kind,
            "message": _decoded(self.message),
        }


@dataclass(frozen=True)
class Query:
    """Which lines."""

    since: float
    """Seconds since the epoch."""
    tiers: Sequence[str] = TIERS
    machine: str | None = None
    kind: str | None = None
    request: str | None = None


@dataclass(frozen=True)
class Found:
    """Lines, and what they lack."""

    entries: list[Entry]
    missing: list[str]
    """Tiers whose group isn't there (yet)."""


class Logs:
    """The logs of a stack."""

    def __init__(self, stack: Stack) -> None:
        """LogsError when it has none."""
        if not stack.log_groups:
            raise LogsError(
                "this stack tells CloudWatch Logs nothing: set expressway:monitoring.logs: true, and run pulumi up"
            )
        self._stack = stack
        self._groups = stack.log_groups

    def find(self, query: Query) -> Found:
        """Every line that the query wants, oldest first. botocore's errors when CloudWatch doesn't say."""
        found: list[Entry] = []
        missing: list[str] = []
        for tier in query.tiers:
            try:
                if tier in self._groups:
                    found += self._of_tier(tier, query)
                else:
                    missing.append(tier)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                missing.append(tier)
        return Found(sorted(found, key=lambda each: each.at), missing)

    def follow(self, query: Query, sleep: Callable[[float], None] = time.sleep) -> Iterator[list[Entry]]:
        """New lines, again and again, each once. What CloudWatch doesn't say now, it is asked for again."""
        seen: dict[str, float] = {}
        since = query.since
        while True:
            try:
                found = self.find(_from(query, since)).entries
            except (ClientError, BotoCoreError) as error:
                if lasting(error):
                    raise
                found = []
            fresh = [each for each in found if each.id not in seen]
            seen |= {each.id: each.at for each in fresh}
            since = max(since, max(seen.values(), default=since) - LATE)
            seen = {key: at for key, at in seen.items() if at >= since}
            yield fresh
            sleep(POLL_SECONDS)

    def _of_tier(self, tier: str, query: Query) -> Iterator[Entry]:
        logs, group = self._stack.client("logs"), self._groups[tier]
        if tier == "database" and (query.machine or query.kind):
            return
        wanted: dict[str, Any] = {"logGroupName": group, "startTime": int(query.since * 1000)}
        if query.request:
            wanted["filterPattern"] = json.dumps(query.request)
        if query.machine:
            wanted["logStreamNamePrefix"] = (
                f"{query.machine}/" if query.kind is None else f"{query.machine}/{query.kind}"
            )
        for page in logs.get_paginator("filter_log_events").paginate(**wanted):
            for event in page["events"]:
                entry = _entry(tier, event)
                # CloudWatch has no filter by the end of a stream's name, and the lab's none by its beginning.
                if query.kind in (None, entry.kind) and query.machine in (None, entry.machine):
                    yield entry


def ago(text: str, now: float) -> float:
    """The time that `10m`, `2h`, `1d` or `30s` ago was. ValueError for what isn't like that."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not found:
        raise ValueError(text)
    return now - int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]


def _from(query: Query, since: float) -> Query:
    return Query(since, query.tiers, query.machine, query.kind, query.request)


def _entry(tier: str, event: Mapping[str, Any]) -> Entry:
    machine, _, kind = event["logStreamName"].rpartition("/")
    if tier == "database":
        machine, kind = event["logStreamName"].rpartition(".")[0] or event["logStreamName"], "postgresql"
    return Entry(event["timestamp"] / 1000, tier, machine, kind, event["message"], event["eventId"])


def _decoded(message: str) -> Any:
    if not message.startswith("{"):
        return message
    try:
        return json.loads(message)
    except ValueError:
        return message
