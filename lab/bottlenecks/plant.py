"""A bottleneck that is planted, and what came of it. Plain values."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from lab.prove.stand import Stand

MOST_SECONDS: Final = 180.0
"""In which a bottleneck is named, from the command to its exit."""

Environment = Mapping[str, str]
"""Variables of the load's process, on top of one's own."""
Planting = Callable[[Stand], AbstractContextManager[Environment]]


def as_it_is(_stand: Stand) -> AbstractContextManager[Environment]:
    """Nothing is done to the lab: the route that is asked has the bottleneck in it."""
    return nullcontext({})


@dataclass(frozen=True)
class Plant:
    """What is made short, and how it shows."""

    name: str
    title: str
    verdicts: tuple[tuple[str, str], ...]
    """Tier and resource, of each verdict that is right. Without any, runs have to agree with each other."""
    path: str | None
    """What is asked for, as in a mix file; None: what `expressway load` chooses."""
    start: int | None
    """The first rate, requests a second: about half of what can be answered. None: what `expressway load` chooses."""
    planting: Planting = as_it_is
    runs: int = 1
    fixture: bool = True
    """Whether it is planted in the fixture app, or else in the sample app."""


@dataclass(frozen=True)
class Named:
    """What a run of `expressway load` said."""

    seconds: float
    knee_rps: float | None = None
    tier: str = ""
    resource: str = ""
    evidence: tuple[str, ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    failure: str = ""
    """Why there is no verdict."""

    @property
    def verdict(self) -> tuple[str, str]:
        """Tier and resource."""
        return self.tier, self.resource


def misses(plant: Plant, runs: tuple[Named, ...]) -> list[str]:
    """What should have been true of a plant's runs, and was not."""
    found = [each.failure for each in runs if each.failure]
    right = plant.verdicts or tuple({each.verdict for each in runs[:1]})
    found += [
        f"named {each.tier} {each.resource}".rstrip() for each in runs if not each.failure and each.verdict not in right
    ]
    found += [f"took {each.seconds:.0f} s" for each in runs if each.seconds > MOST_SECONDS]
    if len(runs) < plant.runs:
        found.append(f"{len(runs)} of {plant.runs} runs")
    return found


def row(plant: Plant, runs: tuple[Named, ...]) -> dict[str, Any]:
    """A line of the table, for programs."""
    missed = misses(plant, runs)
    return {
        "name": plant.name,
        "title": plant.title,
        "expected": [" ".join(each) for each in plant.verdicts],
        "runs": [
            {
                "tier": each.tier,
                "resource": each.resource,
                "evidence": list(each.evidence),
                "knee_rps": each.knee_rps,
                "seconds": round(each.seconds, 1),
                "steps": [dict(step) for step in each.steps],
            }
            for each in runs
        ],
        "passed": not missed,
        "misses": missed,
    }
