"""Plant the bottlenecks, one after the other, and write down what `expressway load` named."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from artifact import cache
from lab import paths
from lab.machines.access import MachineError
from lab.prove import options as command
from lab.prove import stand
from operate.load import vegeta

from . import report
from .plant import Named, Plant, row
from .plants import PLANTS
from .run import named

DOCS: Final = paths.ROOT / "docs"
FIXTURE: Final = paths.ROOT / "tests/fixtures/apps/bottlenecks"
SETTINGS: Final = (
    "expressway:app.minSize=1",
    "expressway:app.maxSize=1",
    "expressway:monitoring.logs=true",
)
"""On top of Pulumi.lab.yaml: one app server, so that a worker less is a CPU that nobody uses; and the slowest
statements are told to CloudWatch Logs."""

console = Console(stderr=True, highlight=False)


def main() -> int:
    """0 when every plant was named; 1 when one was not; 2 for a bad command line or a lab that is in use."""
    what = "Whether load names what limits."
    short = "two steps of load for each plant"
    options = command.parser(
        "prove-bottlenecks", what, kind="plant", page="docs/bottlenecks.md", short=short
    ).parse_args()
    chosen = command.chosen(options.only, PLANTS, "bottlenecks", "plant")
    if not chosen:
        return 2
    rows: list[dict[str, Any]] = []
    try:
        vegeta.ensure(cache.root(), lambda line: console.print(line, markup=False))
        for each in _rows(chosen, here=options.here, short=options.short):
            rows.append(each)
            # At once, so that what was measured isn't lost with what comes after.
            report.write(rows, options.json)
    except (stand.StandError, vegeta.VegetaError) as error:
        print(f"bottlenecks: {error}", file=sys.stderr)
        return 2
    if options.page or not (options.only or options.here or options.short):
        report.write_page(rows, DOCS, list(PLANTS))
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(report.shown(rows))
    return 0 if all(each["passed"] for each in rows) else 1


def _rows(chosen: Sequence[Plant], *, here: bool, short: bool) -> Iterator[dict[str, Any]]:
    """A row of the table for each, in one lab for each app."""
    for app, settings, fixture in ((FIXTURE, SETTINGS, True), (paths.ROOT / "app", (), False)):
        wanted = [one for one in chosen if one.fixture == fixture]
        if not wanted:
            continue
        with stand.lab(app, settings, here=here), tempfile.TemporaryDirectory() as work:
            ready = stand.find(app, Path(work))
            with ready.alarms_suspended():
                for one in wanted:
                    yield prove(ready, one, short=short)


def prove(ready: stand.Stand, one: Plant, *, short: bool = False) -> dict[str, Any]:
    """A plant's row. One that can't be planted has missed."""
    console.print(f"{one.name}: {one.title}", markup=False)
    servers = len(ready.machines("app"))
    try:
        asyncio.run(ready.settled(servers))
        runs = named(one, ready, short=short)
    except (stand.StandError, MachineError, OSError) as error:
        runs = (Named(0.0, failure=f"{type(error).__name__}: {error}"),)
    found = row(one, runs)
    for each in found["runs"]:
        console.print(f"  {each['tier']} {each['resource']} in {each['seconds']} s", markup=False)
        for sentence in each["evidence"]:
            console.print(f"    {sentence}", markup=False, soft_wrap=True)
    console.print(f"  {'passed' if found['passed'] else '; '.join(found['misses'])}", markup=False)
    return found


if __name__ == "__main__":
    sys.exit(main())
