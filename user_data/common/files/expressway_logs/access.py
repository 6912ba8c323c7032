"""Nginx's two logs: who asked for what, as JSON, and what went wrong. Pure."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

from .model import Line, fitting

SLOW = 1.0
"""Seconds from which on an answer is told of where errors alone are."""
SERVER_ERRORS = 500
ALL, ERRORS, NONE = "all", "errors", "none"

_BEGIN = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) ")


def requests(wanted: str) -> Callable[[str, float], Line | None]:
    """What makes a line of the access log one of the log: of `all` requests, or of those with `errors` or slow ones."""

    def parse(text: str, now: float) -> Line | None:
        try:
            found = json.loads(text)
            at = float(found["msec"])
            trouble = int(found["status"]) >= SERVER_ERRORS or float(found["request_time"]) >= SLOW
        except (ValueError, KeyError, TypeError):
            # Written by the configuration before this one; nothing that Nginx writes is hidden.
            return Line("access", int(now * 1000), fitting(text)) if text.strip() else None
        return Line("access", int(at * 1000), fitting(text)) if wanted == ALL or trouble else None

    return parse


def errors(text: str, now: float) -> Line | None:
    """A line of the error log. One without a time belongs to the one before."""
    if not text.strip():
        return None
    begin = _BEGIN.match(text)
    at = datetime.strptime(begin[1], "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC).timestamp() if begin else now
    return Line("system", int(at * 1000), fitting(f"nginx: {text}"))
