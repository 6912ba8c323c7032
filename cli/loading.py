"""A load while it runs, and what came of it: a table that grows on a terminal, a line for each step elsewhere."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli import live
from cli.console import err
from operate.load.model import Run, Step
from operate.load.planning import kept_up, saturated
from operate.load.run import Now

NUMBERS = ("offered/s", "answered/s", "failed %", "p50 ms", "p95 ms", "p99 ms")


class Watch:
    """Shows the steps so far, and what is going on."""

    def __init__(self, live: Live | None) -> None:
        self._live = live
        self._doing = ""
        self._told = 0.0

    def show(self, steps: Sequence[Step], now: Now) -> None:
        """Four times a second."""
        if self._live:
            self._live.update(Group(table(steps), Text(_line(now))), refresh=True)
            return
        for step in steps:
            # Not by their number: a rate that is tried once more takes the place of its first try.
            if step.began > self._told:
                err.print(_said(step, steps), markup=False, soft_wrap=True)
                self._told = step.began
        doing = f"{now.doing}: {now.rate} requests/s" if now.rate else now.doing
        if doing != self._doing:
            err.print(doing, markup=False)
        self._doing = doing


def watching() -> AbstractContextManager[Watch]:
    """Show a load while the body runs."""
    return live.watching(Watch)


def table(steps: Sequence[Step], think_time: float | None = None) -> Table:
    """One row a step, in the order in which they were held."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (*NUMBERS, *(("users",) if think_time else ())):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("")
    for step in steps:
        good = kept_up(step, steps)
        users = (f"{step.offered_rps * think_time:.0f}",) if think_time else ()
        shown.add_row(*_figures(step), *users, Text("kept up", "green") if good else Text("too much", "red"))
    return shown


def report(console: Console, done: Run, think_time: float | None) -> None:
    """All of it, for people."""
    console.print(f"{done.target}, with {done.generator}:", markup=False, soft_wrap=True)
    for line in done.mix:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(table(done.steps, think_time))
    failures = {name: step.failures[name] for step in done.steps for name in step.failures}
    if failures:
        told = ", ".join(f"{sum(s.failures.get(name, 0) for s in done.steps)} times {name}" for name in failures)
        console.print(f"failures: {told}", markup=False, soft_wrap=True)
    if own := _generator(done.steps):
        console.print(own, markup=False, soft_wrap=True)
    users = f", {done.knee_rps * think_time:.0f} users" if done.knee_rps and think_time else ""
    more = "" if saturated(done.steps) else " or more"
    knee = "none: even the lightest step was too much" if done.steps else "none: no step was measured"
    console.print(
        f"knee: {knee}" if done.knee_rps is None else f"knee: {done.knee_rps:g} requests/s{more}{users}", markup=False
    )
    verdict = done.bottleneck
    what = f"{verdict.tier}, {verdict.resource}" if verdict.resource else verdict.tier
    console.print(f"bottleneck: {what}", markup=False)
    for line in verdict.evidence:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    for line in verdict.next:
        console.print(f"next: {line}", markup=False, soft_wrap=True)


def _generator(steps: Sequence[Step]) -> str:
    cpu = [each for step in steps for each in step.readings if (each.tier, each.resource) == ("generator", "cpu")]
    if not cpu:
        return ""
    most = max(cpu, key=lambda each: each.value)
    return f"generator: at most {most.value:.0f} % of a CPU, {100 * (most.saturation or 0):.0f} % of this machine's"


def _figures(step: Step) -> tuple[str, ...]:
    failed = 100 * sum(step.failures.values()) / step.requests if step.requests else 0.0
    times = (step.p50, step.p95, step.p99) if step.histogram else ()
    shown = [f"{each:.1f}" if each < 100 else f"{each:.0f}" for each in times] or ["", "", ""]
    return f"{step.offered_rps:g}", f"{step.answered_rps:.0f}", f"{failed:.2f}".rstrip("0").rstrip("."), *shown


def _said(step: Step, steps: Sequence[Step]) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in zip(NUMBERS, _figures(step), strict=True))
    return f"{figures}: {'kept up' if kept_up(step, steps) else 'too much'}"


def _line(now: Now) -> str:
    if not now.rate:
        return now.doing
    parts = [f"{now.doing}: {now.rate} requests/s"]
    if now.left:
        parts.append(f"{now.left:.0f} s left")
    if now.answered or now.failed or now.in_flight:
        parts.append(f"{now.answered:.0f} answered, {now.failed} failed in the last second, {now.in_flight} in flight")
    return ", ".join(parts)
