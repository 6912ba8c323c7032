"""`expressway check`."""

from pathlib import Path

import typer

from cli.console import out, print_json
from cli.options import Configuration, Json


def check(configuration: Configuration = Path("Pulumi.dev.yaml"), json: Json = False) -> None:
    """Validate a configuration: every mistake at once; touches nothing."""
    import settings

    error: settings.SettingsError | None = None
    try:
        settings.from_file(configuration)
    except settings.SettingsError as found:
        error = found
    if json:
        problems = error.problems if error else ()
        print_json({"file": str(configuration), "problems": [vars(problem) for problem in problems]})
    else:
        out.print(str(error) if error else f"{configuration}: no mistakes", markup=False, soft_wrap=True)
    if error:
        raise typer.Exit(1)
