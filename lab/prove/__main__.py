"""Run the scenarios, one after the other, and write down what was seen."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from lab import paths
from lab.bench.load import Outcome

from . import options as command
from . import plot, report, scenarios, stand
from .scenario import SCENARIOS, Own, Result, Scenario, row
from .scenarios.tracking import TARGET_REQUESTS

__all__ = ["scenarios"]  # importing them fills the table

DOCS: Final = paths.ROOT / "docs"
SETTINGS: Final = (
    "expressway:app.maxSize=6",
    f"expressway:app.targetRequests={TARGET_REQUESTS}",
    "expressway:monitoring.alarmEmails=[on-call@example.com]",
    "expressway:database.instanceClass=db.t4g.small",
    'expressway:database.parameters.max_connections="100"',
    "expressway:cache.replicas=1",
)
"""On top of Pulumi.lab.yaml: room for five servers, one more while they roll, scaling by requests, and every alarm; and
a cache that fails over.

The load takes more CPU than the 10 % for which a db.t4g.micro earns credits. Connections are counted against what the
lab's PostgreSQL takes, whatever the class.
"""

console = Console(stderr=True, highlight=False)


def main() -> int:
    """0 when every scenario passed; 1 when one missed; 2 for a bad command line or a lab that is in use."""
    options = _options()
    chosen = command.chosen(options.only, SCENARIOS, "prove", "scenario")
    if not chosen:
        return 2
    if options.short:
        chosen = [one for one in chosen if one.short]
    page = options.page or not (options.only or options.short)
    with tempfile.TemporaryDirectory(prefix="expressway-proof-") as work:
        try:
            rows = _in_their_labs(chosen, Path(work), DOCS / "proof" if page else None, options)
        except stand.StandError as error:
            print(f"prove: {error}", file=sys.stderr)
            return 2
    report.write(rows, options.json)
    if page:
        report.write_page(rows, DOCS, list(SCENARIOS))
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(report.table(rows))
    return 0 if all(each["passed"] for each in rows) else 1


def _in_their_labs(
    chosen: Sequence[Scenario], work: Path, pictures: Path | None, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """A row for each. StandError without a lab for the first ones; later ones without theirs have missed."""
    rows: list[dict[str, Any]] = []
    for own, ones in by_lab(chosen):
        app = own.app(work)
        try:
            with stand.lab(app, (*SETTINGS, *own.settings), here=options.here):
                ready = stand.find(paths.ROOT / "app", work, stand.Asked(options.seconds, options.seed))
                with ready.alarms_suspended():
                    rows += prove(ready, ones, pictures, short=options.short)
        except stand.StandError as error:
            if not rows:
                raise
            rows += [row(one, Result(Outcome(), (str(error),))) for one in ones]
    return rows


def by_lab(chosen: Sequence[Scenario]) -> list[tuple[Own, list[Scenario]]]:
    """Those that need the same lab, together; who needs nothing of its own first."""
    labs = sorted(dict.fromkeys(one.own for one in chosen), key=lambda own: own != Own())
    return [(own, [one for one in chosen if one.own == own]) for own in labs]


def prove(
    ready: stand.Stand, chosen: Sequence[Scenario], pictures: Path | None, *, short: bool = False
) -> list[dict[str, Any]]:
    """A row of the table for each scenario. One that can't be carried out has missed, and the next begins anew."""
    rows: list[dict[str, Any]] = []
    for one in chosen:
        console.print(f"{one.name}: {one.title}")
        result = asyncio.run(_run(ready, one, short=short))
        rows.append(row(one, result))
        if pictures is not None:
            plot.draw(one, result, pictures / f"{one.name}.svg")
        verdict = "passed" if not result.misses else "; ".join(result.misses)
        console.print(f"  {rows[-1]['requests']} requests, {rows[-1]['failed']} failed: {verdict}", markup=False)
    return rows


async def _run(ready: stand.Stand, one: Scenario, *, short: bool) -> Result:
    run = one.short if short and one.short else one.run
    try:
        await ready.settled()
        return await run(ready)
    # Whatever it is: the rows of those before it are kept.
    except Exception as error:
        return Result(Outcome(), (f"{type(error).__name__}: {error}",))


def _options() -> argparse.Namespace:
    what, short = "What clients see while the stack is lived with.", "the short form of those that have one"
    parser = command.parser("prove", what, kind="scenario", page="docs/proof.md", short=short)
    parser.add_argument("--seconds", type=_positive, metavar="N", help="for how long faults are drawn (300)")
    parser.add_argument("--seed", type=int, metavar="N", help="the order of faults again, as its row names it")
    return parser.parse_args()


def _positive(text: str) -> float:
    if not 0 < (seconds := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time: seconds, more than 0")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
