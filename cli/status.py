"""`expressway status` and `expressway releases`: what runs where, and what could."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cli.console import out, print_json
from cli.options import Json, OutputsFile, StackName

if TYPE_CHECKING:
    from operate.status import Status


def status(stack: StackName = None, outputs: OutputsFile = None, json: Json = False) -> None:
    """Show what runs where: each machine's release, template version and state, and a deploy that is under way."""
    from cli import targets
    from cli.progress import machines
    from operate import status as looking

    target = targets.find(stack, outputs)
    with targets.explained():
        found = looking.look(target.stack)
    if json:
        print_json({"stack": target.name, "url": target.stack.url, **found.as_json()})
        return
    by = f" (deploy {found.deploy})" if found.deploy else ""
    out.print(machines(found.machines, found.release, f"{target.name}: release {found.release}{by}"))
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
