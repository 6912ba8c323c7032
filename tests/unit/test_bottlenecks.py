"""`make prove-bottlenecks`: when a plant has missed, what is asked of the load, and the table that is written."""

import json
import re
import sys
from pathlib import Path

import pytest

from lab.bottlenecks import report, run, starving
from lab.bottlenecks.plant import MOST_SECONDS, Named, Plant, misses, row
from lab.bottlenecks.plants import PLANTS
from lab.prove.stand import StandError
from operate.load import mix
from tests.paths import ROOT

SERVER = ROOT / "tests/fixtures/apps/bottlenecks/server.js"
ONE = Plant("one", "a | b", (("app", "cpu"), ("app", "worker cpu")), "/cpu", 30)
UNPLANTED = Plant("none", "nothing", (), None, None, runs=3, fixture=False)


def said(tier: str, resource: str, seconds: float = 60) -> Named:
    steps = ({"offered_rps": 30.0},)
    return Named(seconds, 40.0, tier, resource, (f"The {tier}'s {resource} is at 97 %.",), steps)


def test_either_of_two_right_verdicts_is_right_and_any_other_is_not() -> None:
    assert misses(ONE, (said("app", "cpu"),)) == []
    assert misses(ONE, (said("app", "worker cpu"),)) == []
    assert misses(ONE, (said("edge", "cpu"),)) == ["named edge cpu"]
    assert misses(ONE, (said("none", ""),)) == ["named none"]


def test_a_run_that_failed_or_took_too_long_or_never_was_has_missed() -> None:
    assert misses(ONE, (Named(3, failure="load ended with 2: no"),)) == ["load ended with 2: no"]
    assert misses(ONE, (said("app", "cpu", MOST_SECONDS + 1),)) == ["took 181 s"]
    assert misses(ONE, ()) == ["0 of 1 runs"]


def test_with_none_planted_all_runs_have_to_say_the_same() -> None:
    same = said("app", "cpu")
    assert misses(UNPLANTED, (same, same, same)) == []
    assert misses(UNPLANTED, (same, said("edge", "cpu"), same)) == ["named edge cpu"]
    assert misses(UNPLANTED, (same, same)) == ["2 of 3 runs"]


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_asked_is_a_mix_that_load_takes_and_a_route_that_the_fixture_app_has(name: str, tmp_path: Path) -> None:
    plant = PLANTS[name]
    words = run.options(plant, tmp_path)
    assert ("--start-rps" in words) == (plant.start is not None)
    assert ("--mix" in words) == (plant.path is not None)
    if plant.path is not None:
        (route,) = mix.read(tmp_path / "mix.yaml").routes
        assert route.path == plant.path
        first = re.escape(plant.path.split("/")[1])
        assert re.search(rf'app\.get\("/{first}["/]', SERVER.read_text()), plant.path


LOADED = """
import json, os, sys
file = sys.argv[sys.argv.index("--json") + 1]
verdict = {"tier": "edge", "resource": "cpu", "evidence": [os.environ["PLANTED"]], "next": []}
json.dump({"knee_rps": 30.0, "bottleneck": verdict, "steps": [{"offered_rps": 30.0}]}, open(file, "w"))
"""


def test_what_load_says_is_read_and_it_has_the_plant_s_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "words_of", lambda *words: [sys.executable, "-c", LOADED, *words])
    found = run.load(ONE, {"PLANTED": "yes"})
    assert (found.verdict, found.knee_rps, found.evidence, found.failure) == (("edge", "cpu"), 30.0, ("yes",), "")
    assert found.steps == ({"offered_rps": 30.0},)


def test_a_load_that_fails_is_no_verdict_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "import sys; print('first', file=sys.stderr); sys.exit('it can not be reached')"
    monkeypatch.setattr(run, "words_of", lambda *words: [sys.executable, "-c", said, *words])
    assert run.load(ONE, {}).failure == "load ended with 1: it can not be reached"


