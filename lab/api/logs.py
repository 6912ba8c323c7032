"""CloudWatch Logs as moto has it, with an end to what the lab keeps of it in memory."""

from collections.abc import Callable
from typing import Any, Final

from moto.logs.models import LogStream

from lab.api.patching import around

MOST_EVENTS: Final = 20_000
"""Of each stream; older ones are let go of."""


def install() -> None:
    """Change moto's CloudWatch Logs. Once a process, before the first request."""
    around(LogStream, "put_log_events", _put)


def _put(original: Callable[..., Any], stream: Any, log_events: list[dict[str, Any]]) -> Any:
    token = original(stream, log_events)
    del stream.events[:-MOST_EVENTS]
    return token
