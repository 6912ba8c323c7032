"""Which rate comes next, which ones were kept up with, and where the knee is. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from operate.load.model import Step

ANSWERED: Final = 0.95
"""Of what is offered a second, at least so much is answered."""
FAILED: Final = 0.01
"""At most so much of it fails."""
SLOWER: Final = 5.0
"""The 95th percentile is at most so many times the lightest step's…"""
SLOW_MILLISECONDS: Final = 250.0
"""… or this, whichever is more."""


@dataclass(frozen=True)
class Plan:
    """How steps follow each other."""

    start: int
    """The first rate, requests a second."""
    factor: float = 1.6
    """Each next one is so much higher, until one is too much."""
    refinements: int = 2
    """Rates that are then tried between the last that was kept up with and the first that was not."""
    highest: int | None = None
    """No rate is higher."""
    near: float = 1.1
    """Rates that differ by less aren't told apart."""
    retreats: int = 2
    """Lower rates that are tried where the first is too much."""


def next_rate(steps: Sequence[Step], plan: Plan) -> int | None:
    """The rate of the next step, in requests a second; None when there is nothing left to find out."""
    if not steps:
        return _within(plan.start, plan)
    rates = [round(each.offered_rps) for each in steps]
    kept = [kept_up(each, steps) for each in steps]
    good = max((rate for rate, well in zip(rates, kept, strict=True) if well), default=None)
    bad = min((rate for rate, well in zip(rates, kept, strict=True) if not well), default=None)
    if bad is None:
        following = _within(max(rates[-1] + 1, round(rates[-1] * plan.factor)), plan)
        return following if following > rates[-1] else None
    if good is None:
        lower = max(1, bad // 4)
        return lower if len(steps) <= plan.retreats and lower < bad else None
    between = round(math.sqrt(good * bad))
    refined = len(steps) - 1 - _first_pair(kept)
    return between if refined < plan.refinements and good < between < bad and bad > good * plan.near else None


def kept_up(step: Step, steps: Sequence[Step]) -> bool:
    """Whether what was offered was answered, in good time. `steps` has the lightest one, to compare with."""
    lightest = min(steps, key=lambda each: each.offered_rps)
    # One request more or less is how the beginning of a step happens to lie between two of them.
    due = step.offered_rps * step.seconds
    answered = step.answered_rps * step.seconds + 1 >= ANSWERED * due
    sent = step.requests + 1 >= ANSWERED * due
    failed = sum(step.failures.values()) > FAILED * step.requests
    return answered and sent and not failed and step.p95 <= max(SLOWER * lightest.p95, SLOW_MILLISECONDS)


def only_slow(step: Step, steps: Sequence[Step]) -> bool:
    """Whether all was answered rightly, but too late: what a moment's disturbance does as well as a rate."""
    return not kept_up(step, steps) and kept_up(replace(step, p95=0.0), steps)


def knee(steps: Sequence[Step]) -> float | None:
    """The highest rate that was kept up with; None without one."""
    return max((each.offered_rps for each in steps if kept_up(each, steps)), default=None)


def saturated(steps: Sequence[Step]) -> Step | None:
    """The lowest rate that was too much; None when none was."""
    return min((each for each in steps if not kept_up(each, steps)), key=lambda each: each.offered_rps, default=None)


def _within(rate: int, plan: Plan) -> int:
    return rate if plan.highest is None else min(rate, plan.highest)


def _first_pair(kept: Sequence[bool]) -> int:
    """The step with which both one that was kept up with and one that was not were known."""
    return next(index for index in range(len(kept)) if len(set(kept[: index + 1])) == 2)
