"""`expressway scale`."""

from dataclasses import asdict
from typing import Annotated

import typer

from cli.console import fail, out, print_json, refuse
from cli.options import Json, OutputsFile, StackName


def scale(
    machines: Annotated[int, typer.Argument(min=0, help="How many app servers there should be.", metavar="N")],
    stack: StackName = None,
    outputs: OutputsFile = None,
    json: Json = False,
) -> None:
    """Have N app servers, and wait until all of them serve and those too many are drained and gone."""
    from cli import progress, targets
    from operate import releases, status
    from operate import scale as scaling

    target = targets.find(stack, outputs)
    with targets.explained():
        release = str(releases.pointer(target.stack)["release_id"])
        try:
            with progress.watching() as watch:
                fleet = scaling.scale(
                    target.stack,
                    machines,
                    lambda now: watch.show(f"scaling to {machines}", status.rows(now, release), release),
                )
        except scaling.ScaleError as error:
            refuse(str(error))
        except scaling.ScaleTimeoutError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail(f"interrupted: Auto Scaling goes on to {machines} machines; expressway status shows them")
    rows = status.rows(fleet, release)
    if json:
        print_json({"desired": machines, "machines": [asdict(row) for row in rows]})
        return
    out.print(progress.machines(rows, release))
