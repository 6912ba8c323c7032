"""From a measured run to the servers, the database and the cache that another rate takes. Pure; docs/capacity.md.

What a request costs each tier is the slope of its CPU over the rate, in the steps that were kept up with; what it uses
without any is the rest. A tier of another size is taken to have as fast vCPUs as the one that was measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from operate.load import planning
from operate.load.comparison import figure, largest
from operate.load.model import Run, Sizes, Step, Tier

TARGET: Final = 60.0
"""Percent of a tier's CPUs that a plan uses, where no target tracking says otherwise: the default of app.targetCpu."""
FEWEST: Final = 2
"""App servers: with one, a machine that fails is all of them."""
UNLOADED: Final = 5.0
"""Percent of CPU; a tier that had no more was not loaded."""
FAR: Final = 3.0
"""Times the highest rate that was kept up with; a plan for more rests on what was never seen."""
FULL_SERVER: Final = 90.0
"""Percent of CPU that a tier can have before the stack no longer keeps up, where no run has shown it."""


class CapacityError(Exception):
    """The run can't tell, or no number of servers does it; one line that says why."""


@dataclass(frozen=True)
class Line:
    """How a machine's CPU grows with the rate of requests at it, in percent of its CPUs."""

    idle: float
    """Without requests."""
    each: float
    """For one request a second."""
    highest: float
    """The most that was seen."""

    def rate(self, percent: float) -> float:
        """Requests a second at which it has so much; none where it has that without any."""
        return max(0.0, percent - self.idle) / self.each if self.each > 0 else math.inf

    def of(self, machines: float) -> "Line":
        """By the rate at so many machines together."""
        return replace(self, each=self.each / machines)

    def percent(self, rate: float) -> float:
        """At a rate."""
        return self.idle + self.each * rate

    @property
    def loaded(self) -> bool:
        """Whether the run has loaded it at all."""
        return self.highest >= UNLOADED


@dataclass(frozen=True)
class Measured:
    """What a run says of its stack."""

    sizes: Sizes
    servers: float
    """App servers that told their CPU."""
    workers: float
    """Of each."""
    pool: float | None
    """Connections to the database that each worker has opened; None where none were."""
    highest: float
    """The highest rate that was kept up with."""
    stops: float | None
    """Where it stopped keeping up: between the highest rate that it kept up with and the lowest that it didn't, and
    where a tier's CPU stopped it, no higher than that has CPU for."""
    limits: Tier
    """Which tier's CPU stopped it; `none` where it was another thing, or nothing did."""
    app: Line
    """By the rate at one server."""
    edge: Line | None
    database: Line | None
    cache: Line | None
    """In percent of the one CPU that Redis uses."""
    shared: bool
    """Whether the machines share CPUs, so that only what their own processes used is counted."""

    @property
    def server(self) -> float:
        """Requests a second at which one app server no longer keeps up."""
        return self.stops / self.servers if self.stops and self.limits == "app" else self.app.rate(FULL_SERVER)


@dataclass(frozen=True)
class Prediction:
    """Where a stack stops keeping up with so many app servers."""

    servers: int
    rps: float
    tier: Tier
    """Whose CPU is then used up."""


def measured(run: Run) -> Measured:
    """What the run says; CapacityError where it doesn't."""
    if run.sizes is None:
        raise CapacityError("the run doesn't say which machines it ran on: load a stack by its name, or the lab")
    kept = sorted((each for each in run.steps if planning.kept_up(each, run.steps)), key=lambda each: each.offered_rps)
    if not kept:
        raise CapacityError("the stack kept up with no rate of the run: begin lower, with --start-rps")
    app = _line(kept, "app", "cpu", servers=True)
    if app is None:
        raise CapacityError("the run has no reading of the app servers' CPU: set expressway:monitoring.metrics to true")
    if not app.loaded:
        raise CapacityError(
            f"the app servers had {figure(app.highest)} % of their CPU at most, at {figure(kept[-1].offered_rps)} "
            "requests/s: that says nothing of what they can do. Load them more: leave out --rate and --max-rps"
        )
    # Those of the best step: policies may have added some on the way.
    servers = _last(kept, "app", "machines") or 1.0
    workers = (_last(kept, "app", "workers") or servers) / servers
    pools = [each for step in run.steps if (each := largest(step, "database", "pool"))]
    verdict = run.bottleneck
    limits: Tier = verdict.tier if verdict.resource in ("cpu", "worker cpu") and verdict.tier != "generator" else "none"
    edge, database, cache = (_line(kept, tier, "cpu") for tier in ("edge", "database", "cache"))
    line = {"app": app.of(servers), "edge": edge, "database": database, "cache": cache}.get(limits)
    return Measured(
        sizes=run.sizes,
        servers=servers,
        workers=workers,
        pool=max(pools) / (servers * workers) if pools else None,
        highest=kept[-1].offered_rps,
        stops=stops(run.steps, line if verdict.resource == "cpu" else None),
        limits=limits,
        app=app,
        edge=edge,
        database=database,
        cache=cache,
        shared=_steal(kept[-1], "app") >= UNLOADED,
    )


