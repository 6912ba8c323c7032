"""An app's start follows from its package.json; what PM2's cluster mode would run differently goes through npm."""

from pathlib import Path

import pytest

from artifact import inspect
from artifact.start import Start
from tests.unit.artifact_apps import FIXTURES, write_app


def start_of(path: Path) -> Start:
    start = inspect(path).start
    assert start is not None, "the entry point is there, so the start is known"
    return start


@pytest.mark.parametrize(
    ("command", "script", "args"),
    [
        ("node server.js", "server.js", []),
        ("node server", "server.js", []),
        ("node ./server.js", "server.js", []),
        ("node .", "lib/index.js", []),
        ("node lib", "lib/index.js", []),
        ("node server.js --name 'a b' -v", "server.js", ["--name", "a b", "-v"]),
    ],
)
def test_a_plain_node_command_runs_as_a_cluster(tmp_path: Path, command: str, script: str, args: list[str]) -> None:
    app = write_app(tmp_path, {"main": "lib", "scripts": {"start": command}}, "server.js", "lib/index.js")

    start = start_of(app)

    assert (start.mode, start.script, start.args) == ("cluster", script, args), command
    assert command in start.reason, "people see which command it was"


@pytest.mark.parametrize(
    "command",
    [
        "NODE_ENV=production node server.js",
        "cross-env A=1 node server.js",
        "nodemon server.js",
        "next start",
        "node --import ./setup.js server.js",
        "node server.js && echo done",
        "node server.js --port $PORT",
        "node server.js | tee log",
        "node 'server.js",
        "node",
        "node server.ts",
    ],
)
def test_any_other_command_runs_as_one_process_through_npm(tmp_path: Path, command: str) -> None:
    app = write_app(tmp_path, {"scripts": {"start": command}}, "server.js", "server.ts")

    start = start_of(app)

    assert (start.mode, start.script, start.npm_script) == ("fork", None, "start"), command
    assert start.reason, "status can say why"


@pytest.mark.parametrize("hook", ["prestart", "poststart"])
def test_scripts_that_npm_runs_around_the_start_are_kept(tmp_path: Path, hook: str) -> None:
    app = write_app(tmp_path, {"scripts": {"start": "node server.js", hook: "echo hi"}}, "server.js")

    assert start_of(app).mode == "fork", f"a cluster would skip {hook}"


@pytest.mark.parametrize(
    ("files", "main", "script"),
    [
        (["main.js", "index.js"], "main.js", "main.js"),
        (["main.js", "index.js"], "main", "main.js"),
        (["index.js", "server.js", "app.js"], None, "index.js"),
        (
            ["server.js", "app.js"],
            "index.js",
            "server.js",
        ),  # npm init writes main: index.js, whether it is there or not
        (["app.js"], None, "app.js"),
    ],
)
def test_without_a_start_script_main_or_a_customary_name_is_run(
    tmp_path: Path, files: list[str], main: str | None, script: str
) -> None:
    app = write_app(tmp_path, {"main": main} if main else {}, *files)

    start = start_of(app)

    assert (start.mode, start.script) == ("cluster", script), f"main {main} of {files}"


@pytest.mark.parametrize(
    ("name", "module_type", "text"),
    [
        ("server.js", "module", "if (import.meta.main) listen();"),
        ("server.cjs", "module", "if (require.main === module) listen();"),
        ("server.js", None, "import express from 'express';\nawait go();"),
    ],
)
def test_a_script_that_notices_who_loads_it_runs_through_npm(
    tmp_path: Path, name: str, module_type: str | None, text: str
) -> None:
    manifest: dict[str, object] = {"scripts": {"start": f"node {name}"}}
    app = write_app(tmp_path, manifest | ({"type": module_type} if module_type else {}))
    (app / name).write_text(text)

    assert start_of(app).mode == "fork", "PM2's workers import the script, so it isn't the main module there"


def test_a_common_js_script_may_ask_for_the_main_module(tmp_path: Path) -> None:
    app = write_app(tmp_path, {"scripts": {"start": "node server.js"}}, server__js="if (require.main === module) go();")

    assert start_of(app).mode == "cluster", "PM2 loads CommonJS as the main module"


@pytest.mark.parametrize(
    ("name", "mode", "script"),
    [
        ("commonjs", "cluster", "bin/www"),
        ("es-modules", "cluster", "src/server.js"),
        ("no-health-path", "cluster", "index.js"),
        ("dependency-command", "fork", None),
    ],
)
def test_the_example_apps_start_as_they_should(name: str, mode: str, script: str | None) -> None:
    start = start_of(FIXTURES / name)

    assert (start.mode, start.script) == (mode, script), name


def test_an_entry_point_that_the_build_makes_is_not_known_before() -> None:
    assert inspect(FIXTURES / "build-script").start is None, "dist/ isn't there yet"
