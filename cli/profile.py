"""`expressway profile`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, fail, out, print_json, refuse
from cli.options import Json, OutputsFile, StackName


def profile(
    machine: Annotated[
        str | None,
        typer.Option("--machine", help="Of this app server. Default: the first in service.", metavar="i-..."),
    ] = None,
    seconds: Annotated[int, typer.Option("--seconds", help="For so long: 1 to 60.")] = 10,
    page: Annotated[
        Path,
        typer.Option("--out", help="The flame graph: one HTML page. V8's profile goes beside it.", metavar="FILE"),
    ] = Path("profile.html"),
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Profile the busiest worker of a machine while it runs: where its CPU time goes, by function and as a flame graph.

    Nothing is restarted, and no request is sent: `expressway load --profile` profiles under a load.
    """
    from cli import profiling, targets
    from operate.profile import page as pages
    from operate.profile import request

    profiling.check_seconds("--seconds", seconds)
    raw = profiling.check_file("--out", page)
    target = targets.find(stack, outputs)
    with targets.explained():
        try:
            asked = request.choose(target.stack, machine)
        except request.ProfileError as error:
            (refuse if machine else fail)(str(error))
        try:
            taken = request.take(target.stack, asked, seconds, lambda line: err.print(line, markup=False))
        except request.ProfileError as error:
            fail(str(error))
    profiling.write("--out", page, pages.page(taken.profile))
    profiling.write("--out", raw, taken.text)
    if json:
        print_json(taken.profile.as_json())
    else:
        profiling.report(out, taken.profile)
    err.print(f"the flame graph: {page}; for Chrome's DevTools: {raw}", markup=False, soft_wrap=True)
