"""A configuration's mistakes, told so that each can be mended without reading code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

HIDDEN = "(not shown)"
"""Stands for a value that may be a secret."""

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|(?<!PUBLIC)_KEY$|API_?KEY", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[A-Z0-9]{16}\b"
)


@dataclass(frozen=True)
class Problem:
    """One mistake."""

    path: str
    """The full key, such as `expressway:app.minSize`."""
    value: str
    """What is given, as text; empty when there is nothing to show."""
    rule: str
    """What should be so and isn't."""
    remedy: str
    """How to mend it."""

    def __str__(self) -> str:
        given = f" = {self.value}" if self.value else ""
        return f"{self.path}{given}\n    {self.rule}\n    {self.remedy}"


class SettingsError(Exception):
    """A configuration can't be used: every mistake at once."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda each: each.path))
        count = f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {each}" for each in self.problems)]))


def looks_secret(name: str, value: object) -> bool:
    """Whether a variable's name or value says that it is a secret."""
    return bool(_SECRET_NAME.search(name)) or (isinstance(value, str) and bool(_SECRET_VALUE.search(value)))


def show(path: str, value: object) -> str:
    """A given value as text for people; nothing that may be or hold a secret."""
    if looks_secret(path, value):
        return HIDDEN
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
