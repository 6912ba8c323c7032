"""What `make bench` writes: docs/benchmarks.md with its pictures, tables in the terminal, and the same as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table as Shown

from . import pages
from .figures import Figure
from .pages import escaped
from .part import Part, Result, Table, as_json

Done = Sequence[tuple[Part, Result | str]]
"""The parts, each with what came of it, or why nothing did."""

HEAD: Final = """\
# Benchmarks

What each thing on a request's way costs: `make bench JSON=bench.json` brings the whole stack up in the [lab](lab.md),
measures variants of it side by side, in turn (A B A B), and writes this page. A cell is the median of the rounds, with
the lowest and the highest in brackets. CPU per request is the user and system time of the processes in question, by
their control groups, over the requests that were answered: it hardly depends on what else a machine does, as throughput
and the time of an answer do. Comparisons are made round by round. One part: `make bench ONLY=NAME JSON=bench.json`.

"""


def number(value: float) -> str:
    """Three digits or so, as people read them."""
    size = abs(value)
    digits = next((digits for least, digits in ((100, 0), (10, 1), (1, 2)) if size >= least), 3)
    return f"{value:,.{digits}f}" if value else "0"


def cell(figure: Figure) -> str:
    """The median, and the spread where there is one."""
    if len(figure.samples) == 1:
        return number(figure.median)
    return f"{number(figure.median)} ({number(min(figure.samples))} to {number(max(figure.samples))})"


def target(figure: Figure) -> str:
    """What a figure is to be."""
    if figure.target is None:
        return ""
    return f"{figure.target:g} {figure.unit} or {'more' if figure.at_least else 'less'}"


def verdict(figure: Figure) -> str:
    """Whether it is."""
    return {True: "met", False: "**missed**", None: ""}[figure.met]


def page(done: Done) -> str:
    """docs/benchmarks.md."""
    lines = [
        pages.measured_on(),
        "",
        "| part | what | median (lowest to highest) | target | |",
        "|---|---|---:|---|---|",
    ]
    for one, result in done:
        if isinstance(result, str):
            lines.append(f"| [{one.name}](#{_anchor(one)}) | {escaped(result)} | | | **not measured** |")
            continue
        lines += [
            f"| [{one.name}](#{_anchor(one)}) | {escaped(each.name)} | {cell(each)} {each.unit} | {target(each)} |"
            f" {verdict(each)} |"
            for each in result.checks
        ]
    for one, result in done:
        lines += ["", f"## {one.title}", "", f"`make bench ONLY={one.name}`. {one.method}"]
        if not isinstance(result, str):
            lines += [line for table in result.tables for line in _table(table)]
            lines += [line for remark in result.remarks for line in ("", remark)]
            lines += ["", f"![{one.title}](benchmarks/{one.name}.svg)"]
    return HEAD + "\n".join(lines) + "\n"


def write(done: Done, file: Path, docs: Path | None) -> None:
    """The JSON, and the page where one is wanted."""
    record = {
        "parts": [
            {"name": one.name, "failed": result} if isinstance(result, str) else as_json(one, result)
            for one, result in done
        ],
        "machine": pages.machine(),
    }
    file.write_text(json.dumps(record, indent=2) + "\n")
    if docs is not None:
        (docs / "benchmarks.md").write_text(page(done))


def show(done: Done, console: Console) -> None:
    """The tables, for a terminal."""
    for one, result in done:
        if isinstance(result, str):
            console.print(f"{one.title}: not measured: {result}", style="red", markup=False)
            continue
        for table in result.tables:
            shown = Shown(one.name, title=f"{one.title}: {table.title}", title_justify="left")
            for each in table.rows[0].figures:
                shown.add_column(f"{each.name}\n{each.unit}", justify="right")
            for row in table.rows:
                shown.add_row(row.name, *map(cell, row.figures))
            console.print(shown)
        for remark in result.remarks:
            console.print(remark, markup=False)
    summary = Shown("part", "what", title="Compared", title_justify="left")
    summary.add_column("median (lowest to highest)", justify="right")
    summary.add_column("target")
    summary.add_column("")
    for one, result in done:
        for each in () if isinstance(result, str) else result.checks:
            colour = {True: "[green]met", False: "[red]missed", None: ""}[each.met]
            summary.add_row(one.name, each.name, f"{cell(each)} {each.unit}", target(each), colour)
    console.print(summary)


def _table(table: Table) -> list[str]:
    columns = [f"{each.name}, {each.unit}" for each in table.rows[0].figures]
    return [
        "",
        f"{table.title}:",
        "",
        f"| | {' | '.join(columns)} |",
        f"|---|{'---:|' * len(columns)}",
        *(f"| {escaped(row.name)} | {' | '.join(map(cell, row.figures))} |" for row in table.rows),
    ]


def _anchor(one: Part) -> str:
    """As GitHub makes it from a heading."""
    kept = "".join(each for each in one.title.lower() if each.isalnum() or each in " -_")
    return kept.replace(" ", "-")
