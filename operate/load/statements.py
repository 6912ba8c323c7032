"""Which statements took the database's time, as the app servers logged it (docs/monitoring.md)."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operate.load.metrics import SECONDS
from operate.load.model import Statement

IDENTIFIER = "expressway-statements"
MOST = 5
LATE = 2.0
"""Seconds after a period's end within which its line is written."""


class Statements:
    """Reads them from the app servers' group of CloudWatch Logs."""

    def __init__(self, logs: Any, group: str) -> None:
        """`logs` is the service's client."""
        self._logs = logs
        self._group = group

    def between(self, began: float, ended: float) -> tuple[Statement, ...]:
        """The slowest of the ten seconds that lie in a span, first the one that took most time.

        None where the database doesn't count them, or CloudWatch doesn't say: a verdict goes without.
        """
        try:
            found = list(self._find(began + SECONDS, ended + LATE))
        except (ClientError, BotoCoreError):
            return ()
        return added_up(found)

    def _find(self, since: float, until: float) -> Iterator[Mapping[str, Any]]:
        wanted = {"startTime": int(since * 1000), "endTime": int(until * 1000), "filterPattern": f'"{IDENTIFIER}"'}
        for page in self._logs.get_paginator("filter_log_events").paginate(logGroupName=self._group, **wanted):
            yield from page["events"]


def added_up(events: Sequence[Mapping[str, Any]]) -> tuple[Statement, ...]:
    """What the lines of one machine say together: each tells of the whole database. Pure."""
    by_machine: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        by_machine[event["logStreamName"]].append(event)
    lines = max(by_machine.values(), key=len, default=[])
    calls: dict[str, int] = defaultdict(int)
    milliseconds: dict[str, float] = defaultdict(float)
    every = 0.0
    for told in filter(None, (_told(event["message"]) for event in lines)):
        for each in told:
            calls[each["text"]] += each["calls"]
            milliseconds[each["text"]] += each["milliseconds"]
        # A line's shares are of all statements, also of those that it leaves out.
        every += told[0]["milliseconds"] / told[0]["share"] if told[0]["share"] else 0.0
    slowest = sorted(milliseconds, key=lambda text: -milliseconds[text])[:MOST]
    shares = {text: min(1.0, milliseconds[text] / every) if every else 0.0 for text in slowest}
    return tuple(Statement(text, calls[text], round(milliseconds[text], 3), shares[text]) for text in slowest)


def _told(message: str) -> list[dict[str, Any]]:
    """A line's statements, the slowest first; none of a line that isn't like that."""
    _, _, told = message.partition(f"{IDENTIFIER}: ")
    try:
        found = json.loads(told)["statements"]
        return [
            {
                "text": str(each["text"]),
                "calls": int(each["calls"]),
                "milliseconds": float(each["milliseconds"]),
                "share": float(each["share"]),
            }
            for each in found
        ]
    except (ValueError, KeyError, TypeError):
        return []
