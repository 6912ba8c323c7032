"""What `expressway load --plan` and `--check` are asked, and how they answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich import box
from rich.console import Console
from rich.table import Table

from cli.console import err, fail, refuse

if TYPE_CHECKING:
    from cli.targets import Target
    from operate.doctor import Estimate, Wanted
    from operate.load.check import Checked
    from operate.load.model import Run, Sizes
    from operate.load.proposal import Choice, Proposal
    from operate.load.run import Options

RATE = re.compile(r"(\d+(?:\.\d+)?)(?:rps|/s)?")
TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
MOST_RATE = 1_000_000


@dataclass(frozen=True)
class Asked:
    """What is to be planned, and checked."""

    rate: float | None = None
    """Requests a second."""
    p95: float = 0.0
    """Milliseconds."""
    pool: int | None = None
    run: "Run | None" = None
    """One that was measured before."""
    counts: tuple[int, ...] = ()
    """Numbers of app servers at which the prediction is checked."""


def asked(plan: str | None, p95: str | None, saved: Path | None, pool: int | None, check: str | None) -> Asked:
    """What the options say. Ends the program with one line where they say nothing that can be done."""
    for option, given in (("--p95", p95), ("--pool", pool)):
        if given is not None and plan is None:
            refuse(f"{option} {given} is a plan's: say for which rate, such as --plan 2000rps")
    if saved is not None and plan is None and check is None:
        refuse(f"--from {saved} is to plan from, or to check: say for which rate, such as --plan 2000rps --p95 100ms")
    if plan is not None and p95 is None:
        refuse(f"--plan {plan}: say within which time, such as --p95 100ms")
    if pool is not None and not 1 <= pool <= 1000:
        refuse(f"--pool {pool}: it must be 1 to 1000 connections of each worker")
    return Asked(
        rate=None if plan is None else _rate(plan),
        p95=0.0 if p95 is None else _milliseconds(p95),
        pool=pool,
        run=None if saved is None else _saved(saved),
        counts=() if check is None else _counts(check),
    )


def _rate(given: str) -> float:
    match = RATE.fullmatch(given.strip())
    if match is None or not 0 < float(match[1]) <= MOST_RATE:
        refuse(f"--plan {given}: it must be requests a second, up to {MOST_RATE}: write it like 2000rps or 2000/s")
    return float(match[1])


def _milliseconds(given: str) -> float:
    match = TIME.fullmatch(given.strip())
    time = 0.0 if match is None else float(match[1]) * (1 if match[2] == "ms" else 1000)
    if not 0 < time <= 60_000:
        refuse(f"--p95 {given}: it must be a time with its unit, up to 60s: write it like 100ms or 0.1s")
    return time


def _counts(given: str) -> tuple[int, ...]:
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts) or len(set(parts)) < len(parts):
        refuse(f"--check {given}: it must be numbers of app servers, each once: write it like 1,2,3")
    return tuple(map(int, parts))


def _saved(path: Path) -> "Run":
    from operate.load import saved

    try:
        return saved.read(path)
    except saved.SavedRunError as error:
        refuse(f"--from {error}")


def plan(wanted: Asked, run: "Run") -> "tuple[tuple[Proposal, Estimate] | None, str]":
    """The plan and its bill, where one is asked for; or why there is none."""
    from operate.doctor import cost
    from operate.load.capacity import CapacityError
    from operate.load.proposal import propose

    if wanted.rate is None:
        return None, ""
    try:
        found = propose(run, wanted.rate, wanted.p95, wanted.pool)
    except CapacityError as error:
        return None, f"--plan: {error}"
    # A run without sizes has no plan.
    return (found, cost.estimate(found.wanted(cast("Sizes", run.sizes), _settings(run.stack)))), ""


def as_json(found: "tuple[Proposal, Estimate] | None", compared: "Sequence[Checked]") -> dict[str, Any]:
    """What a run's JSON has beside it."""
    from cli.doctor import tables

    told: dict[str, Any] = {}
    if found is not None:
        told["plan"] = found[0].as_json() | {"cost": tables.bill_as_json(found[1])}
    if compared:
        told["check"] = [each.as_json() for each in compared]
    return told


def _settings(stack: str | None) -> "Wanted | None":
    """What the stack's settings want of AWS, where their file is here."""
    import settings
    from cli.doctor.wanted import wanted

    path = Path(f"Pulumi.{stack}.yaml")
    if stack is None or not path.is_file():
        return None
    try:
        return wanted(settings.from_file(path), path.absolute().parent)
    except settings.SettingsError:
        return None


