"""`expressway status` and `expressway releases`: what runs where, and what could."""

import json as encoding
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.console import err, fail, out, print_json
from cli.options import Json, OutputsFile, StackName

if TYPE_CHECKING:
    from cli.targets import Target
    from operate.status import Status


WATCH_SECONDS = 2.0
"""Between two looks. The edges report every 2 s while machines come and go, and every 10 s otherwise."""


def status(
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again, every 2 s, until Ctrl-C.")] = False,
) -> None:
    """Show what runs where: each machine's release, template version and state, and a deploy that is under way.

    With --watch also what each machine answers a second; with --json as well, one line for each look.
    """
    from cli import targets
    from operate import status as looking

    target = targets.find(stack, outputs)
    if watch:
        _watch(target, json=json)
        return
    with targets.explained():
        found = looking.look(target.stack)
    if json:
        print_json(_as_json(target, found))
        return
    out.print(_table(target, found))
    for line in _remarks(found):
        out.print(line, markup=False, soft_wrap=True)


def releases(
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
    count: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
) -> None:
    """List the releases that were deployed, the newest first; rollback goes to any of them."""
    from cli import targets
    from operate import releases as kept

    target = targets.find(stack, outputs)
    with targets.explained():
        current = str(kept.pointer(target.stack)["release_id"])
        entries = kept.history(target.stack)
    if json:
        print_json({"current": current, "releases": [asdict(each) for each in entries[:count]]})
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "release", "deployed", "by", "outcome"):
        table.add_column(column, no_wrap=True)
    for each in entries[:count]:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(each.at)) if each.at else "with the stack"
        good = Text("good", "green") if each.good else Text("failed", "red")
        table.add_row("current" if each.release == current else "", each.release, when, each.by, good)
    if entries:
        out.print(table)
    else:
        out.print(f"current: {current}, which pulumi up put there; nothing was deployed yet", markup=False)


def _watch(target: "Target", *, json: bool) -> None:
    """Show the stack as it changes, until Ctrl-C. What AWS does not say now, it may say at the next look."""
    from botocore.exceptions import BotoCoreError, ClientError

    from operate.releases import ReleaseError
    from operate.stack import explain, lasting
    from operate.status import Watch

    watch = Watch(target.stack)
    live = Live(console=out, auto_refresh=False) if out.is_terminal and not json else None
    shown, told = list[Table | Text](), dict[str, Any]()
    with suppress(KeyboardInterrupt), live or nullcontext():
        while True:
            problem = ""
            try:
                found = watch.look()
            except (ClientError, BotoCoreError, ReleaseError) as error:
                if lasting(error):
                    fail(explain(error))
                problem = str(error) if isinstance(error, ReleaseError) else explain(error)
            else:
                told = _as_json(target, found)
                shown = [_table(target, found), *(Text(line) for line in _remarks(found))]
            if json:
                print(encoding.dumps({"error": problem} if problem else told), flush=True)
            elif live:
                live.update(Group(*shown, Text(problem, "red")), refresh=True)
            elif problem:
                err.print(problem, markup=False, soft_wrap=True)
            else:
                out.print(Group(*shown))
            time.sleep(WATCH_SECONDS)


def _table(target: "Target", found: "Status") -> Table:
    from cli.progress import machines

    by = f" (deploy {found.deploy})" if found.deploy else ""
    return machines(found.machines, found.release, f"{target.name}: release {found.release}{by}")


def _as_json(target: "Target", found: "Status") -> dict[str, Any]:
    return {"stack": target.name, "url": target.stack.url, **found.as_json()}


def _remarks(found: "Status") -> list[str]:
    lines: list[str] = []
    if (way := found.under_way) is not None:
        since = time.strftime("%H:%M:%S UTC", time.gmtime(way.at))
        what = f"a deploy ({way.mode}) from {way.before['release_id']} to {way.to['release_id']} by {way.by}, {since}"
        lines.append(
            f"{what}, is under way: {way.phase}"
            if found.alive
            else f"{what}, was interrupted (phase: {way.phase}): deploy goes on with it, rollback goes back"
        )
    elif not found.settled:
        old = [row for row in found.machines if row.template_version and not row.current]
        stale = [row.id for row in old if row.state == "serving"]
        if stale:
            lines.append(
                f"{', '.join(stale)}: not on the release or the launch template that is current; deploy rolls them"
            )
    if found.list_age is not None:
        lines.append(f"the edges' last good answer of the API: {found.list_age:.0f} s ago")
    return [*lines, *found.edge_errors]
