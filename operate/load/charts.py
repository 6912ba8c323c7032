"""The plots of a run's report, as Plotly figures without colours of their own for text and background. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from operate.load.model import Reading, Run, Second, Step

OFFERED, ANSWERED, FAILED = "#8a8f98", "#1f8a5b", "#d1495b"
PERCENTILES = {"p50": "#3b82c4", "p95": "#e08e2b", "p99": "#b3439c"}
FEW = 7
"""Steps whose latencies can be told apart in one plot."""


def against_load(run: Run) -> go.Figure:
    """What was answered, and how fast, against what was offered."""
    steps = sorted(run.steps, key=lambda step: step.offered_rps)
    offered = [step.offered_rps for step in steps]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    figure.add_scatter(x=offered, y=offered, name="offered", mode="lines", line={"dash": "dot", "color": OFFERED})
    figure.add_scatter(
        x=offered,
        y=[step.answered_rps for step in steps],
        name="answered",
        mode="lines+markers",
        line={"color": ANSWERED},
    )
    for name, colour in PERCENTILES.items():
        figure.add_scatter(
            x=offered,
            y=[getattr(step, name) or None for step in steps],
            name=name,
            mode="lines+markers",
            line={"color": colour},
            row=2,
            col=1,
        )
    if run.knee_rps is not None:
        figure.add_vline(x=run.knee_rps, line={"dash": "dash", "color": OFFERED})
        figure.add_annotation(
            x=run.knee_rps, y=1, yref="paper", yanchor="bottom", text=f"knee {run.knee_rps:g}/s", showarrow=False
        )
    figure.update_yaxes(title_text="requests/s", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="ms", type="log", row=2, col=1)
    figure.update_xaxes(title_text="offered requests/s", row=2, col=1)
    return figure


def saturation(run: Run) -> go.Figure | None:
    """How much of each resource was used at each rate. None when nothing with a limit was read."""
    steps = sorted(run.steps, key=lambda step: step.offered_rps)
    cells = {
        (_resource(reading), number): reading.saturation
        for number, step in enumerate(steps)
        for reading in step.readings
        if reading.saturation is not None
    }
    if not cells:
        return None
    # A heat map's first row is its lowest.
    resources = list(dict.fromkeys(resource for resource, _ in cells))[::-1]
    percent = [
        [None if (cell := cells.get((resource, number))) is None else 100 * cell for number in range(len(steps))]
        for resource in resources
    ]
    figure = go.Figure(
        go.Heatmap(
            x=[f"{step.offered_rps:g}" for step in steps],
            y=resources,
            z=percent,
            zmin=0,
            zmax=100,
            colorscale=[[0, "#2f9e6e"], [0.5, "#e9c46a"], [0.8, "#ee8a45"], [1, "#d1495b"]],
            showscale=False,
            text=[["" if cell is None else f"{cell:.0f}" for cell in row] for row in percent],
            texttemplate="%{text}",
            textfont={"color": "#14181f"},
            hovertemplate="%{y} at %{x}/s: %{z:.1f} %<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    figure.update_xaxes(title_text="offered requests/s", type="category")
    figure.update_layout(height=150 + 26 * len(resources))
    return figure


def distribution(run: Run) -> go.Figure:
    """Which share of the right answers was there within which time, by rate."""
    figure = go.Figure()
    for step in _few(sorted((one for one in run.steps if one.histogram), key=lambda step: step.offered_rps)):
        bounds = sorted(step.histogram)
        total = sum(step.histogram.values())
        figure.add_scatter(
            x=bounds,
            y=[100 * count / total for count in accumulate(step.histogram[bound] for bound in bounds)],
            name=f"{step.offered_rps:g}/s",
            mode="lines",
            line={"shape": "hv"},
        )
    figure.update_xaxes(title_text="ms", type="log")
    figure.update_yaxes(title_text="answered within, percent", range=[0, 101])
    return figure


def timeline(run: Run) -> go.Figure:
    """Second by second: what was offered, answered and failed, and the p95."""
    seconds = run.timeline
    times = [datetime.fromtimestamp(second.at, UTC) for second in seconds]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    for name, colour in (("offered", OFFERED), ("answered", ANSWERED), ("failed", FAILED)):
        figure.add_scatter(
            x=times, y=[_count(second, name) for second in seconds], name=name, mode="lines", line={"color": colour}
        )
    figure.add_scatter(
        x=times,
        y=[second.p95 for second in seconds],
        name="p95",
        mode="lines",
        line={"color": PERCENTILES["p95"]},
        row=2,
        col=1,
    )
    figure.update_yaxes(title_text="requests/s", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="ms", type="log", row=2, col=1)
    figure.update_xaxes(title_text="UTC", row=2, col=1)
    return figure


def _count(second: Second, name: str) -> int:
    return {"offered": second.offered, "answered": second.answered, "failed": second.failed}[name]


def _resource(reading: Reading) -> str:
    return " ".join(filter(None, (reading.tier, reading.resource, reading.who)))


def _few(steps: Sequence[Step]) -> Sequence[Step]:
    """So many of them, spread evenly, the first and the last among them."""
    if len(steps) <= FEW:
        return steps
    return [steps[round(number * (len(steps) - 1) / (FEW - 1))] for number in range(FEW)]
