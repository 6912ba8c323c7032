"""Machines while something happens to them: a table that changes on a terminal, a line for each change elsewhere."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli import live
from cli.console import err
from operate.status import Row
from operate.traffic import Traffic

STYLES = {"serving": "green", "failed": "bold red", "unhealthy": "red", "silent": "red", "leaving": "dim"}


class Watch:
    """Shows rows as they are now."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._said: dict[str, str] = {}
        self._phase = ""

    def show(self, phase: str, rows: Sequence[Row], release: str, note: str | None = None) -> None:
        """`release` is the one that all should run."""
        if self._live:
            title = f"{phase}: {note}" if note else phase
            self._live.update(machines(rows, release, title), refresh=True)
            return
        if phase != self._phase:
            self._phase = phase
            err.print(f"phase: {phase}", markup=False)
        for row in rows:
            why = f": {row.reason}" if row.reason else ""
            said = f"{row.tier} {row.id}: {row.state} ({_runs(row)}){why}"
            if self._said.get(row.id) != said:
                self._said[row.id] = said
                err.print(said, markup=False, soft_wrap=True)


def watching() -> AbstractContextManager[Watch]:
    """Show machines while the body runs."""
    return live.watching(Watch)


def machines(rows: Sequence[Row], release: str, title: str | None = None) -> Table:
    """A table of machines."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    # With what each answers, what is the same nearly always has no room on a terminal of 80 columns.
    measured = any(row.traffic for row in rows)
    for column in ("tier", "machine", "release", *(() if measured else ("template",)), "state"):
        table.add_column(column, no_wrap=True)
    for column in ("req/s", "err/s", "p95 ms") if measured else ("edges",):
        table.add_column(column, no_wrap=True, justify="right" if measured else "left")
    table.add_column("", overflow="fold")
    for row in rows:
        old = row.release not in (None, release)
        flying = f"{row.in_flight} in flight" if row.in_flight else ""
        table.add_row(
            row.tier,
            row.id,
            Text(row.release or "", "yellow" if old else ""),
            *(() if measured else (row.template_version or "",)),
            Text(row.state, STYLES.get(row.state, "")),
            *(_traffic(row.traffic) if measured else (row.edge or "",)),
            Text(row.reason or flying),
        )
    return table


def _traffic(traffic: Traffic | None) -> tuple[str, Text, str]:
    if traffic is None:
        return "", Text(""), ""
    errors = Text(f"{traffic.errors:.1f}", "red" if traffic.errors else "")
    return f"{traffic.requests:.1f}", errors, "" if traffic.p95 is None else f"{1000 * traffic.p95:.0f}"


def _runs(row: Row) -> str:
    release = f"release {row.release}" if row.release else row.lifecycle
    return f"{release}, template version {row.template_version}" if row.template_version else release
