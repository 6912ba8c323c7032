"""`expressway logs`."""

import json as encoding
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.console import err, fail, out, refuse
from cli.options import OutputsFile, StackName

if TYPE_CHECKING:
    from operate.logs import Entry

COLORS = {"edge": "cyan", "app": "green", "database": "magenta"}


def logs(
    stack: StackName = None,
    outputs: OutputsFile = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h or 1d.", metavar="AGE")] = "",
    request: Annotated[
        str | None, typer.Option(help="Of this request, by the answer's X-Request-ID.", metavar="ID")
    ] = None,
    machine: Annotated[str | None, typer.Option(help="Of this machine alone.", metavar="i-...")] = None,
    tier: Annotated[list[str] | None, typer.Option(help="edge, app or database; may be given twice.")] = None,
    kind: Annotated[str | None, typer.Option(help="access, app, system or boot.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show what edges, app servers and database logged, in the order of time, as CloudWatch Logs has it.

    Of the last ten minutes; of a request, of the last hour.
    """
    from cli import targets
    from operate.logs import KINDS, REQUEST_ID, TIERS, Logs, LogsError, Query, ago

    if kind is not None and kind not in KINDS:
        refuse(f"--kind {kind}: it must be one of {', '.join(KINDS)}")
    if wrong := [each for each in tier or () if each not in TIERS]:
        refuse(f"--tier {wrong[0]}: it must be one of {', '.join(TIERS)}")
    if request is not None and not REQUEST_ID.fullmatch(request):
        refuse(f"--request {request}: it must be an id as X-Request-ID has it: 8 to 64 letters, digits and any of ._-")
    age = since or ("1h" if request else "10m")
    try:
        begin = ago(age, time.time())
    except ValueError:
        refuse(f"--since {age}: it must be a number and a unit, as in 30s, 10m, 2h or 1d")
    target = targets.find(stack, outputs)
    query = Query(begin, tuple(tier or TIERS), machine, kind, request)
    try:
        there = Logs(target.stack)
    except LogsError as error:
        fail(str(error))
    with targets.explained(), suppress(KeyboardInterrupt):
        if follow:
            for entries in there.follow(query):
                _show(entries, json=json)
        found = there.find(query)
        _show(found.entries, json=json)
        for each in found.missing if tier else ():
            err.print(f"{each}: there is no log of it (yet)", markup=False, soft_wrap=True)
        if not found.entries:
            fail(f"nothing was logged {'of ' + request + ' ' if request else ''}in the last {age} that CloudWatch has")


def _show(entries: "list[Entry]", *, json: bool) -> None:
    for each in entries:
        if json:
            print(encoding.dumps(each.as_json(), ensure_ascii=False), flush=True)
            continue
        when = time.strftime("%H:%M:%S", time.gmtime(each.at)) + f".{int(each.at * 1000) % 1000:03d}"
        line = Text.assemble(
            (when, "dim"),
            " ",
            (f"{each.tier:<8}", COLORS[each.tier]),
            " ",
            (each.machine if each.tier != "database" else each.kind, "dim"),
            " ",
            each.message,
        )
        out.print(line, soft_wrap=True)
