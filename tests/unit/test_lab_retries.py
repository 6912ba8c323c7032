"""The controller's work that fails: how long it waits, and what is logged of it."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.controller.background import Background
from lab.controller.loop import work_of
from lab.controller.plan import Action, Base, Start, Stop, TakeBase
from lab.controller.retries import FORGOTTEN_SECONDS, Retries
from lab.machines.machine import MachineSpec

SPEC = MachineSpec("i-1", "app", "10.20.0.4", "ip-10-20-0-4", (Path("/image"),))
BASE = Base("b1", "db-A", "db-main", 5432, archived=True)


def test_what_fails_waits_twice_as_long_each_time_and_five_seconds_at_most() -> None:
    retries, now, pauses = Retries(), 100.0, list[float]()
    for _ in range(6):
        assert not retries.waits("start", now), "its pause is over"
        failure = retries.failed("start", OSError(), now)
        assert retries.waits("start", now + failure.pause - 0.01)
        pauses.append(failure.pause)
        now += failure.pause
    assert pauses == [0.5, 1, 2, 4, 5, 5]


def test_a_success_forgets_what_failed_and_other_work_never_waits() -> None:
    retries = Retries()
    retries.failed("start", OSError(), 100.0)
    retries.failed("start", OSError(), 101.0)
    assert not retries.waits("stop", 101.0)
    retries.succeeded("stop")
    assert retries.waits("start", 101.5)
    retries.succeeded("start")
    assert not retries.waits("start", 101.5)
    assert retries.failed("start", OSError(), 102.0).pause == 0.5


def test_a_failure_is_news_the_first_time_and_when_it_is_of_another_kind() -> None:
    retries = Retries()
    found = [retries.failed("start", error, 1.0).news for error in (OSError("a"), OSError("b"), KeyError(), KeyError())]
    assert found == [True, False, True, False]
    assert retries.failed("stop", OSError(), FORGOTTEN_SECONDS + 20).news
    assert retries.failed("start", KeyError(), FORGOTTEN_SECONDS + 20).news, "nobody has tried it for an hour"


class Clock:
    """What a test says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def settled(background: Background) -> None:
    deadline = time.monotonic() + 10
    while background.busy() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not background.busy()


@pytest.mark.parametrize("way", [Background.queue, Background.aside])
def test_work_that_fails_is_logged_with_its_traceback_once_and_then_in_a_line(
    way: Callable[[Background, str, Action, Callable[[], None]], None], caplog: pytest.LogCaptureFixture
) -> None:
    clock, fails = Clock(), True

    def do() -> None:
        if fails:
            raise OSError("no space left\non the device")

    background, start = Background(clock), Start(SPEC)
    for _ in range(2):
        way(background, "i-1", start, do)
        settled(background)
        assert background.waits(start)
        assert not background.waits(Stop("i-1")), "what can't be started is stopped at once"
        clock.now += 1.0
    assert not background.waits(start)
    first, second = caplog.records
    assert (first.exc_info is None, second.exc_info is None) == (False, True)
    assert first.getMessage() == "i-1: failed; trying again in 0.5 s"
    assert second.getMessage() == "i-1: failed again, trying again in 1 s: no space left"
    way(background, "i-1", start, do)
    fails = False
    settled(background)
    way(background, "i-1", start, do)
    settled(background)
    assert not background.waits(start), "it is done"
    background.end()


def test_another_base_backup_of_a_database_is_the_same_work_and_one_of_another_is_not() -> None:
    assert work_of(TakeBase(BASE)) == work_of(TakeBase(replace(BASE, base="b2")))
    assert work_of(TakeBase(BASE)) != work_of(TakeBase(replace(BASE, resource="db-B")))
    assert work_of(Start(SPEC)) == work_of(Start(replace(SPEC))) != work_of(Start(replace(SPEC, reboots=1)))
