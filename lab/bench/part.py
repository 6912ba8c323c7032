"""A part of `make bench`, and what came of it. Plain values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .figures import Figure, Quantity

if TYPE_CHECKING:
    from .bed import Bed


@dataclass(frozen=True)
class Row:
    """A variant, with a figure for each column of its table."""

    name: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Table:
    """Variants side by side."""

    title: str
    rows: tuple[Row, ...]
    drawn: tuple[Quantity, ...] = ()
    """What of it is in the part's picture."""


@dataclass(frozen=True)
class Result:
    """What was measured."""

    tables: tuple[Table, ...]
    checks: tuple[Figure, ...] = ()
    """What is compared: with a target, or only told."""
    remarks: tuple[str, ...] = ()
    """What a reader has to know of this run, in sentences."""


@dataclass(frozen=True)
class Part:
    """What is compared, and how."""

    name: str
    title: str
    method: str
    run: "Callable[[Bed], Result]"


PARTS: Final[dict[str, Part]] = {}
"""By name, in the order in which they are carried out."""

Run = Callable[["Bed"], Result]


def part(name: str, title: str, method: str) -> Callable[[Run], Run]:
    """Put what is decorated into the table. Where the lines of `method` end is of no meaning."""

    def register(run: Run) -> Run:
        PARTS[name] = Part(name, title, " ".join(method.split()), run)
        return run

    return register


def as_json(one: Part, result: Result) -> dict[str, Any]:
    """What came of a part, for programs."""
    return {
        "name": one.name,
        "title": one.title,
        "tables": [
            {
                "title": table.title,
                "rows": [{"name": row.name, "figures": [each.as_json() for each in row.figures]} for row in table.rows],
            }
            for table in result.tables
        ],
        "checks": [each.as_json() for each in result.checks],
        "remarks": list(result.remarks),
    }
