"""What must not leave the machine in a log: the app's secrets by their values, and what looks like one."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

HIDDEN = "***"
SHORTEST = 6
"""Characters. A shorter value is also an ordinary word, and every line would lose it."""
_ADDRESSES = ("DATABASE_URL", "DATABASE_DIRECT_URL", "DATABASE_REPLICA_URLS", "DATABASE_READER_URL", "REDIS_URL")
"""The app's variables of which the password alone is secret."""

_VALUE = r"""(?:[^\s"'\\&,;}]|\\(?!["nrt]))+"""
_NAME = r"password|passwd|pwd|secret|token|api[_-]?key|access[_-]?token|refresh[_-]?token|client[_-]?secret"
_SHAPES = (
    # postgresql://user:password@host
    (("://",), r"""(://[^\s:/@"'\\]*:)[^\s@"'\\]+(?=@)""", rf"\1{HIDDEN}"),
    # Authorization: Bearer ..., as a header, in JSON, and as Node prints an object
    (
        ("authorization",),
        rf"""(?i)((?:proxy-)?authorization\\?["']?\s*[:=]\s*\\?["']?(?:(?:basic|bearer|digest)\s+)?){_VALUE}""",
        rf"\1{HIDDEN}",
    ),
    (("akia", "asia"), r"\b((?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{12}\b", rf"\1{HIDDEN}"),
    (
        ("aws",),
        rf"""(?i)(aws_?(?:secret_?access_?key|session_?token)\\?["']?\s*[:=]\s*\\?["']?){_VALUE}""",
        rf"\1{HIDDEN}",
    ),
    # password=..., "token":"...", ?api_key=...
    (
        ("pass", "pwd", "secret", "token", "key"),
        rf"""(?i)((?<![A-Za-z])(?:{_NAME})\\?["']?\s*[=:]\s*\\?["']?){_VALUE}""",
        rf"\1{HIDDEN}",
    ),
)
"""What has to be in a line, in lower case, for it to be worth a look; what is looked for; what takes its place."""
_LOOKED_FOR = tuple((hints, re.compile(pattern), instead) for hints, pattern, instead in _SHAPES)


def secrets(variables: Mapping[str, str], named: Iterable[str]) -> set[str]:
    """The secret ones among the values of the app's environment: those of `named`, and the addresses' passwords."""
    found = {variables[name] for name in named if name in variables}
    for name in _ADDRESSES:
        for address in variables.get(name, "").split(","):
            try:
                password = urlsplit(address).password
            except ValueError:
                continue
            if password:
                found |= {password, unquote(password)}
    # A value of several lines, such as a key, is printed line by line.
    return {line for value in found for line in value.splitlines() if len(line) >= SHORTEST}


class Mask:
    """Hides secrets in text. Those that were known once stay hidden: what is logged may be older than a change."""

    def __init__(self, environment: Path | None = None, named: Iterable[str] = ()) -> None:
        """`environment`: the app's, as JSON, which changes with its secrets; `named`: which variables are secret."""
        self._environment = environment
        self._named = tuple(named)
        self._seen: float | None = None
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def look(self) -> None:
        """Learn what is secret now."""
        if self._environment is None:
            return
        try:
            changed = self._environment.stat().st_mtime
            if changed == self._seen:
                return
            self.learn(secrets(json.loads(self._environment.read_text()), self._named))
            self._seen = changed
        except (OSError, ValueError):
            return  # not there before the app starts, nor while it stops

    def learn(self, values: Iterable[str]) -> None:
        """Hide these from now on, as they are, in a URL and in JSON."""
        for value in values:
            self._known |= {value, quote(value, safe=""), json.dumps(value)[1:-1]}
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """The text without them."""
        if self._pattern:
            text = self._pattern.sub(HIDDEN, text)
        lower = text.lower()
        for hints, shape, instead in _LOOKED_FOR:
            if any(hint in lower for hint in hints):
                text = shape.sub(instead, text)
        return text
