"""A value that breaks a rule, told so that it can be mended without reading code; and what of a value may be shown."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Final

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|(?<!PUBLIC)_KEY$|API_?KEY", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[A-Z0-9]{16}\b"
)
_LONGEST_SHOWN = 100


class _Mark:
    """A value of its own, equal to nothing else."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


HIDDEN: Final = _Mark("(not shown)")
"""Stands for a value that may be a secret."""

NOTHING: Final = _Mark("")
"""Stands for a value that there is no use in showing."""

UNKNOWN: Final = _Mark("(not known yet)")
"""Stands for a value that another resource will give. It breaks no rule until it is known."""


@dataclass(frozen=True)
class Finding:
    """One value that breaks a rule."""

    path: str
    """The property's, such as `subnets[0].public`."""
    value: object
    rule: str
    """What should be so and isn't."""
    remedy: str
    """How to mend it."""

    @property
    def shown(self) -> str:
        """The value as text for people."""
        return show(self.path, self.value)

    def under(self, outer: str) -> "Finding":
        """The same, with a path that starts further out."""
        return dataclasses.replace(self, path=f"{outer}{self.path}")


def looks_secret(name: str, value: object) -> bool:
    """Whether a variable's name or value says that it is a secret."""
    return bool(_SECRET_NAME.search(name)) or (isinstance(value, str) and bool(_SECRET_VALUE.search(value)))


def show(path: str, value: object) -> str:
    """A given value as text for people; nothing that may be or hold a secret."""
    if isinstance(value, _Mark):
        return repr(value)
    if looks_secret(path, value):
        return repr(HIDDEN)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= _LONGEST_SHOWN else f'"{value[:_LONGEST_SHOWN]}…"'
    return str(value) if isinstance(value, int | float) else f"a {type(value).__name__}"
