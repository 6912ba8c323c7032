"""Kinds of rules about one value, each with the source of what it demands. Pure.

Most limits are in AWS's own service models, which boto3 carries; the others name the page or the file that has them.
"""

import ipaddress
import json
import re
from abc import ABC, abstractmethod
from functools import cache, cached_property
from typing import Any

import botocore.session
from typing_extensions import override

FEW = 10
"""As many words as a message lists."""


class Rule(ABC):
    """What a value must be."""

    source: str

    @abstractmethod
    def demand(self, value: Any) -> str | None:
        """What `value` must be and is not, to follow "must"; None when it is."""

    def shown(self, value: Any) -> str:
        """How a message tells the value that broke the rule."""
        return f"is {value!r}" if not isinstance(value, str) or len(value) <= 60 else f"has {len(value)} characters"


class OneOf(Rule):
    """One of some words."""

    def __init__(self, *words: str, source: str) -> None:
        self._words, self.source = words, source

    @override
    def demand(self, value: Any) -> str | None:
        return None if value in self._words else f"be {_either(self._words)}"


class Between(Rule):
    """A whole number from `low` to `high`, or one of those `besides`."""

    def __init__(self, low: int, high: int, *besides: int, source: str) -> None:
        self._low, self._high, self._besides, self.source = low, high, besides, source

    @override
    def demand(self, value: Any) -> str | None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and (self._low <= value <= self._high or value in self._besides):
            return None
        return f"be {_either((*self._besides, f'{self._low} to {self._high}'))}"


class Length(Rule):
    """A text of `low` to `high` characters."""

    def __init__(self, low: int, high: int, *, source: str) -> None:
        self._low, self._high, self.source = low, high, source

    @override
    def demand(self, value: Any) -> str | None:
        return None if self._low <= len(str(value)) <= self._high else f"have {self._low} to {self._high} characters"

    @override
    def shown(self, value: Any) -> str:
        return f"has {len(str(value))}"


class Matches(Rule):
    """A text of some form, told in words: a pattern explains nothing."""

    def __init__(self, pattern: str, words: str, *, source: str) -> None:
        self._pattern, self._words, self.source = re.compile(pattern), words, source

    @override
    def demand(self, value: Any) -> str | None:
        return None if self._pattern.fullmatch(str(value)) else self._words


class Json(Rule):
    """A JSON object with the members that a policy must have, as text or as the map itself."""

    def __init__(self, *members: str, source: str) -> None:
        self._members, self.source = members, source

    @override
    def demand(self, value: Any) -> str | None:
        try:
            document = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return "be JSON"
        if not isinstance(document, dict):
            return "be a JSON object"
        missing = [member for member in self._members if member not in document]
        return f"have a {missing[0]}" if missing else None


class Network(Rule):
    """An IPv4 network: a prefix of `shortest` to `longest` bits, and nothing after it."""

    def __init__(self, shortest: int, longest: int, *, source: str) -> None:
        self._prefixes, self.source = range(shortest, longest + 1), source

    @override
    def demand(self, value: Any) -> str | None:
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError:
            return "be an IPv4 network whose host bits are 0, such as 10.0.0.0/16"
        if network.prefixlen not in self._prefixes:
            return f"have a prefix of /{self._prefixes[0]} to /{self._prefixes[-1]}"
        return None


class Model(Rule):
    """What AWS's service model says of a shape: its words, its lengths, its pattern."""

    def __init__(self, service: str, shape: str) -> None:
        self._service, self._shape = service, shape
        self.source = f"the service model of {service}, {shape}"

    @cached_property
    def _limits(self) -> dict[str, Any]:
        return dict(_service_model(self._service).shape_for(self._shape).metadata)

    @override
    def demand(self, value: Any) -> str | None:
        text, low, high = str(value), self._limits.get("min", 0), self._limits.get("max")
        if (words := self._limits.get("enum")) and value not in words:
            return f"be {_either(words)}" if len(words) <= FEW else f"be one of AWS's {len(words)} words for it"
        if high is not None and not low <= len(text) <= high:
            return f"have {low} to {high} characters"
        if (pattern := self._limits.get("pattern")) and not re.fullmatch(pattern, text):
            return f"match {pattern}"
        return None


@cache
def _service_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _either(words: Any) -> str:
    *others, last = map(str, words)
    return f"{', '.join(others)} or {last}" if others else last
