"""A rule about one value: stated once, for components, settings and the reference."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .findings import UNKNOWN, Finding

SHAPES: dict[type, tuple[str, str]] = {
    int: ("it must be a whole number", "Write it in digits, without quotes."),
    float: ("it must be a number", "Write it in digits, without quotes."),
    str: ("it must be text", "Put it in quotes."),
    list: ("it must be a list", "Start each entry with a dash."),
}
"""Rule and remedy for a value of another type."""


@dataclass(frozen=True)
class Rule:
    """What one value must be."""

    kind: type[int] | type[float] | type[str]
    """Its type. A whole number is a float as well."""
    holds: Callable[[Any], bool]
    """Whether a value of that type is one."""
    must: str
    """The rule, in the words that people get to read."""
    remedy: str
    """How to mend what breaks it."""
    range: str = ""
    """The values there are, in short, for tables: `1024 to 65535`. Empty where that can't be said in short."""

    def check(self, path: str, value: object) -> list[Finding]:
        """What is wrong with `value`: nothing, or one finding. A value that isn't known yet breaks no rule."""
        if value is UNKNOWN:
            return []
        kinds = (int, float) if self.kind is float else self.kind
        if not isinstance(value, kinds) or isinstance(value, bool):
            return [Finding(path, value, *SHAPES[self.kind])]
        return [] if self.holds(value) else [Finding(path, value, self.must, self.remedy)]


@dataclass(frozen=True)
class Each:
    """What each entry of a list must be."""

    rule: Rule

    def check(self, path: str, value: object) -> list[Finding]:
        """What is wrong with the list, or with its entries. One that isn't known yet breaks no rule."""
        if value is UNKNOWN:
            return []
        if not isinstance(value, list):
            return [Finding(path, value, *SHAPES[list])]
        entries = enumerate(cast(list[object], value))
        return [finding for index, each in entries for finding in self.rule.check(f"{path}[{index}]", each)]


def number(least: int, most: int | None = None, remedy: str = "") -> Rule:
    """A whole number within bounds, which are part of it."""
    if most is None:
        return Rule(
            int, lambda value: value >= least, f"it must be at least {least}", remedy or "Raise it.", f"{least} or more"
        )
    told = f"{least} {'or' if most == least + 1 else 'to'} {most}"
    remedy = remedy or "Choose a number in that range."
    return Rule(int, lambda value: least <= value <= most, f"it must be {told}", remedy, told)


def matching(pattern: str, must: str, remedy: str) -> Rule:
    """Text that `pattern` matches as a whole."""
    return Rule(str, lambda value: re.fullmatch(pattern, value) is not None, must, remedy)


def choice(choices: Sequence[str] | Sequence[int], must: str = "") -> Rule:
    """One of the given values."""
    told = either(choices)
    must, remedy = (must, f"Choose {told}.") if must else (f"it must be {told}", "Choose one of them.")
    return Rule(type(choices[0]), lambda value: value in choices, must, remedy, told)


def either(choices: Sequence[object]) -> str:
    """The choices as people list them: `13, 14 or 15`."""
    *first, last = (str(each) for each in choices)
    return f"{', '.join(first)} or {last}" if first else last
