"""The lab's drawing of dashboards: this project's own, and what it can't draw."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from components import planning
from components.planning import Watched
from lab import config
from lab.config import LabConfig
from lab.dashboard import read
from lab.dashboard.page import page
from lab.dashboard.widgets import Alarms, BodyError, Graph, start, widgets

WATCHED = Watched(
    edge_type="t3.small",
    app_type="t3.small",
    database_class="db.t4g.micro",
    cache_type="cache.t4g.micro",
    cache_nodes=2,
)
NAMES = {"edge": "edge-1", "app": "app-1", "database": "db-1", "cache-001": "redis-001", "cache-002": "redis-002"}
ALARMS = planning.alarms(WATCHED)
ARNS = [f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{each.key}" for each in ALARMS]
BODY = planning.dashboard(WATCHED, NAMES, "us-east-1", ALARMS, ARNS)
UNTIL = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_all_of_the_stacks_dashboard_is_drawn() -> None:
    drawn = list(widgets(BODY))
    assert len(drawn) == len(BODY["widgets"]) > 10
    first, *graphs = drawn
    assert isinstance(first, Alarms)
    assert first.names == tuple(each.key for each in ALARMS)
    assert all(isinstance(each, Graph) and each.lines for each in graphs)
    site = graphs[1]
    assert isinstance(site, Graph)
    assert [(line.metric, line.statistic, line.period) for line in site.lines] == [
        ("ResponseTime", "p50", 10), ("ResponseTime", "p95", 10), ("ResponseTime", "p99", 10),
    ]  # fmt: skip
    assert (site.lines[0].dimensions, site.thresholds) == ((("AutoScalingGroupName", "edge-1"),), (1000,))
    assert start(BODY) == timedelta(hours=3)


def test_the_page_has_each_graph_with_its_values_and_each_alarms_state() -> None:
    drawn = list(widgets(BODY))
    line = next(each for each in drawn if isinstance(each, Graph)).lines[0]
    points = {line: [(UNTIL - timedelta(seconds=10), 0.25), (UNTIL, 0.75)]}
    states = {ALARMS[0].key: "ALARM", ALARMS[1].key: "OK"}
    text = page("shop</script>", drawn, points, states, (UNTIL - timedelta(hours=1), UNTIL))
    assert f'<li class="ALARM">{ALARMS[0].key}: ALARM</li>' in text
    assert f'<li class="gone">{ALARMS[2].key}: gone</li>' in text
    assert "<title>shop&lt;/script&gt;</title>" in text
    figures = json.loads(re.findall(r"^const figures = (\[.*\]);$", text, re.MULTILINE)[0].replace("<\\/", "</"))
    graphs = [each for each in drawn if isinstance(each, Graph)]
    assert len(figures) == len(graphs) == text.count('<div class="plot"')
    assert figures[0]["data"][0]["y"] == [0.25, 0.75]
    assert [shape["y0"] for shape in figures[0]["layout"]["shapes"]] == [5]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"widgets": [{"type": "text", "x": 0, "y": 0, "width": 6, "properties": {}}]}, "of the type text"),
        ({"start": "-P3D", "widgets": []}, "start: '-P3D' is no number"),
    ],
)
def test_what_is_not_drawn_is_said(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(BodyError, match=reason):
        print(*widgets(body), start(body))


def test_one_that_cannot_be_drawn_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["lab", "dashboard", *words])
        assert done.stderr.count("\n") == 1, done.stderr
        return done.exit_code, done.stderr

    monkeypatch.setattr(config, "read", lambda: None)
    assert run() == (1, "error: there is no lab here; start one with: make up\n")
    monkeypatch.setattr(config, "read", lambda: LabConfig(0, "", {}, {}))
    code, said = run("--into", "nowhere/here.html")
    assert (code, said.startswith("error: --into nowhere/here.html: there is no folder ")) == (2, True)
    monkeypatch.setattr(read, "names", lambda _: [])
    assert "monitoring.dashboard=true" in run()[1]
    monkeypatch.setattr(read, "names", lambda _: ["a", "b"])
    assert run() == (2, "error: which dashboard? There are: a, b\n")
    assert run("c") == (2, "error: there is no dashboard 'c'. There are: a, b\n")
    monkeypatch.setattr(read, "read", lambda *_: "<!doctype html>")
    assert CliRunner().invoke(app, ["lab", "dashboard", "a"]).output == "a: dashboard.html\n"
    assert (tmp_path / "dashboard.html").read_text() == "<!doctype html>"
