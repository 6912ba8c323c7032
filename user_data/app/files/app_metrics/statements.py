"""Which statements took the database's time: a line in the journal for each period, with texts but no values."""

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

IDENTIFIER = "expressway-statements"
"""`journalctl -t expressway-statements`."""
MOST = 5
LONGEST_TEXT = 500
"""Characters."""
JOURNAL = "/run/systemd/journal/socket"


@dataclass(frozen=True)
class Total:
    """Of one kind of statement, since PostgreSQL began to count."""

    calls: int
    milliseconds: float


def top(now: Mapping[int, Total], before: Mapping[int, Total]) -> tuple[dict[int, Total], Total]:
    """What the slowest took between two looks, first the one that took most, and what all took."""
    grown = {number: _grown(total, before.get(number)) for number, total in now.items()}
    ran = {number: total for number, total in grown.items() if total.calls > 0}
    # One more than are told for each that this program's own may turn out to be.
    slowest = sorted(ran, key=lambda number: ran[number].milliseconds, reverse=True)[: 2 * MOST]
    every = Total(sum(each.calls for each in ran.values()), sum(each.milliseconds for each in ran.values()))
    return {number: ran[number] for number in slowest}, every


def line(now: Mapping[int, Total], before: Mapping[int, Total], texts: Callable[[list[int]], dict[int, str]]) -> str:
    """The line as JSON; empty when nothing was executed but by this program. `texts` may fail as it likes."""
    slowest, every = top(now, before)
    known = texts(list(slowest)) if slowest else {}
    told: list[dict[str, Any]] = [
        {
            "text": " ".join(known[number].split())[:LONGEST_TEXT],
            "calls": total.calls,
            "milliseconds": round(total.milliseconds, 3),
            "share": round(total.milliseconds / every.milliseconds, 4) if every.milliseconds else 0.0,
        }
        for number, total in slowest.items()
        if number in known
    ][:MOST]
    return json.dumps({"statements": told}) if told else ""


def write(message: str, path: str = JOURNAL) -> None:
    """To the journal, by an identifier of its own. A line that it doesn't take is lost."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.sendto(f"SYSLOG_IDENTIFIER={IDENTIFIER}\nPRIORITY=6\nMESSAGE={message}\n".encode(), path)


def _grown(now: Total, before: Total | None) -> Total:
    # Reset meanwhile, or not there before: what it says is since then.
    if before is None or now.calls < before.calls:
        return now
    return Total(now.calls - before.calls, now.milliseconds - before.milliseconds)
