"""The command line. Each command imports what it needs when it runs, so that `--help` is quick."""

from importlib.util import find_spec

import typer

from cli.build import build
from cli.cache import app as cache
from cli.check import check
from cli.db import app as db
from cli.deploy import deploy, rollback
from cli.doctor import doctor
from cli.load import load
from cli.logs import logs
from cli.profile import profile
from cli.prune import prune
from cli.scale import scale
from cli.status import releases, status

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Expressway: an Express app as a fleet.")
app.command()(check)
app.command()(build)
app.command()(doctor)
app.command()(deploy)
app.command()(rollback)
app.command()(releases)
app.command()(status)
app.command()(logs)
app.command()(scale)
app.command()(load)
app.command()(profile)
app.command()(prune)
app.add_typer(cache, name="cache")
app.add_typer(db, name="db")

# The lab boots this repository's program and app, so only a clone has it.
if find_spec("lab"):
    from cli.lab import app as lab

    app.add_typer(lab, name="lab")


def main() -> None:
    """Run the command line."""
    app(prog_name="expressway")
