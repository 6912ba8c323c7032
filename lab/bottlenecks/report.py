"""What is written: a table in docs/bottlenecks.md between two marks, and the same as JSON."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from lab.bench import pages
from lab.bench.pages import escaped

BEGIN: Final = "<!-- written by make prove-bottlenecks -->"
END: Final = "<!-- end -->"


def write(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """The JSON, with each step's readings."""
    file.write_text(json.dumps({"plants": list(rows), "machine": pages.machine()}, indent=2) + "\n")


def write_page(rows: Sequence[dict[str, Any]], docs: Path, names: Sequence[str]) -> None:
    """The table in the folder `docs`, with `rows` as they are now; others of all `names` stay as they were."""
    kept = docs / "bottlenecks/rows.json"
    old = json.loads(kept.read_text()) if kept.exists() else []
    known = {each["name"]: each for each in [*old, *map(shortened, rows)]}
    shown = [known[name] for name in names if name in known]
    page = docs / "bottlenecks.md"
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: there is no place between {BEGIN} and {END} for the table")
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(shown, indent=1) + "\n")
    page.write_text("\n".join([f"{before}{BEGIN}", *table(shown), f"{END}{after}"]))


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """Without the steps: what the table needs."""
    return {**row, "runs": [{key: value for key, value in each.items() if key != "steps"} for each in row["runs"]]}


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """As Markdown."""
    yield pages.measured_on()
    yield ""
    yield "| planted | verdict | knee, requests/s | seconds | its evidence | |"
    yield "|---|---|---:|---:|---|---|"
    for row in rows:
        passed = "passed" if row["passed"] else "**missed**: " + escaped("; ".join(row["misses"]))
        for number, each in enumerate(row["runs"] or [{}], 1):
            nth = f", run {number} of {len(row['runs'])}" if len(row["runs"]) > 1 else ""
            yield (
                f"| `{row['name']}`: {escaped(row['title'])}{nth} | {_verdict(each)} | {_knee(each)} "
                f"| {each.get('seconds', 0):.0f} | {escaped(' '.join(each.get('evidence', ())))} | {passed} |"
            )


def shown(rows: Sequence[dict[str, Any]]) -> Table:
    """What people see in the terminal."""
    found = Table("planted", title="Bottlenecks", title_justify="left")
    for column in ("verdict", "knee", "seconds", "evidence", ""):
        found.add_column(column, justify="right" if column in ("knee", "seconds") else "left")
    for row in rows:
        passed = "[green]passed" if row["passed"] else "[red]" + "; ".join(row["misses"]).replace("[", "\\[")
        for each in row["runs"] or [{}]:
            evidence = " ".join(each.get("evidence", ())).replace("[", "\\[")
            found.add_row(row["name"], _verdict(each), _knee(each), f"{each.get('seconds', 0):.0f}", evidence, passed)
    return found


def _verdict(run: dict[str, Any]) -> str:
    return ", ".join(filter(None, (run.get("tier"), run.get("resource"))))


def _knee(run: dict[str, Any]) -> str:
    return f"{run['knee_rps']:g}" if run.get("knee_rps") else "none"
