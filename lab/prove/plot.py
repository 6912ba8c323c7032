"""The timeline of a scenario as a picture: how long answers took, which were wrong, and what was done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lab.bench.load import Sample

from .scenario import Result, Scenario

BIN_SECONDS: Final = 0.5
MOST_BINS: Final = 1200
"""More are not to be told apart, and an hour's would make a picture of two megabytes."""
MOST_NAMES: Final = 12
"""More can't be read, one over the other: then only the lines say when something was done."""


def draw(one: Scenario, result: Result, file: Path) -> None:
    """Write the picture as SVG."""
    # It takes half a second to import, and only the proof draws.
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    width = bin_seconds(result.outcome.samples)
    bins = binned(result.outcome.samples, width)
    seconds = [number * width for number in sorted(bins)]
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(9, 3.6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    for share, name, colour in ((0.5, "p50", "#4477aa"), (0.99, "p99", "#ee9944"), (1.0, "slowest", "#bbbbbb")):
        above.plot(seconds, [_slowest(bins[number], share) for number in sorted(bins)], label=name, color=colour)
    above.set_yscale("log")
    above.set_ylabel("answer, ms")
    above.set_title(one.title, loc="left", fontsize=10)
    above.legend(loc="upper right", fontsize=8, ncols=3)
    counted = {number * width: sum(bool(sample.failure) for sample in bins[number]) for number in sorted(bins)}
    failed = {at: count for at, count in counted.items() if count}
    below.bar(list(failed), list(failed.values()), width=width, align="edge", color="#cc3311")
    below.set_ylabel("failed")
    below.set_ylim(0, max(failed.values(), default=1))
    below.set_xlabel("seconds")
    for at, _ in result.events:
        for axes in (above, below):
            axes.axvline(at, color="#888888", linewidth=0.6, linestyle=":")
    for at, what in result.events if len(result.events) <= MOST_NAMES else ():
        above.annotate(what, (at, 1), xycoords=("data", "axes fraction"), rotation=90, fontsize=6, va="top", ha="right")
    file.parent.mkdir(parents=True, exist_ok=True)
    # No date and no random ids: the same figures make the same file.
    mpl.rcParams["svg.hashsalt"] = one.name
    metadata: dict[str, Any] = {"Date": None}
    figure.savefig(file, metadata=metadata)
    pyplot.close(figure)


def bin_seconds(samples: Sequence[Sample]) -> float:
    """How long each part of the timeline is: half a second, or more of a long run."""
    return max(BIN_SECONDS, max((sample.at for sample in samples), default=0.0) / MOST_BINS)


def binned(samples: Sequence[Sample], width: float) -> dict[int, list[Sample]]:
    """Samples by the part of so many seconds in which they were due."""
    bins: dict[int, list[Sample]] = {}
    for sample in samples:
        bins.setdefault(int(sample.at / width), []).append(sample)
    return bins


def _slowest(samples: Sequence[Sample], share: float) -> float:
    ordered = sorted(sample.milliseconds for sample in samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
