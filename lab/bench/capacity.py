"""`make bench-capacity`: where a stack stops keeping up with 1, 2 and 3 app servers, predicted from one, and measured.

In a lab of its own whose machines have slower CPUs of their own, so that three app servers, the edge, the database and
the load generator have all that they may use on two cores. docs/capacity.md has the table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab.bench import pages
from lab.bench.figures import console
from lab.paths import ROOT

APP: Final = "tests/fixtures/apps/computes"
CORE_PER_VCPU: Final = "0.15"
SERVERS: Final = "1,2,3"
TARGET: Final = 20.0
"""Percent that a prediction may be off by."""
PAGE: Final = ROOT / "docs/capacity.md"
BEGIN, END = "<!-- make bench-capacity -->\n", "<!-- until here -->\n"

UP: Final = (
    *("./expressway", "lab", "up", "--app", APP, "--core-per-vcpu", CORE_PER_VCPU),
    *("-c", "expressway:app.minSize=1", "-c", "expressway:app.maxSize=3"),
)
DOWN: Final = ("./expressway", "lab", "down")


def main() -> int:
    """0 when every number of servers was measured, whatever the errors are; 1 when one was not; 2 for who may not."""
    parser = argparse.ArgumentParser(prog="make bench-capacity", description="Predicted against measured.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the run is written")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: the lab's machines are root's: run this as root", file=sys.stderr)
        return 2
    out = options.json.absolute()
    with tempfile.TemporaryDirectory() as work:
        report = f"{work}/load.html"
        try:
            if _run(UP) != 0:
                return 1
            code = _run(("./expressway", "load", "--check", SERVERS, "--json", str(out), "--report", report))
        finally:
            _run(DOWN)
    if code != 0:
        return 1
    rows = json.loads(out.read_text())["check"]
    PAGE.write_text(pages.replaced(PAGE.read_text(), BEGIN, table(rows, os.cpu_count() or 1), END))
    return 0


def table(rows: Sequence[Mapping[str, Any]], cores: int) -> str:
    """What was compared, as Markdown."""
    lines = [
        f"Measured on {cores} cores, each vCPU {CORE_PER_VCPU} of a core.",
        "",
        "| app servers | predicted/s | measured/s | error | target | | limit that was found |",
        "|---:|---:|---:|---:|---|---|---|",
    ]
    for row in rows:
        error = row["error_percent"]
        measured = "none" if row["measured"] is None else f"{row['measured']:.1f}"
        shown = "" if error is None else f"{error:+.1f} %"
        met = "**missed**" if error is None or abs(error) > TARGET else "met"
        target = f"{TARGET:g} % or less"
        lines.append(
            f"| {row['servers']} | {row['predicted']:.1f} | {measured} | {shown} | {target} | {met} | {row['found']} |"
        )
    return "\n".join(lines) + "\n"


def _run(command: Sequence[str]) -> int:
    console.print(" ".join(command), markup=False)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
