"""`make bench`: where a request's time and CPU go, side by side; docs/benchmarks.md, tables and JSON."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from lab import paths
from lab.prove import stand

from . import bed, chart, page, parts
from .figures import console
from .part import PARTS, Part, Result

__all__ = ["parts"]  # importing them fills the table

DOCS: Final = paths.ROOT / "docs"
SETTINGS: Final = ("expressway:app.maxSize=6",)
"""On top of Pulumi.lab.yaml: room for four app servers."""


def main() -> int:
    """0 when every part was measured, whatever its figures are; 1 when one was not; 2 for a bad command line."""
    options = _options()
    if unknown := sorted(set(options.only) - PARTS.keys()):
        print(f"bench: there is no part {', '.join(unknown)}. There are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("bench: the lab's machines are root's: run this as root", file=sys.stderr)
        return 2
    chosen = [PARTS[name] for name in options.only] or list(PARTS.values())
    done: list[tuple[Part, Result | str]] = []
    status = 0
    with tempfile.TemporaryDirectory() as work:
        app = paths.ROOT / "app"
        try:
            with stand.lab(app, SETTINGS, here=options.here):
                ready = stand.find(app, Path(work))
                with ready.alarms_suspended(), bed.opened(ready) as on:
                    for one in chosen:
                        done.append((one, measure(on, one)))
        except (stand.StandError, BotoCoreError, ClientError) as error:
            print(f"bench: {error}", file=sys.stderr)
            if not done:
                return 2
            status = 1  # it could not be taken down, and what was measured on it counts
    docs = None if options.only else DOCS
    if docs is not None:
        for one, result in done:
            if isinstance(result, Result):
                chart.draw(one, result, docs / "benchmarks" / f"{one.name}.svg")
    page.write(done, options.json, docs)
    page.show(done, Console(highlight=False, width=None if sys.stdout.isatty() else 160))
    return 1 if any(isinstance(result, str) for _, result in done) else status


def measure(on: bed.Bed, one: Part) -> Result | str:
    """What came of a part; or why it could not be carried out, and the next one can."""
    console.print(f"{one.name}: {one.title}")
    began = time.monotonic()
    try:
        result: Result | str = one.run(on)
    except Exception as error:  # whatever it is: what the other parts have measured took most of an hour
        console.print_exception()
        result = f"{type(error).__name__}: {error}"
        console.print(f"  not measured: {result}", markup=False)
    console.print(f"  {time.monotonic() - began:.0f} s")
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="What each thing on a request's way costs.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    only = "one part, or several with commas between; docs/benchmarks.md stays as it is"
    parser.add_argument("--only", default=[], type=lambda given: given.split(","), metavar="PART", help=only)
    parser.add_argument("--here", action="store_true", help="in the lab that is up, instead of one of its own")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
