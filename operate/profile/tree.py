"""V8's CPU profile as a call tree, and by function. Pure.

https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile: nodes name their children; `samples` says
which node ran at each look, `timeDeltas` the microseconds since the look before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from operate.profile.model import Frame, Function, Origin, Profile

LEAST_SHARE: Final = 0.001
"""Of the busy time. What is in less of it isn't a box that anybody could see."""
ROOT, IDLE = "(root)", "(idle)"
MODULES: Final = "node_modules/"
PROFILING: Final = "node:inspector:"
"""Where the profile itself is begun and ended, which nothing takes time for otherwise."""


class ProfileFormatError(Exception):
    """This is no profile of V8's."""


@dataclass
class _Node:
    name: str
    where: str
    origin: Origin
    children: list[int]
    self_ms: float = 0.0
    total_ms: float = 0.0
    path: frozenset[tuple[str, str]] = field(default_factory=frozenset)


def read(text: str, app: str, machine: str, process: str) -> Profile:
    """What a profile says; `app` is the app's folder on the machine. ProfileFormatError."""
    try:
        told = json.loads(text)
        nodes = {int(each["id"]): _node(each, app) for each in told["nodes"]}
        samples, deltas = [int(each) for each in told["samples"]], [float(each) for each in told["timeDeltas"]]
        for sample, microseconds in zip(samples, deltas, strict=True):
            # A clock that is set while it is read makes one negative.
            nodes[sample].self_ms += max(0.0, microseconds) / 1000
        order = _order(nodes, int(told["nodes"][0]["id"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ProfileFormatError(f"what the worker told is no CPU profile ({type(error).__name__}: {error})") from error
    for each in order:
        if nodes[each].where.startswith(PROFILING):
            nodes[each].self_ms = 0.0
    idle = sum(nodes[each].self_ms for each in order if nodes[each].name == IDLE)
    ms = sum(nodes[each].self_ms for each in order)
    for each in order:
        if nodes[each].name == IDLE:
            nodes[each].self_ms = 0.0
    for each in reversed(order):
        nodes[each].total_ms = nodes[each].self_ms + sum(nodes[child].total_ms for child in nodes[each].children)
    return Profile(machine, process, ms, idle, len(samples), _functions(nodes, order), _frames(nodes, order))


def place(url: str, line: int, app: str) -> tuple[str, Origin]:
    """Where a function is, for people, and whose it is; `line` counts from 0, as V8 does."""
    path = unquote(url.removeprefix("file://"))
    if not path or path.startswith("node:"):
        return (f"{path}:{line + 1}" if path else ""), "node"
    if path.startswith(f"{app}/"):
        path = path[len(app) + 1 :]
        before, found, inside = path.rpartition(MODULES)
        if not found or (before and not before.endswith("/")):
            return f"{path}:{line + 1}", "app"
        return f"{MODULES}{inside}:{line + 1}", "module"
    if path.startswith(("/", "\\")):
        # PM2, and what Expressway loads; a module that is a link, or above the app's folder, is the app's all the same.
        above = app.rpartition("/")[0]
        _, found, inside = path.rpartition(f"/{MODULES}")
        if found and above and path.startswith(f"{above}/"):
            return f"{MODULES}{inside}:{line + 1}", "module"
        return f"{path}:{line + 1}", "node"
    # What it was called when it was compiled: evalmachine.<anonymous>, webpack://..., wasm://...
    return f"{path}:{line + 1}", "app"


def _node(told: Mapping[str, Any], app: str) -> _Node:
    frame = told["callFrame"]
    name, line = str(frame["functionName"]), int(frame["lineNumber"])
    where, origin = place(str(frame["url"]), line, app)
    return _Node(name or "(anonymous)", where, origin, [int(each) for each in told.get("children") or []])


def _order(nodes: Mapping[int, _Node], root: int) -> list[int]:
    """From the root, callers before what they call. ValueError where it is no tree."""
    found: list[int] = []
    seen, waiting = {root}, [root]
    while waiting:
        found.append(waiting.pop())
        node = nodes[found[-1]]
        for child in node.children:
            if child in seen:
                raise ValueError(f"node {child} has two callers")
            seen.add(child)
            key = (node.name, node.where)
            # Shared by all below a function that calls itself.
            nodes[child].path = node.path if key in node.path else node.path | {key}
        waiting += reversed(node.children)
    return found


def _functions(nodes: Mapping[int, _Node], order: list[int]) -> tuple[Function, ...]:
    found: dict[tuple[str, str], Function] = {}
    for each in order:
        node = nodes[each]
        if node.name in (ROOT, IDLE) and not node.where:
            continue
        key = (node.name, node.where)
        known = found.get(key) or Function(node.name, node.where, node.origin, 0.0, 0.0)
        total = 0.0 if key in node.path else node.total_ms
        found[key] = replace(known, self_ms=known.self_ms + node.self_ms, total_ms=known.total_ms + total)
    return tuple(sorted(found.values(), key=lambda each: (-each.self_ms, -each.total_ms, each.name, each.where)))


def _frames(nodes: Mapping[int, _Node], order: list[int]) -> tuple[Frame, ...]:
    """The callers' children side by side in the order of their names, so that two profiles look alike."""
    root = order[0]
    least = max(nodes[root].total_ms * LEAST_SHARE, 1e-9)
    found: list[Frame] = []
    waiting = [(root, -1)]
    while waiting:
        number, parent = waiting.pop()
        node = nodes[number]
        found.append(Frame(parent, node.name, node.where, node.origin, node.self_ms, node.total_ms))
        at = len(found) - 1
        shown = [each for each in node.children if nodes[each].total_ms >= least]
        waiting += [(each, at) for each in sorted(shown, key=lambda each: (nodes[each].name, each), reverse=True)]
    return tuple(found)
