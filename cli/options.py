"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Configuration = Annotated[Path, typer.Argument(help="A stack's configuration file.", metavar="Pulumi.<stack>.yaml")]
