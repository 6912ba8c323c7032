"""What one of the app's processes tells of itself, and what several tell of one worker. Pure."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from expressway_metrics.model import PERIOD

from . import kit as kits

LONGEST = 4096
"""Bytes of one report."""
LONGEST_NAME = 100
"""Characters."""
INTERVAL = 5.0
"""Seconds between two reports of a process; measure.cjs has it too."""


@dataclass(frozen=True)
class Report:
    """A line of measure.cjs. Seconds and bytes; all but the lag are since the process started, or as it is now."""

    name: str
    """PM2's name of what the process belongs to."""
    id: int
    """PM2's number of the worker; the worker that takes its place has it too."""
    restarts: int
    """How often PM2 has started the worker anew: after a crash, for a reload, or at its memory limit."""
    uptime: float
    cpu: float
    rss: float
    heap_used: float
    heap_total: float
    gc: float
    lag_p50: float
    """Of the event loop, since the report before; so are the next two."""
    lag_p99: float
    lag_max: float
    requests: float
    in_flight: float
    dropped: float
    """Reports that were never told."""
    apm_missing: float
    """1 where an APM agent is wanted and doesn't run."""
    apm_dropped: float
    """What that agent didn't tell its backend: spans, traces or events."""
    kit: kits.Told
    """What the kit's caches and databases tell, where the app has it."""


def parse(line: bytes) -> Report:
    """The report that a line holds; ValueError when it holds none."""
    told = json.loads(line)
    if not isinstance(told, dict) or not isinstance(told.get("name"), str):
        raise ValueError("not a report")
    numbers = {field: told.get(field) for field in Report.__dataclass_fields__ if field not in ("name", "kit")}
    for field, value in numbers.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"{field} is no number")
    of_kit = kits.parse(told.get("kit"))
    return Report(name=told["name"][:LONGEST_NAME], kit=of_kit, **numbers)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Process:
    """One process between two looks."""

    last: Report
    """Its newest report."""
    lag_p50: float
    """The largest of the reports between them; so are the next two."""
    lag_p99: float
    lag_max: float
    gc: float
    """Seconds between them; so is the CPU's."""
    cpu: float
    kit: kits.Told
    """What the kit did between them, and the worst that it was."""


def between(before: Report | None, reports: Sequence[Report], age: float) -> Process:
    """What a process did in its `reports`, of which there is one at least; `before` is the last one before them.

    `age` are the seconds since the last of them. A loop that is late with the next one is blocked for as long. What a
    process did before anybody listened, as after a start of this program, is not of the time between two looks.
    """
    last, first = reports[-1], before
    if first is None and reports[0].uptime > PERIOD:
        first = reports[0]
    return Process(
        last=last,
        lag_p50=max(each.lag_p50 for each in reports),
        lag_p99=max(each.lag_p99 for each in reports),
        lag_max=max(age - INTERVAL, *(each.lag_max for each in reports)),
        gc=last.gc - (first.gc if first else 0),
        cpu=last.cpu - (first.cpu if first else 0),
        kit=kits.between(first.kit if first else {}, [each.kit for each in reports]),
    )


@dataclass(frozen=True)
class Worker:
    """What PM2 calls a process: one of Node's, and those that it has started."""

    name: str
    id: int
    processes: tuple[Process, ...]

    def most(self, field: str) -> float:
        """Of its processes."""
        return max(getattr(each, field) for each in self.processes)

    def together(self, field: str) -> float:
        """Its processes', as they told it last."""
        return sum(getattr(each.last, field) for each in self.processes)

    @property
    def kit(self) -> kits.Told:
        """What the kit in its processes did between the looks."""
        return kits.together(each.kit for each in self.processes)

    @property
    def kit_told(self) -> kits.Told:
        """What it told last."""
        return kits.together(each.last.kit for each in self.processes)

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from others."""
        return self.name, self.id

    @property
    def restarts(self) -> int:
        """How often it was started anew."""
        return max(each.last.restarts for each in self.processes)

    @property
    def uptime(self) -> float:
        """Seconds. While a worker is reloaded there are two, and the older one counts."""
        return max(each.last.uptime for each in self.processes)


def workers(processes: Iterable[Process]) -> list[Worker]:
    """The processes by the worker that they belong to."""
    found: dict[tuple[str, int], list[Process]] = {}
    for each in processes:
        found.setdefault((each.last.name, each.last.id), []).append(each)
    return [Worker(name, number, tuple(together)) for (name, number), together in sorted(found.items())]
