"""What changed between two sets of inputs, and whether AWS can change it in place. Pure."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lab.provider.resource import DEFAULTS


class Kind(StrEnum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Change:
    """One property that differs, in the input `input`. `path` is Pulumi's notation: `tags["a:b"]`, `rules[0].days`."""

    input: str
    path: str
    kind: Kind
    replaces: bool


def compare(
    old: Mapping[str, Any], new: Mapping[str, Any], replaces_on: Collection[str], ignored: Collection[str] = ()
) -> list[Change]:
    """Every difference between plain inputs, by path; those in `ignored` inputs aside."""
    return [
        Change(name, path, kind, name in replaces_on)
        for name in sorted({*old, *new} - {DEFAULTS, *ignored})
        for path, kind in _differences(_only(old, name), _only(new, name), "")
    ]


def _only(inputs: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {name: inputs[name]} if name in inputs else {}


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Kind]]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            inner = _inside(path, key)
            if key not in old:
                yield inner, Kind.ADD
            elif key not in new:
                yield inner, Kind.DELETE
            else:
                yield from _differences(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, f"{path}[{index}]")
    else:
        yield path, Kind.UPDATE


def _inside(path: str, key: str) -> str:
    if not re.fullmatch(r"\w+", key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key
