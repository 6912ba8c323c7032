"""What the proof writes: docs/proof.md with its pictures, and the same as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from lab.bench import pages
from lab.bench.pages import escaped

HEAD = """\
# Proof

What clients of the site see while machines come, go, break and get new releases: `make prove JSON=proof.json` runs the
whole stack in the [lab](lab.md), does each of these to it under an open-loop load (300 requests a second, reads and
writes mixed, most on connections that are kept), checks the body of every answer, and writes this page. `failed` is
anything but the right answer, a client's time-out (15 s) included. Times are in milliseconds; `gap` is the longest
time without a right answer. One scenario: `make prove ONLY=NAME JSON=proof.json`; with `PAGE=1`, its row is written
here anew. `ONLY=faults SECONDS=3600` draws faults for an hour, and `SEED=N` those of the row that names it.

"""


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """What people see in the terminal."""
    shown = Table("scenario", title="Proof", title_justify="left")
    for column in ("requests", "failed", "p50", "p99", "max", "gap"):
        shown.add_column(column, justify="right")
    shown.add_column("target")
    shown.add_column("")
    for row in rows:
        figures = (f"{row[name]:,.10g}" for name in ("requests", "failed", "p50", "p99", "max", "gap"))
        verdict = "[green]passed" if row["passed"] else "[red]" + "; ".join(row["misses"]).replace("[", "\\[")
        shown.add_row(row["title"], *figures, row["target"], verdict)
    return shown


def as_json(rows: Sequence[dict[str, Any]]) -> str:
    """Everything, for programs."""
    return json.dumps({"scenarios": list(rows), "machine": pages.machine()}, indent=2) + "\n"


def page(rows: Sequence[dict[str, Any]]) -> str:
    """docs/proof.md."""
    lines = [
        pages.measured_on(),
        "",
        "| scenario | requests | failed | p50 | p99 | max | gap | target | |",
        "|---|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in rows:
        figures = " | ".join(f"{row[name]:,.10g}" for name in ("requests", "failed", "p50", "p99", "max", "gap"))
        verdict = "passed" if row["passed"] else "**missed**: " + escaped("; ".join(row["misses"]))
        lines.append(
            f"| [{escaped(row['title'])}](#{row['name']}) | {figures} | {escaped(row['target'])} | {verdict} |"
        )
    for row in rows:
        lines += ["", f"## {row['name']}", "", f"{row['title']}: {row['target']}.", ""]
        if row["figures"]:
            lines += [", ".join(f"`{name}` {value}" for name, value in row["figures"].items()) + ".", ""]
        lines.append(f"![Timeline of {row['name']}](proof/{row['name']}.svg)")
    return HEAD + "\n".join(lines) + "\n"


def write(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """The JSON."""
    file.write_text(as_json(rows))


def write_page(rows: Sequence[dict[str, Any]], docs: Path, scenarios: Sequence[str]) -> None:
    """The page in the folder `docs`, with `rows` as they are now; the others of all `scenarios` stay as they were."""
    kept = docs / "proof/rows.json"
    old = json.loads(kept.read_text()) if kept.exists() else []
    known = {row["name"]: row for row in [*old, *rows]}
    shown = [known[name] for name in scenarios if name in known]
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(shown, indent=1) + "\n")
    (docs / "proof.md").write_text(page(shown))
