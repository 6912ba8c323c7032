"""A profile as a flame graph: a Plotly figure without colours of its own for text and background. Pure."""

import plotly.graph_objects as go

from operate.profile.model import Frame, Profile

COLOURS = {"app": "#f2a65a", "module": "#8fb8de", "node": "#b8bec7"}
"""Light enough for dark letters, in the light and in the dark."""
ORIGINS = {"app": "the app's own", "module": "node_modules", "node": "Node and V8"}
LETTERS = "#14181f"
ROW = 19
"""Pixels of a row in which a name can be read."""
NARROWEST = 0.004
"""Of the whole: a box that is narrower has no width on a screen, and with it a page of some hundred KB stays one."""


def figure(profile: Profile) -> go.Figure | None:
    """Callers on top, as wide as they took time; a box that is chosen fills the width. None where nothing ran."""
    frames = profile.frames
    if not frames or frames[0].total_ms <= 0:
        return None
    whole = frames[0].total_ms
    shown = [number for number, each in enumerate(frames) if each.total_ms >= NARROWEST * whole]
    depth: dict[int, int] = {}
    for number in shown:
        depth[number] = 1 + depth.get(frames[number].parent, 0)
    drawn = go.Figure(
        go.Icicle(
            ids=[str(number) for number in shown],
            parents=[str(frames[number].parent) if frames[number].parent >= 0 else "" for number in shown],
            labels=[_label(frames[number]) for number in shown],
            values=[frames[number].total_ms for number in shown],
            branchvalues="total",
            customdata=[[_text(each.where), each.self_ms, 100 * each.total_ms / whole, ORIGINS[each.origin]]
                        for each in (frames[number] for number in shown)],
            marker={
                "colors": [COLOURS[frames[number].origin] for number in shown],
                "line": {"width": 0.5, "color": LETTERS},
            },
            hovertemplate=(
                "%{label}<br>%{customdata[0]}<br>%{value:.0f} ms, %{customdata[2]:.1f} %<br>"
                "itself %{customdata[1]:.0f} ms<br>%{customdata[3]}<extra></extra>"
            ),
            textposition="middle left",
            textfont={"color": LETTERS},
            tiling={"orientation": "v", "pad": 0},
            leaf={"opacity": 1},
            sort=False,
            pathbar={"visible": False},
        )
    )  # fmt: skip
    drawn.update_layout(
        height=8 + ROW * max(depth.values()),
        margin={"l": 0, "r": 0, "t": 4, "b": 4},
        uniformtext={"minsize": 9, "mode": "hide"},
    )
    return drawn


def _label(frame: Frame) -> str:
    return "everything" if frame.parent < 0 else _text(frame.name)


def _text(said: str) -> str:
    """Plotly takes some HTML in a text; what the app has named is none."""
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
