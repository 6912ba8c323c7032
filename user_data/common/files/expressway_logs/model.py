"""A line of a log, and what CloudWatch Logs takes at once. Pure.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_BYTES = 1_048_576
"""Of one call: the events' UTF-8, and OVERHEAD for each."""
OVERHEAD = 26
MOST_EVENTS = 10_000
LONGEST_SPAN = 24 * 3600 * 1000
"""Milliseconds between the first and the last event of a call."""
LONGEST_LINE = 256 * 1024 - OVERHEAD
"""Bytes. CloudWatch took no longer event for years, and tools that read from it still may not."""
CUT = " [cut]"


@dataclass(frozen=True)
class Line:
    """What was logged."""

    kind: str
    """`access`, `app`, `system` or `boot`."""
    at: int
    """Milliseconds since the epoch."""
    text: str

    @property
    def size(self) -> int:
        """Bytes of it in a call."""
        return len(self.text.encode()) + OVERHEAD


def fitting(text: str) -> str:
    """The text, or as much of it as one event may have."""
    found = text.encode(errors="replace")
    if len(found) <= LONGEST_LINE:
        return found.decode()
    return found[: LONGEST_LINE - len(CUT)].decode(errors="ignore") + CUT


def batches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """One call after the other: in the order of time, none with more than CloudWatch takes."""
    batch: list[Line] = []
    size = 0
    for line in sorted(lines, key=lambda each: each.at):
        full = size + line.size > MOST_BYTES or len(batch) == MOST_EVENTS
        if batch and (full or line.at - batch[0].at > LONGEST_SPAN):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch
