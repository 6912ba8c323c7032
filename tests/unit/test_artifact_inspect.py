"""A folder that isn't a fit app is refused with every reason at once."""

from pathlib import Path

import pytest

from artifact import AppError, inspect
from tests.unit.artifact_apps import write_app


def problems_of(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(AppError) as caught:
        inspect(path)
    for problem in caught.value.problems:
        assert problem.remedy, f"{problem.path} says how to mend it"
        assert str(problem) in str(caught.value), "the message holds every problem"
    return [(problem.path, problem.rule) for problem in caught.value.problems]


def test_a_folder_must_exist(tmp_path: Path) -> None:
    [(path, rule)] = problems_of(tmp_path / "nowhere")

    assert path == str(tmp_path / "nowhere"), "the problem names the folder"
    assert "must exist" in rule, rule


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "app.js").touch()

    [(_, rule)] = problems_of(tmp_path / "app.js")

    assert "must be a folder" in rule, rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "must be a package.json"),
        ('{"name": "x",}', "valid JSON"),
        ("[]", "JSON object"),
        ("\udcff", "valid JSON"),
    ],
)
def test_the_manifest_must_be_there_and_be_a_json_object(tmp_path: Path, text: str | None, rule: str) -> None:
    if text is not None:
        (tmp_path / "package.json").write_bytes(text.encode(errors="surrogateescape"))

    [(path, found)] = problems_of(tmp_path)

    assert path == str(tmp_path / "package.json"), "the problem names the file"
    assert rule in found, found


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "index.js").touch()
    (tmp_path / "package.json").write_bytes(b'\xef\xbb\xbf{"name": "marked"}')

    assert inspect(tmp_path).name == "marked", "npm takes it as well"


def test_an_entry_point_must_exist(tmp_path: Path) -> None:
    start = write_app(tmp_path / "a", {"scripts": {"start": "node sevrer.js"}}, "server.js")
    main = write_app(tmp_path / "b", {"main": "lib/index.js"})
    none = write_app(tmp_path / "c", {})

    assert problems_of(start) == [("package.json: scripts.start", "the entry point sevrer.js doesn't exist")]
    assert problems_of(main) == [("package.json: main", "the entry point lib/index.js doesn't exist")]
    assert problems_of(none) == [("package.json", "the entry point index.js doesn't exist")]


def test_an_entry_point_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.js").touch()
    app = write_app(tmp_path / "app", {"scripts": {"start": "node ../outside.js"}})

    assert problems_of(app) == [("package.json: scripts.start", "the entry point ../outside.js doesn't exist")]


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    app = write_app(
        tmp_path,
        {
            "name": 3,
            "main": "../x.js",
            "scripts": {"test": True},
            "expressway": {"waitReady": "yes", "waitready": True},
            "dependencies": {"shared": "file:../shared", "inner": "file:./inner", "express": 5},
            "devDependencies": [],
        },
    )
    (app / "secrets").symlink_to("/etc/passwd")

    paths = {path for path, _ in problems_of(app)}

    assert paths == {
        "package.json: name",
        "package.json: main",
        "package.json: scripts.test",
        "package.json: expressway.waitReady",
        "package.json: expressway.waitready",
        "package.json: dependencies.shared",
        "package.json: dependencies.express",
        "package.json: devDependencies",
        str(app / "secrets"),
    }


def test_inspecting_says_what_building_needs_to_know(tmp_path: Path) -> None:
    app = inspect(
        write_app(
            tmp_path,
            {"name": "@me/shop", "scripts": {"build": "true"}, "expressway": {"waitReady": True}},
            "index.js",
        )
    )

    assert (app.name, app.version) == ("@me/shop", "0.0.0")
    assert app.has_build_script, "it has a build script"
    assert app.needs_dev_dependencies, "which may use development dependencies"
    assert app.options.wait_ready, "it says so in package.json"


def test_an_app_without_a_name_is_called_like_its_folder(tmp_path: Path) -> None:
    app = inspect(write_app(tmp_path / "shop", {}, "index.js"))

    assert app.name == "shop"
    assert not app.needs_dev_dependencies, "nothing to build, and no script of an install's own"
    assert not app.options.wait_ready, "it has to be asked for"


@pytest.mark.parametrize(
    ("said", "path", "rule"),
    [
        ({"shards": ["orders"]}, "shards", "must be an object of tables"),
        ({"shards": {"orders": 1}}, "shards", "must be an object of tables"),
        ({"shards": {"orders; drop": "user_key"}}, "shards.orders; drop", "letters, digits"),
        ({"shards": {"orders": 'a"b'}}, "shards.orders", "letters, digits"),
        ({"release": 1}, "release", "must be a command"),
        ({"release": " "}, "release", "must be a command"),
        ({"release": "a\nb"}, "release", "one line"),
        ({"release": "npm run migrat"}, "release", "has no script migrat"),
        ({"processes": ["worker"]}, "processes", "must be an object"),
        ({"processes": {"Worker": "true"}}, "processes.Worker", "lower-case letters"),
        ({"processes": {"web": "true"}}, "processes.web", "this name is taken"),
        ({"processes": {"worker": None}}, "processes.worker", "must be a command"),
        ({"processes": {"worker": {}}}, "processes.worker.command", "must be a command"),
        ({"processes": {"worker": {"command": "true", "on": "two"}}}, "processes.worker.on", "`every`"),
        ({"processes": {"worker": {"command": "true", "count": 2}}}, "processes.worker.count", "no such option"),
        ({"processes": {"worker": "npm run-script work"}}, "processes.worker", "has no script work"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_with_its_place(
    said: dict[str, object], path: str, rule: str, tmp_path: Path
) -> None:
    app = write_app(tmp_path, {"expressway": said, "scripts": {"migrate": "true"}}, "index.js")
    [(found, words)] = problems_of(app)
    assert found == f"package.json: expressway.{path}"
    assert rule in words


def test_a_release_command_and_further_processes_are_read(tmp_path: Path) -> None:
    said = {
        "release": "npm run migrate -- --latest",
        "processes": {"worker": "node worker.js", "clock": {"command": "npm run clock -- --utc", "on": "one"}},
    }
    scripts = {"migrate": "true", "clock": "node clock.js"}
    found = inspect(write_app(tmp_path, {"expressway": said, "scripts": scripts}, "index.js")).options
    assert found.release == "npm run migrate -- --latest"
    assert {name: (each.command, each.on) for name, each in found.processes.items()} == {
        "worker": ("node worker.js", "every"),
        "clock": ("node clock.js --utc", "one"),
    }, "PM2 is to see the process, and not npm above it"


def test_a_script_that_npm_runs_others_around_is_left_to_npm(tmp_path: Path) -> None:
    scripts = {"worker": "node worker.js", "preworker": "node prepare.js"}
    said = {"processes": {"worker": "npm run worker"}}
    found = inspect(write_app(tmp_path, {"expressway": said, "scripts": scripts}, "index.js")).options
    assert found.processes["worker"].command == "npm run worker"
