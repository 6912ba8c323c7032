"""A profile as one HTML page that needs nothing else, neither a network nor a server."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from operate.profile import flame
from operate.profile.flame import ORIGINS
from operate.profile.model import Profile

HERE = Path(__file__).parent
MOST = 15
"""Functions of each origin."""


def page(profile: Profile) -> str:
    """The page, of about 5 MB: Plotly's program is in it. It follows the reader's light or dark."""
    environment = Environment(
        loader=FileSystemLoader([HERE, HERE.parent / "load"]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = flame.figure(profile)
    return environment.get_template("profile.html.j2").render(
        profile=profile,
        origins=ORIGINS,
        most=MOST,
        # In a script element the text of a figure must not end the element.
        figures={"flame": str(drawn.to_json()).replace("</", "<\\/")} if drawn else {},
        plotly=get_plotlyjs(),
    )
