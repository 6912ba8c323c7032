"""When scheduled actions are due, by an injected clock."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from lab.api.schedule import Schedule, ScheduleError

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/scheduled-scaling.html


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _due(schedule: Schedule, minute: str) -> bool:
    return schedule.due(_at(minute) - timedelta(seconds=1), _at(minute))


def test_an_action_without_recurrence_is_due_once() -> None:
    schedule = Schedule(start=_at("2026-03-02T09:00:30"))
    assert not schedule.due(_at("2026-03-02T09:00:00"), _at("2026-03-02T09:00:29"))
    assert schedule.due(_at("2026-03-02T09:00:29"), _at("2026-03-02T09:00:31"))
    assert not schedule.due(_at("2026-03-02T09:00:31"), _at("2026-03-02T10:00:00"))


@pytest.mark.parametrize(
    ("recurrence", "minute", "due"),
    [
        ("0 9 * * *", "2026-03-02T09:00:00", True),
        ("0 9 * * *", "2026-03-02T09:01:00", False),
        ("*/15 * * * *", "2026-03-02T09:45:00", True),
        ("0 9 * * MON-FRI", "2026-03-02T09:00:00", True),
        ("0 9 * * MON-FRI", "2026-03-01T09:00:00", False),
        ("0 0 * * 7", "2026-03-01T00:00:00", True),
        ("30 6 1,15 JAN,MAR *", "2026-03-15T06:30:00", True),
        ("30 6 1,15 JAN,MAR *", "2026-02-15T06:30:00", False),
        ("0 0 13 * FRI", "2026-03-06T00:00:00", True),
        ("0 0 13 * FRI", "2026-03-13T00:00:00", True),
        ("0 0 13 * FRI", "2026-03-12T00:00:00", False),
    ],
)
def test_a_recurrence_is_due_as_cron_says(recurrence: str, minute: str, due: bool) -> None:
    assert _due(Schedule(recurrence=recurrence), minute) is due


def test_a_recurrence_goes_by_its_time_zone_in_summer_and_winter() -> None:
    schedule = Schedule(recurrence="0 9 * * *", zone="Europe/Berlin")
    assert _due(schedule, "2026-01-10T08:00:00")
    assert _due(schedule, "2026-07-10T07:00:00")


def test_a_recurrence_begins_and_ends() -> None:
    schedule = Schedule(_at("2026-03-02T00:00:00"), _at("2026-03-03T00:00:00"), "0 9 * * *")
    assert [_due(schedule, f"2026-03-0{day}T09:00:00") for day in (1, 2, 3)] == [False, True, False]


def test_a_minute_is_due_once_however_often_it_is_looked_at() -> None:
    schedule, now = Schedule(recurrence="* * * * *"), _at("2026-03-02T09:00:00")
    looks = [now + timedelta(seconds=second / 2) for second in range(241)]
    assert sum(schedule.due(since, until) for since, until in itertools.pairwise(looks)) == 2


@pytest.mark.parametrize("recurrence", ["* * * *", "61 * * * *", "a * * * *", "* * * FOO *", "1--2 * * * *"])
def test_a_recurrence_that_is_none_is_refused(recurrence: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule(recurrence=recurrence).check()


def test_a_time_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ScheduleError, match="Atlantis"):
        Schedule(recurrence="* * * * *", zone="Atlantis/Capital").check()