def predict(seen: Measured, servers: int) -> Prediction:
    """The lowest of what the app servers do together and what each other tier does."""
    ends: list[tuple[float, Tier]] = [(servers * seen.server, "app")]
    others: tuple[tuple[Tier, Line | None], ...] = (
        ("edge", seen.edge),
        ("database", seen.database),
        ("cache", seen.cache),
    )
    for tier, line in others:
        if seen.limits == tier and seen.stops:
            ends.append((seen.stops, tier))
        elif line is not None and line.loaded:
            ends.append((line.rate(FULL_SERVER), tier))
    rps, tier = min(ends)
    return Prediction(servers, rps, tier)


def within(run: Run, p95: float) -> float:
    """The highest rate whose p95, in milliseconds, was no more; between two steps, by the logarithm of theirs.

    CapacityError where even the lightest step was slower.
    """
    steps = sorted(run.steps, key=lambda each: each.offered_rps)
    if not steps or steps[0].p95 > p95:
        lightest = f"{figure(steps[0].offered_rps)} requests/s: {figure(steps[0].p95)} ms" if steps else "none"
        raise CapacityError(
            f"no number of servers has a p95 of {figure(p95)} ms: the lightest step has more ({lightest}). "
            "Make the answer itself quicker"
        )
    for lower, upper in pairwise(steps):
        if not planning.kept_up(upper, run.steps):
            return lower.offered_rps
        if upper.p95 > p95:
            share = math.log(p95 / lower.p95) / math.log(upper.p95 / lower.p95)
            return lower.offered_rps + share * (upper.offered_rps - lower.offered_rps)
    return steps[-1].offered_rps


def stops(steps: Sequence[Step], line: Line | None = None) -> float | None:
    """Between the highest rate that was kept up with and the next that wasn't, as the rates follow each other.

    These may lie far apart. With the line of the CPU that stopped it, no rate for which there is too little.
    """
    best = planning.knee(steps)
    beyond = min((each.offered_rps for each in steps if best is not None and each.offered_rps > best), default=None)
    if best is None or beyond is None:
        return None
    between = math.sqrt(best * beyond)
    return between if line is None else min(between, max(best, line.rate(100)))


def _line(steps: Sequence[Step], tier: Tier, resource: str, *, servers: bool = False) -> Line | None:
    points: list[tuple[float, float]] = []
    for step in steps:
        if (cpu := largest(step, tier, resource)) is not None:
            machines = (largest(step, "app", "machines") or 1.0) if servers else 1.0
            points.append((step.answered_rps / machines, max(0.0, cpu - _steal(step, tier))))
    return fit(points) if points else None


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """Least squares of percents over rates. Where these tell no slope, all of the most that was seen is load."""
    count = len(points)
    rate, percent = (sum(each[axis] for each in points) / count for axis in (0, 1))
    spread = sum((x - rate) ** 2 for x, _ in points)
    slope = sum((x - rate) * (y - percent) for x, y in points) / spread if spread else 0.0
    highest = max(y for _, y in points)
    idle = percent - slope * rate
    if slope > 0 and idle >= 0 and highest >= UNLOADED:
        return Line(idle, slope, highest)
    # Through none at none: it is never less than what was seen.
    busiest = max(points, key=lambda each: each[0])
    return Line(0.0, max(busiest[1], highest) / busiest[0] if busiest[0] else 0.0, highest)


def _steal(step: Step, tier: Tier) -> float:
    return largest(step, tier, "cpu steal") or 0.0


def _last(steps: Sequence[Step], tier: Tier, resource: str) -> float | None:
    values = [value for step in steps if (value := largest(step, tier, resource)) is not None]
    return values[-1] if values else None
