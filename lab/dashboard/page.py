"""A dashboard as one HTML page that needs nothing else, neither a network nor a server. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

import operate.load

from .widgets import COLUMNS, Alarms, Graph, Line

HERE: Final = Path(__file__).parent
HEIGHT: Final = 260
"""Pixels of a graph."""
THRESHOLD: Final = "#d1495b"

Points = Sequence[tuple[datetime, float]]


def page(
    name: str,
    widgets: Sequence[Graph | Alarms],
    points: Mapping[Line, Points],
    states: Mapping[str, str],
    seen: tuple[datetime, datetime],
) -> str:
    """The page, of about 5 MB: Plotly's program is in it. It follows the reader's light or dark, and their width.

    `points` has each line's values, `states` each alarm's; `seen` is from when to when, in UTC.
    """
    environment = Environment(
        loader=FileSystemLoader([HERE, *operate.load.__path__]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    graphs = [each for each in widgets if isinstance(each, Graph)]
    shown = [each for each in widgets if isinstance(each, Alarms)]
    return environment.get_template("dashboard.html.j2").render(
        name=name,
        columns=COLUMNS,
        alarms=[(each, [(one, states.get(one, "gone")) for one in each.names]) for each in shown],
        graphs=graphs,
        # In a script element the text of a figure must not end the element.
        figures=[str(figure(each, points, seen).to_json()).replace("</", "<\\/") for each in graphs],
        seen=seen,
        plotly=get_plotlyjs(),
    )


def figure(graph: Graph, points: Mapping[Line, Points], seen: tuple[datetime, datetime]) -> go.Figure:
    """The graph without colours of its own for text and background."""
    drawn = go.Figure()
    for line in graph.lines:
        found = points.get(line, ())
        drawn.add_scatter(
            x=[at for at, _ in found], y=[value for _, value in found], name=line.label, mode="lines", showlegend=True
        )
    for value in graph.thresholds:
        drawn.add_hline(
            y=value, line={"dash": "dash", "color": THRESHOLD, "width": 1}, annotation_text=f"alarm {value:,.10g}"
        )
    # Upright labels would lie over the legend.
    drawn.update_xaxes(range=list(seen), tickangle=0, nticks=5, tickformat="%H:%M")
    drawn.update_yaxes(rangemode="tozero")
    drawn.update_layout(
        height=HEIGHT, margin={"l": 40, "r": 12, "t": 12, "b": 24}, legend={"orientation": "h", "y": -0.15}
    )
    return drawn
