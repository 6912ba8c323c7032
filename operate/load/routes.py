"""The mix of an app without one: GET routes, as Express lists them or an access log counts them. Never a write."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from operate.load.mix import Mix, Route

MOST: Final = 20
"""Paths of a log, those that were asked most."""
HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Asked by machines, not by users."""

_PARAMETER = re.compile(r"[:*?+(){}\[\]]")
_PLAIN = re.compile(r"/[^\s#{}]*")


@dataclass(frozen=True)
class Listed:
    """One route of an app, as Express has it."""

    method: str
    path: str
    """A pattern, such as `/items/:id`."""


@dataclass(frozen=True)
class Chosen:
    """A mix, and why it is so."""

    mix: Mix
    notes: tuple[str, ...]
    """One line each, for people."""


def of_app(listed: Sequence[Listed], health: Iterable[str] = ()) -> tuple[dict[str, float], list[str]]:
    """Paths that can be asked as they are, each as often; and a line for what is left out."""
    none = HEALTH | set(health)
    gets = dict.fromkeys(each.path for each in listed if each.method == "GET" and each.path not in none)
    plain = {path: 1.0 for path in gets if not _PARAMETER.search(path) and _PLAIN.fullmatch(path)}
    notes: list[str] = []
    if unknown := [path for path in gets if path not in plain]:
        notes.append(f"left out, as their parameters aren't known: {', '.join(unknown)}")
    if writes := sorted({f"{each.method} {each.path}" for each in listed if each.method != "GET"}):
        notes.append(f"left out, as they may write: {', '.join(writes)}")
    return plain, notes


def of_log(lines: Iterable[str], health: Iterable[str] = ()) -> tuple[dict[str, float], list[str]]:
    """Paths of an edge's access log, by how often each was asked and answered below 400."""
    none = HEALTH | set(health)
    counted: Counter[str] = Counter()
    writes = others = 0
    for line in lines:
        entry = _entry(line)
        if entry is None:
            others += bool(line.strip())
        elif entry["method"] not in ("GET", "HEAD"):
            writes += 1
        elif (path := str(entry["uri"])) and _PLAIN.fullmatch(path) and urlsplit(path).path not in none:
            counted[path] += entry["method"] == "GET" and int(entry["status"]) < 400
    kept = {path: float(count) for path, count in counted.most_common(MOST) if count}
    notes: list[str] = []
    if (left := sum(counted.values()) - int(sum(kept.values()))) > 0:
        notes.append(f"left out: {left} requests to paths that are asked less often than these {MOST}")
    if writes:
        notes.append(f"left out, as they may write: {writes} requests other than GET")
    if others:
        notes.append(f"left out: {others} lines that are none of the edge's access log")
    return kept, notes


def choose(found: Mapping[str, float], source: str, notes: Sequence[str], ask: Callable[[str], str]) -> Chosen | None:
    """The mix of those paths that answer now. `ask` says what is wrong with a path's answer, or nothing.

    None when none of them does.
    """
    wrong = {path: problem for path in found if (problem := ask(path))}
    good = {path: weight for path, weight in found.items() if path not in wrong}
    if not good:
        return None
    told = [f"GET {path} {problem}: left out" for path, problem in wrong.items()]
    mix = Mix(routes=[Route(path=path, weight=weight) for path, weight in good.items()])
    return Chosen(mix, (f"no mix file: {source}", *notes, *told))


def _entry(line: str) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    fields = isinstance(entry, dict) and {"method", "uri", "status"} <= entry.keys()
    return entry if fields and isinstance(entry["status"], int) else None
