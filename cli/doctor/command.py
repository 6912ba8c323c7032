"""The command: a stack's settings in, a table of findings and one of costs out."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, fail, out, print_json
from cli.options import Json


def doctor(
    stack: Annotated[
        str, typer.Option("--stack", "-s", help="The stack, whose settings are in Pulumi.<stack>.yaml.")
    ] = "dev",
    json: Json = False,
) -> None:
    """Look at the AWS account: can what the settings want be had there, and what does it cost? Changes nothing."""
    import settings
    from cli.doctor import tables
    from cli.doctor.wanted import wanted
    from operate import doctor as examination

    path = Path(f"Pulumi.{stack}.yaml")
    if not path.is_file():
        there = ", ".join(sorted(each.name for each in Path().glob("Pulumi.*.yaml"))) or "none"
        raise typer.BadParameter(f"there is no {path} here (there is {there})", param_hint="--stack")
    try:
        stack_wanted = wanted(settings.from_file(path), path.absolute().parent)
    except settings.SettingsError as error:
        fail(str(error))
    with err.status("looking at the account") as status:
        report = examination.examine(stack_wanted, lambda check: status.update(f"looking at the account: {check}"))
    if json:
        print_json(tables.as_json(report))
    elif report.halted is None:
        out.print(tables.findings(report))
    if not json:
        out.print(tables.costs(report))
        out.print(tables.summary(report), markup=False, soft_wrap=True)
    if report.halted is not None:
        # Nothing else could be looked at: one line says it all.
        fail(f"{report.halted.what}. {report.halted.mend}")
    if not report.sound:
        raise typer.Exit(1)
