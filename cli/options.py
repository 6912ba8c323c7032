"""Options and arguments that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Configuration = Annotated[Path, typer.Argument(help="A stack's configuration file.", metavar="Pulumi.<stack>.yaml")]
StackName = Annotated[
    str | None,
    typer.Option("--stack", "-s", help="A stack on AWS, whose outputs the Pulumi CLI has. Default: the lab."),
]
OutputsFile = Annotated[
    Path | None,
    typer.Option("--outputs", help="A stack on AWS by its exported outputs: pulumi stack output --json > FILE"),
]