def test_a_short_run_begins_with_a_rate_that_is_too_much(tmp_path: Path) -> None:
    usual, short = (run.options(ONE, tmp_path, short=each) for each in (False, True))
    assert usual[usual.index("--start-rps") + 1] == "30"
    assert short[short.index("--start-rps") + 1] == "120"
    assert int(short[short.index("--within") + 1]) < int(usual[usual.index("--within") + 1])


def test_all_that_is_to_be_found_is_planted() -> None:
    named = {verdict for plant in PLANTS.values() for verdict in plant.verdicts}
    assert {tier for tier, _ in named} == {"app", "edge", "cache", "database", "external", "generator"}
    assert {
        "app-cpu",
        "one-worker",
        "slow-query",
        "few-database-connections",
        "slow-cache",
        "few-edge-connections",
    } <= (PLANTS.keys())
    assert PLANTS["none"].runs == 3


def test_a_cpu_s_share_is_limited_by_whichever_control_groups_there_are() -> None:
    first = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"
    both = f"{first}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    assert starving.limited(both, 0.02) == (
        Path("/sys/fs/cgroup/cpu,cpuacct"),
        {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "1000"},
    )
    unified = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
    assert starving.limited(unified, 0.02) == (Path("/sys/fs/cgroup"), {"cpu.max": "1000 50000"})
    with pytest.raises(StandError, match="no control groups"):
        starving.limited("cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n", 0.02)


def page(folder: Path) -> Path:
    file = folder / "bottlenecks.md"
    file.write_text(f"# What limits\n\nBefore.\n\n{report.BEGIN}\nold\n{report.END}\n\nAfter.\n")
    return file


def test_a_row_that_is_taken_again_takes_the_place_of_the_old_one_and_the_text_around_stays(tmp_path: Path) -> None:
    file = page(tmp_path)
    other = Plant("two", "c", (("edge", "cpu"),), "/", 10)
    report.write_page([row(ONE, (said("none", ""),)), row(other, (said("edge", "cpu"),))], tmp_path, ["one", "two"])
    assert "**missed**: named none" in file.read_text()
    report.write_page([row(ONE, (said("app", "cpu"),))], tmp_path, ["one", "two"])
    text = file.read_text()
    assert text.startswith("# What limits\n\nBefore.\n\n")
    assert text.endswith(f"{report.END}\n\nAfter.\n")
    assert "| `one`: a \\| b | app, cpu | 40 | 60 | The app's cpu is at 97 %. | passed |" in text
    assert text.index("`one`") < text.index("`two`")
    assert "missed" not in text
    assert "old" not in text


def test_each_run_of_several_has_a_line(tmp_path: Path) -> None:
    file = page(tmp_path)
    same = said("app", "cpu")
    report.write_page([row(UNPLANTED, (same, same, same))], tmp_path, ["none"])
    assert file.read_text().count("`none`: nothing, run ") == 3


def test_a_page_without_a_place_for_the_table_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "bottlenecks.md"
    file.write_text("# What limits\n")
    with pytest.raises(ValueError, match="no place"):
        report.write_page([row(ONE, (said("app", "cpu"),))], tmp_path, ["one"])
    assert file.read_text() == "# What limits\n"


def test_the_json_has_each_step_and_the_kept_rows_have_none(tmp_path: Path) -> None:
    page(tmp_path)
    rows = [row(ONE, (said("app", "cpu"),))]
    report.write(rows, tmp_path / "found.json")
    (found,) = json.loads((tmp_path / "found.json").read_text())["plants"]
    assert found["passed"] is True
    assert found["runs"][0]["steps"] == [{"offered_rps": 30.0}]
    report.write_page(rows, tmp_path, ["one"])
    assert "steps" not in json.loads((tmp_path / "bottlenecks/rows.json").read_text())[0]["runs"][0]


def test_the_page_of_the_docs_has_a_place_for_the_table() -> None:
    text = (ROOT / "docs/bottlenecks.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1
    assert text.index(report.BEGIN) < text.index(report.END)
