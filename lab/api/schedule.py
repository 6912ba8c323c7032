"""When a scheduled action of an Auto Scaling group is due: at one time, or by a cron expression in a time zone. Pure.

Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/scheduled-scaling.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MINUTE = timedelta(minutes=1)
LONGEST_GAP = timedelta(hours=1)
"""What was due longer ago than that, such as before the machine slept, is past."""

_FIELDS = (range(60), range(24), range(1, 32), range(1, 13), range(7))
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NAMES = (
    {},
    {},
    {},
    {name: number for number, name in enumerate(_MONTHS, 1)},
    {name: number for number, name in enumerate(_DAYS)} | {"7": 0},
)
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")


class ScheduleError(ValueError):
    """A recurrence or a time zone that is none."""


@dataclass(frozen=True)
class Schedule:
    """When an action is due. Without `recurrence` once, at `start`."""

    start: datetime | None = None
    end: datetime | None = None
    recurrence: str | None = None
    zone: str | None = None

    def due(self, since: datetime, until: datetime) -> bool:
        """Whether it is due after `since`, and not after `until`."""
        if self.recurrence is None:
            return self.start is not None and since < self.start <= until
        return any(self._within(minute) and self._matches(minute) for minute in _minutes(since, until))

    def check(self) -> None:
        """Raise ScheduleError for one that can't be."""
        self._matches(datetime.now(UTC))

    def _within(self, minute: datetime) -> bool:
        return not ((self.start and minute < self.start) or (self.end and minute > self.end))

    def _matches(self, minute: datetime) -> bool:
        try:
            local = minute.astimezone(ZoneInfo(self.zone or "UTC"))
        except (ZoneInfoNotFoundError, ValueError):
            raise ScheduleError(f"Unable to parse timezone {self.zone}") from None
        fields = (self.recurrence or "").split()
        if len(fields) != len(_FIELDS):
            raise ScheduleError(f"Given recurrence string: {self.recurrence} is invalid")
        values = [_values(text, place) for place, text in enumerate(fields)]
        at = (local.minute, local.hour, local.day, local.month, local.isoweekday() % 7)
        hits = [value in allowed for value, allowed in zip(at, values, strict=True)]
        # As in Unix's cron: where both are restricted, either day will do.
        day = (hits[2] or hits[4]) if "*" not in (fields[2][0], fields[4][0]) else (hits[2] and hits[4])
        return hits[0] and hits[1] and hits[3] and day


def _minutes(since: datetime, until: datetime) -> Iterator[datetime]:
    """The full minutes after `since` up to `until`."""
    minute = max(since, until - LONGEST_GAP).replace(second=0, microsecond=0)
    while (minute := minute + MINUTE) <= until:
        yield minute


def _values(text: str, place: int) -> set[int]:
    allowed: set[int] = set()
    for part in text.upper().split(","):
        found = _PART.fullmatch(part)
        if not found:
            raise ScheduleError(f"Given recurrence string has {text!r}, which is invalid")
        first, last, step = found.groups()
        whole = _FIELDS[place]
        low = whole.start if first == "*" else _number(first, place)
        high = whole.stop - 1 if first == "*" or (step and not last) else _number(last or first, place)
        allowed |= set(range(low, high + 1, int(step or 1)))
    return allowed


def _number(text: str, place: int) -> int:
    number = _NAMES[place].get(text, int(text) if text.isdecimal() else -1)
    if number not in _FIELDS[place]:
        raise ScheduleError(f"Given recurrence string has {text}, which is out of its range")
    return number
