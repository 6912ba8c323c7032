"""Which rates are tried, which ones were kept up with, and where the knee is."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.load import planning
from operate.load.model import Step
from operate.load.planning import Plan

MOST_STEPS = 60


def step(rate: float, answered: float | None = None, failed: int = 0, p95: float = 20.0) -> Step:
    """One of ten seconds."""
    due = round(10 * rate)
    return Step(
        offered_rps=rate,
        began=0,
        seconds=10,
        requests=due,
        failures={"HTTP 500": failed} if failed else {},
        answered_rps=rate if answered is None else answered,
        p50=10,
        p90=15,
        p95=p95,
        p99=30,
        longest=40,
    )


def drive(plan: Plan, measure: Callable[[float], Step]) -> list[Step]:
    """All steps of a run."""
    steps: list[Step] = []
    while (rate := planning.next_rate(steps, plan)) is not None:
        steps.append(measure(rate))
        assert len(steps) < MOST_STEPS, "it does not end"
    return steps


def stack_of(capacity: float) -> Callable[[float], Step]:
    """A stack that answers so many a second and no more."""
    return lambda rate: step(rate, min(rate, capacity), p95=20 if rate <= capacity else 4000)


def rates(steps: Sequence[Step]) -> list[float]:
    return [each.offered_rps for each in steps]


def test_a_step_is_only_slow_where_nothing_else_is_wrong_with_it() -> None:
    lightest = step(10)
    assert planning.only_slow(step(100, p95=800), [lightest])
    for kept_or_worse in (step(100), step(100, 80, p95=800), step(100, failed=11, p95=800), step(100, failed=11)):
        assert not planning.only_slow(kept_or_worse, [lightest])


def test_rates_grow_until_one_is_too_much_and_then_two_lie_between() -> None:
    steps = drive(Plan(10), stack_of(50))
    assert rates(steps) == [10, 16, 26, 42, 67, 53, 47]
    assert planning.knee(steps) == 47


def test_a_first_rate_that_is_too_much_is_followed_by_lighter_ones() -> None:
    assert rates(drive(Plan(100), stack_of(30))) == [100, 25, 50, 35]
    nothing = drive(Plan(100), stack_of(0))
    assert rates(nothing) == [100, 25, 6]
    assert planning.knee(nothing) is None


def test_no_rate_is_higher_than_the_highest() -> None:
    assert rates(drive(Plan(10, highest=30), stack_of(1000))) == [10, 16, 26, 30]
    assert rates(drive(Plan(40, highest=30), stack_of(1000))) == [30]


@given(capacity=st.floats(2, 20_000), start=st.integers(1, 300), factor=st.floats(1.2, 3))
def test_the_knee_is_found_below_the_capacity_and_near_it(capacity: float, start: int, factor: float) -> None:
    plan = Plan(start, factor=factor)
    steps = drive(plan, stack_of(capacity))
    tried = rates(steps)
    assert len(set(tried)) == len(tried), "no rate is held twice"
    found = planning.knee(steps)
    if found is None:
        assert start > capacity
        return
    allowed = capacity / planning.ANSWERED + 1
    assert found <= allowed
    above = planning.saturated(steps)
    assert above is not None, "a run that ends by itself has seen what is too much"
    # Between them were two steps, unless they are too near; after retreats the first gap is one of 4.
    gap = max(factor, 4 if start > capacity else 0)
    assert above.offered_rps <= max(found * gap ** (1 / 4), found * plan.near, found + 2) * 1.1


@pytest.mark.parametrize(
    ("found", "good"),
    [
        (step(100), True),
        (step(100, answered=95), True),
        (step(100, answered=94), False),
        (step(100, failed=10), True),
        (step(100, failed=11), False),
        (step(100, p95=250), True),
        (step(100, p95=251), False),
        (replace(step(100), requests=900), False),
    ],
)
def test_what_is_kept_up_with(found: Step, good: bool) -> None:
    assert planning.kept_up(found, [step(10), found]) is good


def test_a_slow_app_may_be_five_times_as_slow_as_it_is_under_a_light_load() -> None:
    light = step(10, p95=400)
    assert planning.kept_up(step(100, p95=2000), [light])
    assert not planning.kept_up(step(100, p95=2001), [light])
