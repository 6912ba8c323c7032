"""`make bench-data`: how much a database answers with 0, 1 and 2 replicas, and with 1 to 4 shards.

In labs of its own whose machines have slower CPUs of their own, so that each database has all that it may use on two
cores, and is what limits. docs/database.md has the table and the picture.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from lab.api.catalogue import vcpus
from lab.bench import bed, generators, node, pages
from lab.bench.figures import Figure, Quantity, console, report
from lab.bench.measure import THROUGHPUT, FailedError, Meter, cpu
from lab.bench.page import cell
from lab.bench.rounds import Sample, Seen, figures, in_turn
from lab.paths import ROOT
from lab.prove import stand

APP: Final = ROOT / "app"
PROGRAM: Final = "bench-data.mjs"
CORE_PER_VCPU: Final = 0.1
DATABASE: Final = "db.t4g.micro"
SERVER: Final = "m7i.xlarge"
ROUNDS: Final = 3
SECONDS: Final = 6
"""Of one measurement."""
PAGE: Final = ROOT / "docs/database.md"
PICTURE: Final = ROOT / "docs/database/throughput.svg"
BEGIN, END = "<!-- make bench-data -->\n", "<!-- until here -->\n"
OF_DATABASES: Final = cpu("the databases")
OF_APP: Final = cpu("the app")
BUSIEST: Final = Quantity("the busiest database's CPU", "percent")
SERVER_BUSY: Final = Quantity("the app server's CPU", "percent")


@dataclass(frozen=True)
class Kind:
    """What there is more and more of."""

    name: str
    counts: tuple[int, ...]
    setting: str
    variable: str
    """What tells the program how many to use of those that there are."""

    def variant(self, way: str, count: int) -> str:
        """What a row is called."""
        return f"{way}s, {count} {self.name.removesuffix('s') if count == 1 else self.name}"


KINDS: Final = (
    Kind("replicas", (0, 1, 2), "expressway:database.replicas", "REPLICAS"),
    Kind("shards", (1, 2, 3, 4), "expressway:database.shards", "SHARDS"),
)
WAYS: Final = ("read", "write")


def main() -> int:
    """0 when all was measured; 1 when something was not; 2 for who may not."""
    parser = argparse.ArgumentParser(prog="make bench-data", description="Throughput by replicas and shards.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: the lab's machines are root's: run this as root", file=sys.stderr)
        return 2
    seen: dict[str, Seen] = {}
    try:
        for kind in KINDS:
            seen[kind.name] = _of(kind)
    except (stand.StandError, FailedError, generators.GeneratorError, BotoCoreError, ClientError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    report(
        [
            Figure(f"{name}: {each.name}", each.unit, each.samples)
            for variants in seen.values()
            for name, samples in variants.items()
            for each in figures(samples)
        ],
        options.json,
    )
    PAGE.write_text(pages.replaced(PAGE.read_text(), BEGIN, table(seen), END))
    draw(seen, PICTURE)
    return 0


def _of(kind: Kind) -> Seen:
    settings = (
        f"{kind.setting}={max(kind.counts)}",
        f"expressway:database.instanceClass={DATABASE}",
        f"expressway:app.instanceType={SERVER}",
        "expressway:app.minSize=1",
    )
    console.print(f"{kind.name}: a lab with {max(kind.counts)}")
    with (
        tempfile.TemporaryDirectory() as work,
        stand.lab(APP, settings, here=False, core_per_vcpu=CORE_PER_VCPU),
        bed.opened(stand.find(APP, Path(work))) as on,
        ExitStack() as running,
    ):
        server = on.machine("app")
        on.write(server, f"{node.APP}/{PROGRAM}", Path(__file__).with_name("data.mjs").read_text())
        databases = {each.id: bed.meter(each) for each in on.stand.machines("database")}
        asked = {}
        for place, count in enumerate(kind.counts):
            port = node.PORTS[0] + place
            given = {kind.variable: str(count), "TABLE": f"bench_{kind.name}_{count}"}
            own = ("EXPRESSWAY_ENVIRONMENT",)
            app = running.enter_context(node.process(on, f"bench-data-{count}", port, own, given, PROGRAM))
            for way in WAYS:
                url = f"http://{server.address}:{port}/{way}"
                asked[kind.variant(way, count)] = lambda url=url, app=app: _sample(
                    url, app, bed.meter(server), databases
                )
        return in_turn(asked, ROUNDS)


def _sample(url: str, app: Meter, server: Meter, databases: Mapping[str, Meter]) -> Sample:
    before, of_app, of_server = {name: read() for name, read in databases.items()}, app(), server()
    began = time.monotonic()
    said = generators.run(generators.wrk(url, SECONDS), generators.read_wrk)
    took = time.monotonic() - began
    if said.failed or not said.requests:
        raise FailedError(f"{url}: {said.failed} of {said.requests} requests failed")
    spent = [read() - before[name] for name, read in databases.items()]
    return {
        THROUGHPUT: said.rate,
        OF_DATABASES: 1e6 * sum(spent) / said.requests,
        OF_APP: 1e6 * (app() - of_app) / said.requests,
        BUSIEST: 100 * max(spent) / took / (CORE_PER_VCPU * vcpus(DATABASE)),
        SERVER_BUSY: 100 * (server() - of_server) / took / (CORE_PER_VCPU * vcpus(SERVER)),
    }


def table(seen: Mapping[str, Seen]) -> str:
    """What was measured, as Markdown."""
    variants = [(name, figures(samples)) for each in seen.values() for name, samples in each.items()]
    lines = [
        f"{pages.measured_on()} Each vCPU is {CORE_PER_VCPU} of a core.",
        f"A cell is the median of {ROUNDS} rounds, with the lowest and the highest.",
        "",
        f"| | {' | '.join(str(Quantity(each.name, each.unit)) for each in variants[0][1])} |",
        f"|---|{'---:|' * len(variants[0][1])}",
        *(f"| {name} | {' | '.join(map(cell, figures))} |" for name, figures in variants),
    ]
    return "\n".join(lines) + "\n"


def draw(seen: Mapping[str, Seen], file: Path) -> None:
    """Write the picture as SVG: throughput against the number, a panel for replicas and one for shards."""
    # It takes half a second to import, and only the whole run draws.
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "data", "font.size": 8}):
        figure, axes = pyplot.subplots(1, len(KINDS), figsize=(9, 3), squeeze=False, sharey=True, layout="constrained")
        for axis, kind in zip(axes[0], KINDS, strict=True):
            for way, colour in zip(WAYS, ("#4477aa", "#ee9944"), strict=True):
                rates = [rate(seen[kind.name][kind.variant(way, count)]) for count in kind.counts]
                below = [each.median - min(each.samples) for each in rates]
                above = [max(each.samples) - each.median for each in rates]
                medians = [each.median for each in rates]
                axis.errorbar(
                    kind.counts, medians, (below, above), color=colour, marker="o", capsize=2, label=f"{way}s"
                )
            axis.set_xticks(kind.counts)
            axis.set_xlabel(kind.name)
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
        axes[0][0].set_ylabel(str(THROUGHPUT))
        # Only now, as it ends the fitting of the upper end to what is drawn.
        axes[0][0].set_ylim(bottom=0)
        axes[0][0].legend(frameon=False, loc="upper left")
        file.parent.mkdir(parents=True, exist_ok=True)
        metadata: dict[str, Any] = {"Date": None}
        figure.savefig(file, metadata=metadata)
        pyplot.close(figure)


def rate(samples: Sequence[Sample]) -> Figure:
    """The throughput of some samples."""
    return Figure(*THROUGHPUT, [each[THROUGHPUT] for each in samples])


if __name__ == "__main__":
    sys.exit(main())
