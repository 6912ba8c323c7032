"""A part's picture: what its variants took, side by side, with the spread of the rounds."""

from pathlib import Path
from typing import Any, Final

from .figures import Figure, Quantity
from .part import Part, Result, Row, Table

COLOURS: Final = ("#4477aa", "#ee9944", "#66aa88", "#aa6688", "#999933", "#777777", "#88bbdd", "#cc6655")
BAR_INCHES: Final = 0.3


def draw(one: Part, result: Result, file: Path) -> None:
    """Write the picture as SVG, a panel for each quantity."""
    # It takes half a second to import, and only the whole run draws.
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    panels = [(table, quantity) for table in result.tables for quantity in table.drawn]
    height = 0.9 + BAR_INCHES * max(len(table.rows) for table, _ in panels)
    # Words stay words, and the same figures make the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": one.name, "font.size": 8}):
        figure, axes = pyplot.subplots(1, len(panels), figsize=(9, height), squeeze=False, layout="constrained")
        for axis, (table, quantity) in zip(axes[0], panels, strict=True):
            _panel(axis, table, quantity, named=axis is axes[0][0])
        file.parent.mkdir(parents=True, exist_ok=True)
        metadata: dict[str, Any] = {"Date": None}
        figure.savefig(file, metadata=metadata)
        pyplot.close(figure)


def bars(table: Table, quantity: Quantity) -> list[tuple[str, float, float, float]]:
    """Of each variant: its name, the median, and how far the lowest and the highest sample are from it."""
    found = [(row.name, figure(row, quantity)) for row in table.rows]
    return [(name, one.median, one.median - min(one.samples), max(one.samples) - one.median) for name, one in found]


def figure(row: Row, quantity: Quantity) -> Figure:
    """A row's figure of a quantity."""
    return next(each for each in row.figures if (each.name, each.unit) == quantity)


def _panel(axis: Any, table: Table, quantity: Quantity, *, named: bool) -> None:
    names, medians, below, above = zip(*bars(table, quantity), strict=True)
    places = range(len(names))
    colours = [COLOURS[place % len(COLOURS)] for place in places]
    axis.barh(places, medians, xerr=(below, above), color=colours, error_kw={"ecolor": "#444444", "elinewidth": 1})
    axis.set_yticks(places, names if named else [""] * len(names))
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_title(str(quantity), loc="left", fontsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
