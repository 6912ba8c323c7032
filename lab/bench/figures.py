"""What the benchmarks share: a figure with its samples and its target, the table, and the JSON."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from lab.paths import ROOT

console = Console(stderr=True, highlight=False)


class Quantity(NamedTuple):
    """What is measured, and in what."""

    name: str
    unit: str

    def __str__(self) -> str:
        return f"{self.name}, {self.unit}"


@dataclass(frozen=True)
class Figure:
    """One measured figure: `samples` in `unit`, of which the median counts against `target`, where there is one."""

    name: str
    unit: str
    samples: list[float]
    target: float | None = None
    at_least: bool = False
    """Whether more than `target` is good; by default less is."""

    @property
    def median(self) -> float:
        """What counts."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the target is met."""
        if self.target is None:
            return None
        return self.median >= self.target if self.at_least else self.median <= self.target

    def as_json(self) -> dict[str, Any]:
        """The same for programs, with what follows from it."""
        return {**asdict(self), "median": self.median, "met": self.met}


def report(figures: Sequence[Figure], file: Path, **more: Any) -> None:
    """The table, and everything as JSON in `file`."""
    table = Table("figure", title="How fast, how big", title_justify="left")
    for column in ("median", "samples", "target", ""):
        table.add_column(column, justify="right")
    for figure in figures:
        samples = " ".join(f"{sample:.1f}" for sample in figure.samples)
        target = "" if figure.target is None else f"{'>= ' if figure.at_least else ''}{figure.target:g}"
        verdict = {True: "[green]met", False: "[red]missed", None: ""}[figure.met]
        table.add_row(figure.name, f"{figure.median:.1f} {figure.unit}", samples, target, verdict)
    Console(highlight=False).print(table)
    record = {
        "figures": [figure.as_json() for figure in figures],
        **more,
        "machine": {"cpus": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total},
    }
    file.write_text(json.dumps(record, indent=2) + "\n")


def repeat(times: int, measure: Callable[[], float]) -> list[float]:
    """As many samples."""
    return [measure() for _ in range(times)]


def seconds(words: Sequence[str], directory: Path = ROOT, environment: Mapping[str, str] | None = None) -> float:
    """How long a command takes; one that fails ends the benchmark with what it said."""
    began = time.monotonic()
    done = subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began
