"""`expressway build`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import err, fail, out
from cli.options import Configuration


def build(
    configuration: Configuration = Path("Pulumi.dev.yaml"),
    app_dir: Annotated[
        Path | None, typer.Option("--app", help="Build this app, for a stack of your own; no configuration is read.")
    ] = None,
    node: Annotated[int, typer.Option(help="With --app: Node's major version.")] = 24,
    arch: Annotated[str, typer.Option(help="With --app: the servers' architecture, x64 or arm64.")] = "x64",
    apm: Annotated[str | None, typer.Option(help="With --app: whose APM agent comes with it (docs/apm.md).")] = None,
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
            app_dir, node, arch, apm = wanted.path, wanted.node_version, wanted.arch, wanted.apm
        built, runtime = artifact.ensure(app_dir.absolute(), node, arch, cache_root(), err.print, apm)
        if into is not None:
            artifact.export(built, runtime, into)
    except (settings.SettingsError, artifact.AppError, artifact.BuildError) as error:
        fail(str(error))
    out.print(f"release {built.release_id}: {built.path}", markup=False, soft_wrap=True)
    out.print(f"runtime: {runtime.path}", markup=False, soft_wrap=True)
