"""SQS where moto would hold up the whole API: a call that waits for a message lets the others go on meanwhile.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
"""

import threading
import time
from typing import Any

from moto.sqs.models import Queue, SQSBackend

from lab.api.changes import Changes
from lab.api.patching import around

_arrival: threading.Condition | None = None


def install() -> None:
    """Change moto's SQS. Once a process, before the first request."""
    around(SQSBackend, "receive_message", _receive)
    around(Queue, "add_message", _add)


def take_turns(changes: Changes) -> None:
    """Wait for messages without the API's lock."""
    global _arrival
    _arrival = threading.Condition(changes.lock)


def _receive(
    original: Any, backend: Any, queue_name: str, count: int, wait_seconds_timeout: int, *rest: Any, **more: Any
) -> Any:
    if _arrival is None:
        return original(backend, queue_name, count, wait_seconds_timeout, *rest, **more)
    deadline = time.monotonic() + wait_seconds_timeout
    while not (found := original(backend, queue_name, count, 0, *rest, **more)):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        # One that nobody took is visible again without a word.
        _arrival.wait(min(left, 1.0))
    return found


def _add(original: Any, queue: Any, message: Any) -> None:
    original(queue, message)
    if _arrival is not None:
        _arrival.notify_all()
