"""News of the groups, through a queue, so that a pass needn't wait for its time.

An event is only a reason to look: what it says is not read, and one that is lost costs two seconds. A queue has each
message once, so where several edges share one, each wakes one of them.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

LONG_POLL = 20
"""Seconds; the most that SQS takes. Three questions a minute while nothing happens."""
BATCH = 10
PAUSE_AFTER_ERROR = 10.0


class Events:
    """Listens to one queue in a thread of its own. Nothing that happens to the queue reaches anybody else."""

    def __init__(self, sqs: Any, queue_url: str, wake: Callable[[], None]) -> None:
        """`wake` is called, in that thread, when something has happened."""
        self._sqs = sqs
        self._queue_url = queue_url
        self._wake = wake
        self.received = 0
        self.error: str | None = None

    def start(self) -> None:
        """Listen for as long as the process lives."""
        threading.Thread(target=self._listen_forever, name="events", daemon=True).start()

    def _listen_forever(self) -> None:
        while True:
            try:
                self.listen()
                self.error = None
            except Exception as error:  # whatever it is, the poll goes on without
                self.error = f"queue of events: {error}"
                time.sleep(PAUSE_AFTER_ERROR)

    def listen(self, seconds: int = LONG_POLL) -> None:
        """Wait for one batch; wake first, and then delete, so that nothing is lost."""
        answer = self._sqs.receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=seconds)
        messages = answer.get("Messages", [])
        if not messages:
            return
        self.received += len(messages)
        self._wake()
        self._sqs.delete_message_batch(
            QueueUrl=self._queue_url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]} for number, each in enumerate(messages)
            ],
        )
