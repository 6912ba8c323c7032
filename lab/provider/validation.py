"""Whether the inputs of a resource are such as AWS and its provider take, by limits.py and together.py. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lab.provider.errors import InputError
from lab.provider.limits import LIMITS
from lab.provider.rules import Rule
from lab.provider.together import TOGETHER
from lab.provider.values import UNKNOWN, is_secret, plain


def findings(kind: str, given: Mapping[str, Any]) -> Iterator[InputError]:
    """What is wrong with the inputs of a resource of type `kind`. Nothing is said of a value that is not known yet."""
    for path, rules in LIMITS.get(kind, {}).items():
        for where, value, hidden in _at(given, path.split("."), "", False):
            yield from _broken(where, plain(value), rules, hidden)
    known = {key: plain(value) for key, value in given.items() if plain(value) != UNKNOWN}
    for judge in TOGETHER.get(kind, ()):
        yield from (InputError(f"{name} {wrong}", name) for name, wrong in judge(known))


def _at(given: Any, path: list[str], where: str, hidden: bool) -> Iterator[tuple[str, Any, bool]]:
    """What `path` leads to: its place, its value, and whether it is a secret. An absent value has no place."""
    if isinstance(given, Mapping) and is_secret(given):
        given, hidden = given["value"], True
    if given is None or given == UNKNOWN:
        return
    if not path:
        yield where, given, hidden
        return
    step, *rest = path
    name = step.removesuffix("[]")
    if not isinstance(given, Mapping) or name not in given:
        return
    here, value = f"{where}.{name}" if where else name, given[name]
    if name == step:
        yield from _at(value, rest, here, hidden)
        return
    if isinstance(value, Mapping) and is_secret(value):
        value, hidden = value["value"], True
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from _at(item, rest, f"{here}[{index}]", hidden)


def _broken(where: str, value: Any, rules: Iterable[Rule], hidden: bool) -> Iterator[InputError]:
    """The first rule that `value` breaks. A secret is not shown."""
    for rule in rules:
        if demand := rule.demand(value):
            shown = "what is given, a secret, is not shown" if hidden else rule.shown(value)
            yield InputError(f"{where} must {demand}, and {shown}", where)
            return