def show(console: Console, found: "Proposal", bill: "Estimate") -> None:
    """The plan, for people."""
    from cli.doctor import tables
    from operate.doctor import NOT_COUNTED
    from operate.load.comparison import figure

    console.print(
        f"\nplan for {figure(found.rate)} requests/s with a p95 of {figure(found.p95)} ms at most; one app server as "
        f"measured does {figure(found.server)}/s, bounded by {found.why}:",
        markup=False,
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("tier", "type"):
        table.add_column(column, no_wrap=True)
    for column in ("count", "CPU %", "of %", "USD a month"):
        table.add_column(column, justify="right", no_wrap=True)
    for choice in found.machines:
        table.add_row(*_row(choice))
    if found.servers[1:]:
        table.add_section()
    for choice in found.servers[1:]:
        table.add_row("or app", *_row(choice)[1:])
    console.print(table)
    if budget := found.connections:
        most = "not known" if budget.most is None else str(budget.most)
        console.print(
            f"connections: {budget.servers} servers x {budget.workers} workers x {budget.pool} = {budget.usual}, "
            f"{budget.rolling} while rolling; max_connections {most}: {'they fit' if budget.fits else 'too many'}",
            markup=False,
            soft_wrap=True,
        )
    console.print(tables.bill(bill))
    console.print(f"Not counted: {NOT_COUNTED}.", markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _row(choice: "Choice") -> tuple[str, ...]:
    month = "?" if choice.month is None else f"{choice.month:.2f}"
    return choice.tier, choice.size, str(choice.count), f"{choice.percent:.0f}", f"{choice.limit:.0f}", month


def may_check(target: "Target | None", counts: Sequence[int]) -> "Target":
    """The stack, where it can have those numbers of app servers. Ends the program where it can't."""
    from cli import targets
    from operate.fleet import Observer
    from operate.load import check

    if target is None:
        refuse("--check changes the number of app servers: name the stack, and leave out --url")
    with targets.explained():
        try:
            check.bounds(Observer(target.stack).look().app, counts)
        except check.CheckError as error:
            refuse(f"--check {','.join(map(str, counts))}: {error}")
    return target


def checked(
    target: "Target", wanted: Asked, options: "Options", load: "Callable[[Options], Run]"
) -> "tuple[Run, list[Checked]]":
    """Measure, unless there is a run already, and load each number of app servers.

    Those that were there before are there again afterwards, whatever happens.
    """
    from cli import progress, targets
    from operate import releases, status
    from operate import scale as scaling
    from operate.load import capacity, check

    def scale(count: int) -> None:
        with progress.watching() as watch:
            scaling.scale(
                target.stack,
                count,
                lambda now: watch.show(f"scaling to {count}", status.rows(now, release), release),
            )

    def from_rate(rate: int) -> "Run":
        return load(replace(options, start=rate, highest=None, only=None, factor=check.FACTOR, again=True))

    run, done, before = wanted.run, list["Checked"](), 0
    with targets.explained():
        release = str(releases.pointer(target.stack)["release_id"])
        try:
            with check.put_back(target.stack) as group:
                before = group.desired
                run = run or load(replace(options, again=True))
                if not run.interrupted:
                    for each in check.at_each(capacity.measured(run), wanted.counts, scale, from_rate):
                        done.append(each)
                        err.print(_said(each), markup=False, soft_wrap=True)
        except capacity.CapacityError as error:
            err.print(f"nothing is compared: {error}", markup=False, soft_wrap=True)
        except (scaling.ScaleError, scaling.ScaleTimeoutError) as error:
            err.print(f"{error}; the group wants {before} again", markup=False, soft_wrap=True)
        except KeyboardInterrupt:
            err.print(f"interrupted; the group wants {before} app servers again", markup=False)
    if run is None:
        fail("interrupted before anything was measured")
    return run, done


def _said(each: "Checked") -> str:
    measured = "no knee" if each.measured is None else f"{each.measured:.1f}/s"
    servers = "1 app server" if each.servers == 1 else f"{each.servers} app servers"
    return f"{servers}: predicted {each.predicted:.1f}/s, measured {measured}"


def show_check(console: Console, done: "Sequence[Checked]") -> None:
    """Predicted against measured, for people."""
    from operate.load import check

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("app servers", "predicted/s", "measured/s", "error %"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("predicted limit")
    table.add_column("found")
    for each in done:
        measured = "?" if each.measured is None else f"{each.measured:.1f}"
        error = "?" if each.error is None else f"{each.error:+.1f}"
        table.add_row(str(each.servers), f"{each.predicted:.1f}", measured, error, f"{each.tier}, cpu", each.found)
    console.print(table)
    if (widest := check.widest(done)) is not None:
        console.print(f"largest error: {widest:.1f} %", markup=False)
