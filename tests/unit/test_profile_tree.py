"""What a CPU profile of a worker says: by function, and as a call tree."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from cpu_profiles import APP, raw
from rich.console import Console

from cli.profiling import report
from operate.profile import flame, page
from operate.profile.model import Profile
from operate.profile.tree import ProfileFormatError, place, read


def profile(text: str | None = None) -> Profile:
    return read(text or raw(), APP, "i-1", "shop 0, process 7")


def test_time_of_its_own_is_told_by_function_the_most_first() -> None:
    found = profile()
    assert (found.ms, found.idle_ms, found.busy_ms) == (1000, 500, 500)
    told = [(each.name, each.where, each.origin, each.self_ms, each.total_ms) for each in found.functions]
    assert told == [
        ("price", "src/price.js:5", "app", 250, 350),
        ("round", "src/price.js:31", "app", 100, 100),
        ("walk", "src/walk.js:2", "app", 50, 50),
        ("handle", "node_modules/express/lib/router.js:10", "module", 40, 420),
        ("(anonymous)", "server.js:1", "app", 30, 30),
        ("(garbage collector)", "", "node", 20, 20),
        ("processTicks", "node:internal/process/task_queues:71", "node", 10, 480),
    ]
    assert sum(each.self_ms for each in found.functions) == found.busy_ms, "all of it, once"


def test_what_the_profile_itself_took_is_not_in_it() -> None:
    found = profile(
        raw(("(root)", "", -1, 0, [("post", "node:inspector", 114, 150, []), ("a", f"{APP}/a.js", 0, 1, [])]))
    )
    assert (found.ms, [each.name for each in found.functions if each.self_ms]) == (1, ["a"])


def test_what_calls_itself_through_others_counts_once_in_its_total() -> None:
    def call(name: str, ms: float, called: list[Any]) -> Any:
        return (name, f"{APP}/{name}.js", 0, ms, called)

    found = profile(raw(("(root)", "", -1, 0, [call("a", 1, [call("b", 2, [call("a", 4, [call("b", 8, [])])])])])))
    assert {each.name: (each.self_ms, each.total_ms) for each in found.functions} == {"a": (5, 15), "b": (10, 14)}


def test_a_function_that_two_call_is_one_with_the_time_of_both() -> None:
    shared = ("parse", f"{APP}/parse.js", 3, 7, [])
    callers = [("a", f"{APP}/a.js", 0, 1, [shared]), ("b", f"{APP}/b.js", 0, 1, [shared])]
    found = profile(raw(("(root)", "", -1, 0, callers)))
    assert (found.functions[0].name, found.functions[0].self_ms, found.functions[0].total_ms) == ("parse", 14, 14)
    assert [each.name for each in found.frames] == ["(root)", "a", "parse", "b", "parse"], "and two boxes"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"file://{APP}/src/a%20b.js", ("src/a b.js:1", "app")),
        (f"{APP}/src/a.js", ("src/a.js:1", "app")),
        (f"{APP}/src/my_node_modules/a.js", ("src/my_node_modules/a.js:1", "app")),
        (f"{APP}/node_modules/a/node_modules/@b/c/d.js", ("node_modules/@b/c/d.js:1", "module")),
        (f"{APP}/packages/api/node_modules/a/b.js", ("node_modules/a/b.js:1", "module")),
        (f"{APP}2/a.js", (f"{APP}2/a.js:1", "node")),
        ("/srv/releases/abc123/node_modules/a/b.js", ("node_modules/a/b.js:1", "module")),
        ("/opt/expressway/bundle/measure.cjs", ("/opt/expressway/bundle/measure.cjs:1", "node")),
        (
            "/opt/expressway/runtime/x/lib/node_modules/pm2/lib/Fork.js",
            ("/opt/expressway/runtime/x/lib/node_modules/pm2/lib/Fork.js:1", "node"),
        ),
        ("node:internal/timers", ("node:internal/timers:1", "node")),
        ("evalmachine.<anonymous>", ("evalmachine.<anonymous>:1", "app")),
        ("", ("", "node")),
    ],
)
def test_a_function_is_the_apps_a_modules_or_nodes_by_its_file(url: str, told: tuple[str, str]) -> None:
    assert place(url, 0, APP) == told


def test_boxes_are_within_their_callers_and_without_the_idle_time() -> None:
    frames = profile().frames
    assert frames[0].name == "(root)"
    assert frames[0].total_ms == 500
    assert "(idle)" not in [each.name for each in frames if each.total_ms > 0]
    for number, each in enumerate(frames):
        below = [one for one in frames if one.parent == number]
        assert each.parent < number
        assert each.total_ms == pytest.approx(each.self_ms + sum(one.total_ms for one in below))


def test_what_is_too_narrow_to_be_seen_is_no_box_and_its_callers_keep_its_time() -> None:
    many = [(f"f{number}", f"{APP}/a.js", number, 0.1, []) for number in range(50)]
    found = profile(raw(("(root)", "", -1, 0, [("main", f"{APP}/a.js", 0, 1000, many)])))
    assert [each.name for each in found.frames] == ["(root)", "main"]
    assert found.frames[1].total_ms == pytest.approx(1005)
    assert len(found.functions) == 51


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"nodes": [], "samples": [], "timeDeltas": []}',
        raw().replace('"samples": [2', '"samples": [999'),
        raw().replace('"samples": [2, ', '"samples": ['),
        raw().replace('"children": [2, ', '"children": [1, '),
        raw().replace('"lineNumber": 9', '"lineNumber": "x"'),
    ],
)
def test_what_is_no_profile_is_told_and_ends_nothing_else(text: str) -> None:
    with pytest.raises(ProfileFormatError, match="what the worker told is no CPU profile"):
        read(text, APP, "i-1", "shop 0")


def test_a_tree_as_deep_as_can_be_is_read() -> None:
    nodes = [
        {"id": n, "callFrame": {"functionName": "f", "url": "", "lineNumber": 0}, "children": [n + 1]}
        for n in range(1, 5000)
    ]
    nodes.append({"id": 5000, "callFrame": {"functionName": "f", "url": "", "lineNumber": 0}})
    text = json.dumps({"nodes": nodes, "samples": [5000], "timeDeltas": [1000]})
    assert len(profile(text).frames) == 5000


def test_the_flame_graph_has_the_time_of_all_and_no_html_of_the_app() -> None:
    drawn = flame.figure(profile(raw().replace('"price"', '"<img src=x>"')))
    assert drawn is not None
    (icicle,) = json.loads(str(drawn.to_json()))["data"]
    assert icicle["values"][0] == 500
    assert icicle["labels"][0] == "everything"
    assert "&lt;img src=x&gt;" in icicle["labels"]
    assert icicle["parents"][0] == ""
    assert len(set(icicle["ids"])) == len(icicle["ids"])
    assert set(icicle["parents"]) <= {"", *icicle["ids"]}
    colours = dict(zip(icicle["labels"], icicle["marker"]["colors"], strict=True))
    assert (colours["handle"], colours["walk"]) == (flame.COLOURS["module"], flame.COLOURS["app"])


def test_a_page_shows_functions_and_lets_none_of_their_names_run() -> None:
    evil = "</script><script>alert(1)</script>"
    text = page.page(profile(raw().replace('"price"', json.dumps(evil))))
    assert "<script>alert" not in text
    assert "src/walk.js:2" in text
    assert "50 % of them idle" in text


def test_a_worker_that_had_nothing_to_do_has_a_page_and_a_table_too() -> None:
    idle = profile(raw(("(root)", "", -1, 0, [("(idle)", "", -1, 1000, [])])))
    assert flame.figure(idle) is None
    assert "The worker had nothing to do." in page.page(idle)
    console = Console(width=100, record=True, file=io.StringIO())
    report(console, idle)
    assert "100 % of them idle" in console.export_text()


def test_the_table_has_the_apps_own_functions_apart() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    report(console, replace(profile(), offered_rps=240))
    lines = [line.strip() for line in console.export_text().splitlines() if line.strip()]
    assert lines[0] == "i-1, shop 0, process 7, 1.0 s at 240 requests/s, 50 % of them idle, 9 samples:"
    heads = [number for number, line in enumerate(lines) if line.endswith(("own", "node_modules", "V8"))]
    assert [lines[each].split(maxsplit=2)[2] for each in heads] == ["the app's own", "node_modules", "Node and V8"]
    assert lines[heads[0] + 1].split() == ["250", "50.0", "70.0", "price", "src/price.js:5"]
    assert lines[heads[1] + 1].split() == ["40", "8.0", "84.0", "handle", "node_modules/express/lib/router.js:10"]
