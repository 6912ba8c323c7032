"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from lab.cli import app as lab
from operate.console import err, fail, out, print_json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Expressway: an Express app as a fleet.")
app.add_typer(lab, name="lab")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Configuration = Annotated[Path, typer.Argument(help="A stack's configuration file.", metavar="Pulumi.<stack>.yaml")]


@app.command()
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


@app.command()
def build(configuration: Configuration = Path("Pulumi.dev.yaml")) -> None:
    """Build the app's artifact and its Node runtime, which `pulumi up` then finds."""
    import artifact
    import settings
    from artifact.cache import root as cache_root

    try:
        settled = settings.from_file(configuration)
        built, runtime = artifact.ensure(
            settled.app.path, settled.app.node_version, settled.app.arch, cache_root(), err.print
        )
    except (settings.SettingsError, artifact.AppError, artifact.BuildError) as error:
        fail(str(error))
    out.print(f"release {built.release_id}: {built.path}", markup=False, soft_wrap=True)
    out.print(f"runtime: {runtime.path}", markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app(prog_name="expressway")
