"""The most that the lab holds: rates are tried until one is too many, and the primary is lost at the one before."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.bench.load import Outcome, Plan, Requests, Sample
from lab.prove.scenario import Result
from lab.prove.scenarios import most
from lab.prove.stand import PLAN, Running, Stand


def outcome(milliseconds: float, failure: str = "", slow: float = 0.0) -> Outcome:
    """Of 200 requests, two of which take as long as `slow`."""
    times = [milliseconds] * 198 + [slow or milliseconds] * 2
    return Outcome([Sample(0, each, "GET", failure if number == 7 else "") for number, each in enumerate(times)])


@pytest.mark.parametrize(
    ("seen", "held"),
    [
        (outcome(5), True),
        (outcome(5, slow=100.0), True),
        (outcome(5, slow=100.1), False),
        (outcome(5, "HTTP 503"), False),
        (Outcome(), False),
    ],
)
def test_a_rate_is_held_when_nothing_fails_and_few_wait(seen: Outcome, held: bool) -> None:
    assert most.held(seen) is held


class Loaded(Stand):
    """A stand on which more requests a second than `outputs["most"]` are slow."""

    @asynccontextmanager
    async def load(
        self, plan: Plan = PLAN, requests: Requests | None = None, lead: float = 0.0
    ) -> AsyncGenerator[Running]:
        self.outputs["tried"].append(plan.rate)
        assert plan.writes_percent == 20
        load: Any = SimpleNamespace()
        yield Running(load, outcome(500 if plan.rate > self.outputs["most"] else 5))

    async def settled(self, count: int = 2, gone: Any = ()) -> None:
        pass


def climbed(monkeypatch: pytest.MonkeyPatch, holds: int) -> tuple[Result, list[int], list[int]]:
    """What comes of a lab that holds so many, the rates that were tried, and those of failovers."""
    tried, failed = list[int](), list[int]()

    async def failed_over(_: Any, plan: Plan) -> Result:
        failed.append(plan.rate)
        return Result(outcome(5), (), {"lost": 0})

    monkeypatch.setattr(most, "failed_over", failed_over)
    monkeypatch.setattr(most, "STEP_SECONDS", 0.0)
    stand = Loaded("", Any, {"tried": tried, "most": holds}, Path(), Path())  # pyright: ignore[reportArgumentType]

    async def drive() -> Result:
        return await most.most(stand)

    return asyncio.run(drive()), tried, failed


def test_the_primary_is_lost_at_the_last_rate_that_was_held(monkeypatch: pytest.MonkeyPatch) -> None:
    result, tried, failed = climbed(monkeypatch, 500)
    assert (tried, failed, result.misses) == ([300, 400, 500, 600], [500], ())
    assert (result.figures["held_per_second"], result.figures["lost"]) == (500, 0)
    assert (result.figures["p99_ms_at_500"], result.figures["p99_ms_at_600"]) == (5, 500)


def test_where_each_rate_is_held_it_is_lost_at_800_reads_and_200_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tried, failed = climbed(monkeypatch, 5000)
    assert (tried[-1], failed) == (1000, [1000])


def test_a_lab_that_holds_not_even_the_first_has_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    result, tried, failed = climbed(monkeypatch, 100)
    assert (tried, failed, result.misses) == ([300], [], ("300 requests a second are too many",))
