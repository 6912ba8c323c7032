"""A run as one HTML page that needs nothing else, neither a network nor a server."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from operate.doctor import Estimate
from operate.load import charts
from operate.load.check import Checked
from operate.load.model import Run
from operate.load.proposal import Proposal
from operate.profile import flame
from operate.profile import page as profile_page


def page(
    run: Run, plan: Proposal | None = None, bill: Estimate | None = None, *, compared: Sequence[Checked] = ()
) -> str:
    """The page, of about 5 MB: Plotly's program is in it. It follows the reader's light or dark.

    `plan`, its `bill` and what was `compared` with its prediction have sections of their own.
    """
    figures = {
        "Against the load": charts.against_load(run),
        "How much of each resource was used": charts.saturation(run),
        "Latency": charts.distribution(run),
        "Second by second": charts.timeline(run),
        "Where the app's CPU time went": flame.figure(run.profile) if run.profile else None,
    }
    steps = sorted(run.steps, key=lambda step: step.offered_rps)
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, profile_page.HERE]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        run=run,
        plan=plan,
        bill=bill,
        compared=compared,
        steps=steps,
        began=datetime.fromtimestamp(min(step.began for step in steps), UTC) if steps else None,
        statements=next((step.statements for step in reversed(steps) if step.statements), ()),
        # In a script element the text of a figure must not end the element.
        figures={title: str(figure.to_json()).replace("</", "<\\/") for title, figure in figures.items() if figure},
        origins=flame.ORIGINS,
        most=profile_page.MOST,
        plotly=get_plotlyjs(),
    )
