"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from operate.console import err, fail, out, print_json

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Expressway: an Express app as a fleet.")

# The lab boots this repository's program and app, so only a clone has it.
if (Path(__file__).resolve().parents[1] / "lab").is_dir():
    from lab.cli import app as lab

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
def build(
    configuration: Configuration = Path("Pulumi.dev.yaml"),
    app_dir: Annotated[
        Path | None, typer.Option("--app", help="Build this app, for a stack of your own; no configuration is read.")
    ] = None,
    node: Annotated[int, typer.Option(help="With --app: Node's major version.")] = 24,
    arch: Annotated[str, typer.Option(help="With --app: the servers' architecture, x64 or arm64.")] = "x64",
    into: Annotated[
        Path | None,
        typer.Option(help="Also write app.tar.gz and runtime.tar.gz into this folder, as Release takes them."),
    ] = None,
) -> None:
    """Build the app's artifact and its Node runtime, which `pulumi up` then finds."""
    import artifact
    import settings
    from artifact.cache import root as cache_root

    try:
        if app_dir is None:
            wanted = settings.from_file(configuration).app
            app_dir, node, arch = wanted.path, wanted.node_version, wanted.arch
        built, runtime = artifact.ensure(app_dir.absolute(), node, arch, cache_root(), err.print)
        if into is not None:
            artifact.export(built, runtime, into)
    except (settings.SettingsError, artifact.AppError, artifact.BuildError) as error:
        fail(str(error))
    out.print(f"release {built.release_id}: {built.path}", markup=False, soft_wrap=True)
    out.print(f"runtime: {runtime.path}", markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app(prog_name="expressway")
