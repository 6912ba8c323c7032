"""What each app server answers a second, from what the edges had counted when they reported before and now. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from operate.counters import Counters, quantile, since, total
from operate.reports import EdgeReport

SLOW_QUANTILE = 0.95
LONGEST = 10.0
"""Seconds: the edges' last bound."""


@dataclass(frozen=True)
class Traffic:
    """Of one machine, over the seconds between two reports: 2 while machines come and go, 10 otherwise."""

    requests: float
    """Answers a second."""
    errors: float
    """Of those, answers of 500 and above; and connections that failed."""
    p95: float | None
    """Seconds within which 95 of 100 answers were complete, by the edges' buckets: 10 is that and more. None without
    answers."""


class Meter:
    """Compares each edge's report with the one before."""

    def __init__(self) -> None:
        self._last: dict[str, EdgeReport] = {}
        self._spans: dict[str, tuple[EdgeReport, EdgeReport]] = {}

    def look(self, edges: Sequence[EdgeReport]) -> dict[str, Traffic]:
        """By machine, edges included: theirs is what their app servers answered. Nothing of an edge's first report."""
        for edge in edges:
            last = self._last.get(edge.id)
            if last is not None and edge.at > last.at:
                self._spans[edge.id] = last, edge
            self._last[edge.id] = edge
        found: dict[str, Traffic] = {}
        seen: dict[str, list[tuple[Counters, float]]] = {}
        for edge in edges:
            if not edge.fresh or edge.id not in self._spans:
                continue
            before, after = self._spans[edge.id]
            seconds = after.at - before.at
            counted = {
                machine: since(before.members[machine].counters, view.counters)
                for machine, view in after.members.items()
                if machine in before.members
            }
            found[edge.id] = _traffic([(total(counted.values()), seconds)])
            for machine, counters in counted.items():
                seen.setdefault(machine, []).append((counters, seconds))
        return found | {machine: _traffic(parts) for machine, parts in seen.items()}


def _traffic(parts: Sequence[tuple[Counters, float]]) -> Traffic:
    """Of what each edge counted in so many seconds."""
    p95 = quantile(total(counters for counters, _ in parts).buckets, SLOW_QUANTILE)
    return Traffic(
        requests=round(sum(counters.requests / seconds for counters, seconds in parts), 1),
        errors=round(sum(counters.errors / seconds for counters, seconds in parts), 1),
        p95=None if p95 is None else min(p95, LONGEST),
    )
