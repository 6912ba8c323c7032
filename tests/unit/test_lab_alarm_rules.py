"""The state of an alarm, by the values of its metric: AWS's own tables, and what they leave open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.api.alarm_rules import FARTHER_BACK, MISSING, Rule, State, judge

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
# 0 is a value that does not breach, X one that does, - one that is missing. The states are those of the treatments
# missing, ignore, breaching and notBreaching; "" stands for the state that it was in.
THREE_OF_THREE: list[tuple[str, list[State | str]]] = [
    ("0-X-X", ["OK", "OK", "OK", "OK"]),
    ("----0", ["OK", "OK", "OK", "OK"]),
    ("-----", ["INSUFFICIENT_DATA", "", "ALARM", "OK"]),
    ("0XX-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("--X--", ["ALARM", "", "ALARM", "OK"]),
]
TWO_OF_THREE: list[tuple[str, list[State | str]]] = [
    ("0-X-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("00X0X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("0-X--", ["OK", "OK", "ALARM", "OK"]),
    ("----0", ["OK", "OK", "ALARM", "OK"]),
    ("---X-", ["ALARM", "", "ALARM", "OK"]),
]


def values(written: str) -> list[float | None]:
    return [None if each == "-" else float(each == "X") for each in written]


@pytest.mark.parametrize(
    ("needed", "written", "treatment", "state"),
    [
        (needed, written, treatment, state)
        for needed, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for written, states in table
        for treatment, state in zip(MISSING, states, strict=True)
    ],
)
def test_missing_values_count_as_awss_tables_say(needed: int, written: str, treatment: str, state: str) -> None:
    rule = Rule("GreaterThanThreshold", 0.5, 3, needed, treatment)
    assert (judge(rule, values(written)) or "") == state


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [False, False, True]),
        ("GreaterThanOrEqualToThreshold", [False, True, True]),
        ("LessThanThreshold", [True, False, False]),
        ("LessThanOrEqualToThreshold", [True, True, False]),
    ],
)
def test_a_value_is_compared_with_the_threshold(comparison: str, breaching: list[bool]) -> None:
    rule = Rule(comparison, 5, 1, 1)
    assert [judge(rule, [None, None, value]) == "ALARM" for value in (4.0, 5.0, 6.0)] == breaching


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.sampled_from(MISSING))
def test_where_all_values_are_there_their_treatment_does_not_matter(found: list[float], treatment: str) -> None:
    rule = Rule("GreaterThanThreshold", 0.5, 3, 2, treatment)
    assert len(found) == rule.periods + FARTHER_BACK
    raised = sum(value > 0.5 for value in found[-3:]) >= 2
    assert judge(rule, found) == ("ALARM" if raised else "OK")
