"""What the command line prints: tables for people on the terminal, JSON for machines on request."""

import json
import sys
from typing import NoReturn

import typer
from rich.console import Console

# No emoji: an ARN has `:secret:` in it, which would become one.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


def print_json(value: object) -> None:
    """`value` as indented JSON on standard output, nothing else."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def fail(message: str) -> NoReturn:
    """Say what went wrong on standard error and exit with 1."""
    _end(message, 1)


def refuse(message: str) -> NoReturn:
    """Say what is wrong with what was asked for, and exit with 2."""
    _end(message, 2)


def _end(message: str, status: int) -> NoReturn:
    err.print("[red]error:[/red] ", end="")
    err.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(status)
