"""What state an alarm is in, by the values of its metric. Plain values, no API and no clock.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

FARTHER_BACK: Final = 2
"""Periods before those that are evaluated, whose data is taken where there is none later: as in AWS's own example."""

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
MISSING: Final = ("missing", "ignore", "breaching", "notBreaching")


@dataclass(frozen=True)
class Rule:
    """What an alarm is raised by: `needed` of `periods` values that compare so with the threshold."""

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str = "missing"


def judge(rule: Rule, values: Sequence[float | None]) -> State | None:
    """The state; None for the one that it was in. `values`: of each period, oldest first, and FARTHER_BACK more."""
    compare = COMPARISONS[rule.comparison]
    found = [compare(value, rule.threshold) for value in values if value is not None][-rule.periods :]
    absent = rule.periods - len(found)
    # Where enough values are there, those that are not don't count.
    breaching = sum(found) + (absent if rule.missing == "breaching" else 0)
    if breaching >= rule.needed:
        return "ALARM"
    if not absent or rule.missing in ("breaching", "notBreaching") or not all(found):
        return "OK"
    # As far as there are values, all breach: too few to tell, or none at all.
    if rule.missing == "ignore":
        return None
    return "ALARM" if found else "INSUFFICIENT_DATA"
