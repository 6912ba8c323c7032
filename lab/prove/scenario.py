"""A scenario, and what came of it. Plain values."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lab.bench.load import Outcome

from . import releases
from .stand import Stand


@dataclass(frozen=True)
class Result:
    """What was seen in a scenario."""

    outcome: Outcome
    misses: tuple[str, ...] = ()
    """What should have been true, and was not."""
    figures: Mapping[str, float | int | str] = field(default_factory=dict[str, float | int | str])
    """What was measured besides the requests, with the unit in the name."""
    events: tuple[tuple[float, str], ...] = ()
    """What was done, and when: seconds from the first request."""


@dataclass(frozen=True)
class Own:
    """What a scenario needs of its lab; those that need the same have one."""

    settings: tuple[str, ...] = ()
    """KEY=VALUE, on top of the proof's."""
    app: Callable[[Path], Path] = releases.sample
    """Makes the folder of the app that is deployed first, in a folder for such."""


@dataclass(frozen=True)
class Scenario:
    """What is done, and what must be true then."""

    name: str
    title: str
    target: str
    run: Callable[[Stand], Awaitable[Result]]
    short: Callable[[Stand], Awaitable[Result]] | None
    """The same in seconds rather than minutes, for each run of the tests; None where it has no short form."""
    own: Own = Own()


SCENARIOS: Final[dict[str, Scenario]] = {}
"""By name, in the order of the table."""

Run = Callable[[Stand], Awaitable[Result]]


def scenario(name: str, title: str, target: str, short: Run | None = None, own: Own = Own()) -> Callable[[Run], Run]:
    """Put what is decorated into the table; `short` is its short form, `own` what it needs of its lab."""

    def register(run: Run) -> Run:
        SCENARIOS[name] = Scenario(name, title, target, run, short, own)
        return run

    return register


def unmet(*conditions: tuple[bool, str]) -> tuple[str, ...]:
    """What is said of each condition that is not true."""
    return tuple(said for true, said in conditions if not true)


def none_failed(outcome: Outcome, method: str | None = None) -> tuple[bool, str]:
    """That no request of a method, or of any, had a wrong answer, and that there were any."""
    failures = outcome.failures(method)
    seen = ", ".join(f"{kind} {count}" for kind, count in failures.most_common())
    return bool(outcome.samples) and not failures, f"{failures.total()} {method or 'requests'} failed ({seen})"


def twice_and_lost(outcome: Outcome, stored: Sequence[str]) -> tuple[int, int]:
    """Of this load's writes: stored more than once, and acknowledged but not stored."""
    ours = outcome.acknowledged.keys() | outcome.refused
    twice = sum(count > 1 for name, count in Counter(stored).items() if name in ours)
    return twice, len(outcome.acknowledged.keys() - set(stored))


def row(one: Scenario, result: Result) -> dict[str, Any]:
    """A line of the table, for programs."""
    outcome = result.outcome
    return {
        "name": one.name,
        "title": one.title,
        "requests": len(outcome.samples),
        "failed": outcome.failures().total(),
        "failures": dict(outcome.failures()),
        "p50": round(outcome.slowest(0.5), 1),
        "p99": round(outcome.slowest(0.99), 1),
        "max": round(outcome.slowest(1), 1),
        "gap": round(outcome.gap(), 1),
        "target": one.target,
        "passed": not result.misses,
        "misses": list(result.misses),
        "figures": dict(result.figures),
    }
