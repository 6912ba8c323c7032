"""Windows of the day and of the week, as RDS and ElastiCache write them, in UTC. Pure."""

import re
from collections.abc import Iterator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
_DAY = f"(?:{'|'.join(DAYS)})"
OF_THE_DAY = f"{_TIME}-{_TIME}"
"""The form of 03:00-03:30."""
OF_THE_WEEK = f"{_DAY}:{_TIME}-{_DAY}:{_TIME}"
"""The form of sun:04:00-sun:04:30."""

Span = tuple[int, int]
"""Minutes of the week, from and to."""


def spans(window: str) -> Iterator[Span]:
    """When a window is in the week; that of each day for one without days. ValueError for one of another form."""
    parts = re.fullmatch(rf"(?:({_DAY}):)?(\d\d):(\d\d)-(?:({_DAY}):)?(\d\d):(\d\d)", window)
    if parts is None:
        raise ValueError(window)
    day, hour, minute, last_day, last_hour, last_minute = parts.groups()
    first, last = int(hour) * 60 + int(minute), int(last_hour) * 60 + int(last_minute)
    if day is None:
        length = (last - first) % DAY_MINUTES
        yield from ((start + first, start + first + length) for start in range(0, 7 * DAY_MINUTES, DAY_MINUTES))
        return
    first, last = first + DAYS.index(day) * DAY_MINUTES, last + DAYS.index(last_day) * DAY_MINUTES
    yield first, first + (last - first) % (7 * DAY_MINUTES)


def minutes(window: str) -> int:
    """How long it is."""
    first, last = next(spans(window))
    return last - first


def overlap(one: str, other: str) -> bool:
    """Whether two windows meet; what runs past the week's end goes on at its beginning."""
    return any(_meet(each, another) for each in spans(one) for another in spans(other))


def _meet(one: Span, other: Span) -> bool:
    week = 7 * DAY_MINUTES
    return any(one[0] < other[1] + turn and other[0] + turn < one[1] for turn in (-week, 0, week))
