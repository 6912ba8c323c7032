"""The page that is made of a run."""

import json
import re
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest
from cpu_profiles import APP, raw
from load_runs import run

from operate.load import charts
from operate.load.model import Run, Statement
from operate.load.report import page
from operate.profile import tree

FIGURES = re.compile(r"const figures = \[(.*)\];\nconst dark", re.DOTALL)


def traces(figure: go.Figure | None) -> list[dict[str, Any]]:
    """What a figure shows."""
    assert figure is not None
    return json.loads(str(figure.to_json()))["data"]


def shown(of: Run) -> str:
    """The page without Plotly's own program."""
    return re.sub(r"<script>/\*\*.*?</script>", "", page(of), count=1, flags=re.DOTALL)


def test_it_tells_what_limits_and_what_to_do() -> None:
    """The verdict, its evidence and the steps in their order."""
    text = shown(run())
    assert "database: cpu" in text
    assert "It kept up with 240 requests a second." in text
    places = [text.index(step) for step in run().bottleneck.next]
    assert places == sorted(places)
    assert all(sentence in text for sentence in run().bottleneck.evidence)


def test_it_opens_without_a_network() -> None:
    """Nothing is fetched: no address stands where a browser would follow it by itself."""
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", page(run()))


def test_what_the_app_and_the_database_say_is_text() -> None:
    """A path, a statement or a resource that looks like HTML neither runs nor ends the script."""
    evil = "</script><script>alert(1)</script>"
    first = run().steps[0]
    readings = (replace(first.readings[0], resource=evil),)
    ill = replace(
        run(), mix=(evil,), steps=(replace(first, statements=(Statement(evil, 1, 1.0, 1.0),), readings=readings),)
    )
    assert "<script>alert" not in page(ill)


def test_its_figures_are_json() -> None:
    """A browser can read each of them, and there are four."""
    found = FIGURES.search(page(run()))
    assert found
    assert len(json.loads(f"[{found[1]}]")) == 4


def test_a_profile_is_a_flame_graph_and_a_table_of_functions() -> None:
    """Where one was taken, and nowhere else."""
    taken = replace(tree.read(raw(), APP, "i-1", "shop 0, process 7"), offered_rps=240.0)
    text = shown(replace(run(), profile=taken))
    found = FIGURES.search(text)
    assert found
    assert [each["data"][0]["type"] for each in json.loads(f"[{found[1]}]")][-1] == "icicle"
    assert "1.0 s at 240 requests a second, 50 % of them idle" in text
    assert text.index("src/price.js:5") < text.index("node_modules/express/lib/router.js:10")
    assert json.dumps(replace(run(), profile=taken).as_json())
    assert "Functions by CPU time" not in shown(run())


def test_a_run_that_was_interrupted_at_once_has_a_page_too() -> None:
    """Without a step, a reading or a second."""
    text = shown(replace(run(()), knee_rps=None, interrupted=True, bottleneck=replace(run().bottleneck, tier="none")))
    assert "interrupted" in text
    assert "No step was measured" in text
    assert "nothing was found to" in text


def test_a_first_step_that_was_too_much_is_told() -> None:
    """It is another thing than no step."""
    assert "did not keep up with any rate" in shown(replace(run(), knee_rps=None))


def test_saturation_has_a_row_for_each_resource_with_a_limit() -> None:
    """By rate; a time has no limit, and no row."""
    (heat,) = traces(charts.saturation(run()))
    rows = dict(zip(heat["y"], heat["z"], strict=True))
    assert rows["database cpu"] == pytest.approx([100 * min(0.99, rate / 240) for rate in (10, 40, 100, 160, 240, 320)])
    assert "app event loop lag" not in rows
    assert "edge cpu i-0aaa" in rows


def test_a_resource_that_was_not_read_in_a_step_is_a_hole() -> None:
    """And not nothing used."""
    first, second = run((10, 40)).steps
    (heat,) = traces(charts.saturation(replace(run(), steps=(replace(first, readings=first.readings[:1]), second))))
    rows = dict(zip(heat["y"], heat["z"], strict=True))
    assert rows["database cpu"][0] is None
    assert rows["database cpu"][1] is not None


def test_latencies_end_at_all_answers() -> None:
    """The share of answers within a time grows to 100 percent, whatever the order of the classes."""
    first = run().steps[0]
    mixed = replace(first, histogram=dict(sorted(first.histogram.items(), reverse=True)))
    (line,) = traces(charts.distribution(replace(run(), steps=(mixed,))))
    assert line["x"] == sorted(line["x"])
    assert line["y"] == sorted(line["y"])
    assert line["y"][-1] == pytest.approx(100)


def test_steps_are_plotted_by_rate_and_not_by_time() -> None:
    """The last steps of a run go back, to find where it bends."""
    assert traces(charts.against_load(run((10, 320, 160))))[1]["x"] == [10, 160, 320]
