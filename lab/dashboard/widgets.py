"""What a dashboard's body asks for. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

COLUMNS: Final = 24
"""Of CloudWatch's grid."""
_START = re.compile(r"-PT(\d+)([MH])")


class BodyError(ValueError):
    """The body asks for what isn't drawn here."""


@dataclass(frozen=True)
class Line:
    """A metric of a graph."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    label: str
    period: int
    """Seconds."""


@dataclass(frozen=True)
class Graph:
    """A widget of the type metric."""

    title: str
    place: tuple[int, int]
    """The first of its columns, from 0, and how many they are."""
    lines: tuple[Line, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class Alarms:
    """A widget of the type alarm."""

    title: str
    place: tuple[int, int]
    names: tuple[str, ...]


def start(body: Mapping[str, Any]) -> timedelta:
    """How far back the dashboard goes: minutes or hours. CloudWatch's own default is three hours."""
    found = _START.fullmatch(body.get("start", "-PT3H"))
    if found is None:
        raise BodyError(f"start: {body['start']!r} is no number of minutes or hours, such as -PT3H")
    return timedelta(**{"minutes" if found[2] == "M" else "hours": int(found[1])})


def widgets(body: Mapping[str, Any]) -> Iterator[Graph | Alarms]:
    """From the top, and each row from the left. BodyError for a kind that isn't drawn here."""
    for widget in sorted(body["widgets"], key=lambda each: (each["y"], each["x"])):
        properties, place = widget["properties"], (widget["x"], widget["width"])
        match widget["type"]:
            case "alarm":
                names = tuple(arn.partition(":alarm:")[2] for arn in properties["alarms"])
                yield Alarms(properties["title"], place, names)
            case "metric":
                lines = tuple(_line(each, properties["period"]) for each in properties["metrics"])
                marks = properties.get("annotations", {}).get("horizontal", [])
                yield Graph(properties["title"], place, lines, tuple(each["value"] for each in marks))
            case other:
                raise BodyError(f"a widget of the type {other} is not drawn here: metric and alarm are")


def _line(metric: Sequence[Any], period: int) -> Line:
    namespace, name, *rest = metric
    options = rest.pop() if rest and isinstance(rest[-1], dict) else {}
    dimensions = tuple(zip(rest[::2], rest[1::2], strict=True))
    label = options.get("label", name)
    return Line(namespace, name, dimensions, options.get("stat", "Average"), label, options.get("period", period))
