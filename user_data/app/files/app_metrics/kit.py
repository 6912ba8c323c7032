"""What caches and databases of @expressway/kit tell in one of the app's processes: its measured.js. Pure.

Numbers by name; none of what a process hasn't, and so nothing at all of an app without the kit.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

Told = Mapping[str, float]
Merge = Mapping[str, Callable[[Iterable[float]], float]]

READS = {"hits": "hit", "misses": "miss", "stale": "stale", "bypassed": "bypass"}
"""Of caches, by where the value came from; since the process started, as is the next one."""
RETRIES = "retries"
"""Of statements that databases had not done."""
OPEN = "open"
"""Breakers that aren't closed, at that moment; so are the next two."""
ROTATION = "rotation"
"""Replicas that are read from."""
LAG = "lag"
"""Milliseconds that the worst of them is behind."""

_GROWING = (*READS, RETRIES)
_TOGETHER: Merge = {**dict.fromkeys(_GROWING, sum), OPEN: sum, ROTATION: min, LAG: max}
_MEANWHILE: Merge = {OPEN: max, ROTATION: min, LAG: max}


def parse(told: object) -> Told:
    """What of a report is known here."""
    found = cast(dict[object, object], told) if isinstance(told, dict) else {}
    numbers = {name: found.get(name) for name in _TOGETHER}
    return {name: value for name, value in numbers.items() if isinstance(value, (int, float)) and math.isfinite(value)}


def between(before: Told, told: Sequence[Told]) -> Told:
    """What a process did in its reports after one before them: how much has grown, and the worst of the rest."""
    last = told[-1]
    # A cache that was closed has taken its counts along.
    grown = {name: max(0.0, last[name] - before.get(name, 0.0)) for name in _GROWING if name in last}
    return {**grown, **_merge(told, _MEANWHILE)}


def together(told: Iterable[Told]) -> Told:
    """What several processes tell, as if they were one."""
    return _merge(list(told), _TOGETHER)


def _merge(told: Sequence[Told], merge: Merge) -> Told:
    found = {name: [each[name] for each in told if name in each] for name in merge}
    return {name: merge[name](values) for name, values in found.items() if values}
