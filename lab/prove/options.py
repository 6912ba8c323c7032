"""The options of a program that goes through a table, by name, and writes a row for each into a page of docs/."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

Entry = TypeVar("Entry")


def parser(target: str, what: str, *, kind: str, page: str, short: str) -> argparse.ArgumentParser:
    """Of `make target`, which does `what` with each `kind`; `short` says what less of it is."""
    made = argparse.ArgumentParser(prog=f"make {target}", description=what)
    made.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    only = f"one {kind}, or several with commas between; {page} stays as it is, but for --page"
    made.add_argument("--only", default=[], type=lambda given: given.split(","), metavar=kind.upper(), help=only)
    either = made.add_mutually_exclusive_group()
    either.add_argument("--page", action="store_true", help=f"write the rows of --only into {page}")
    either.add_argument("--short", action="store_true", help=short)
    made.add_argument("--here", action="store_true", help="in the lab that is up, instead of one of its own")
    return made


def chosen(only: list[str], table: Mapping[str, Entry], program: str, kind: str) -> list[Entry]:
    """Those of --only, or all. Empty where one is unknown, which a line has said."""
    if unknown := sorted(set(only) - table.keys()):
        there = ", ".join(table)
        print(f"{program}: there is no {kind} {', '.join(unknown)}. There are: {there}", file=sys.stderr)
        return []
    return [table[name] for name in only] or list(table.values())
