"""What a rule looks at, and what a rule is."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


class _Unknown:
    """The one value of its kind."""


UNKNOWN: Final = _Unknown()
"""Stands for what only AWS will tell. No rule may hold it against a resource."""

HUB: Final = "https://docs.aws.amazon.com/securityhub/latest/userguide"
"""Where AWS describes the controls of Security Hub, a page for each service."""


@dataclass(frozen=True)
class Resource:
    """A resource as the engine shows it to a policy."""

    type: str
    """The resource type's token, such as `aws:rds/instance:Instance`."""
    name: str
    props: Mapping[str, Any]
    """By Pulumi's own names (camelCase)."""
    urn: str = ""
    provider: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The configuration of the resource's provider."""
    references: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Property -> URNs of the resources that its value comes from. Only a rule about the whole stack is told."""

    def get(self, path: str) -> Any:
        """The value at a dotted path: None where nothing is set, UNKNOWN where only AWS will tell."""
        return dig(self.props, path)

    def refers(self, path: str, other: "Resource", *names: str) -> bool:
        """Whether `path` names `other`: by reference, or else by one of the properties `names` of `other`."""
        if other.urn in self.references.get(path, ()):
            return True
        known = {other.get(name) for name in names} - {None, UNKNOWN}
        return not known.isdisjoint(_texts(self.get(path)))


@dataclass(frozen=True)
class Settings:
    """A rule's options, as configured or by default, and the stack that it looks at."""

    stack: str
    """The stack's name."""
    options: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.options[name]


Options = Mapping[str, Mapping[str, Any]]
"""Option -> its JSON schema, with the default."""


@dataclass(frozen=True)
class Rule:
    """A rule about one resource."""

    name: str
    says: str
    source: str
    """Where the rule comes from: a control of AWS Security Hub, where there is one."""
    check: Callable[[Resource, Settings], Iterable[str]]
    """Tells each violation: which property, what it is, and how to mend it."""
    options: Options = field(default_factory=dict[str, Mapping[str, Any]])


@dataclass(frozen=True)
class StackRule:
    """A rule about all resources of a stack together."""

    name: str
    says: str
    source: str
    check: Callable[[Sequence[Resource], Settings], Iterable[tuple[Resource, str]]]
    options: Options = field(default_factory=dict[str, Mapping[str, Any]])


def settings(rule: Rule | StackRule, stack: str, configured: Mapping[str, Any]) -> Settings:
    """The rule's options: what is configured, over the defaults."""
    defaults = {name: schema["default"] for name, schema in rule.options.items() if "default" in schema}
    return Settings(stack, {**defaults, **configured})


def dig(value: Any, path: str) -> Any:
    """The value at a dotted path below `value`."""
    for step in path.split("."):
        if value is UNKNOWN:
            return UNKNOWN
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def listed(value: Any) -> Sequence[Any]:
    """A list's entries; none where there is no list, or where only AWS will tell."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def is_true(value: Any) -> bool:
    """Launch templates have booleans as text."""
    return value is True or value == "true"


def may_be_true(value: Any) -> bool:
    """Whether it is true, or may turn out to be."""
    return value is UNKNOWN or is_true(value)


def wrong(path: str, value: Any, remedy: str) -> str:
    """A violation, told the same way everywhere."""
    return f"{path} is {'not set' if value is None else json.dumps(value)}. {remedy}"


def _texts(value: Any) -> Iterator[str]:
    """Every text in it, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    else:
        for each in listed(value):
            yield from _texts(each)
