"""Each lock file is installed from by the tool that wrote it, as it is."""

from pathlib import Path

import pytest

from artifact import inspect, packages
from tests.unit.artifact_apps import write_app

BUILD: dict[str, object] = {"scripts": {"build": "true"}}


def plan(path: Path, foreign: str | None = None) -> packages.Plan:
    return packages.plan(inspect(path), foreign)


@pytest.mark.parametrize(
    ("files", "lock"),
    [
        (["package-lock.json"], "package-lock.json"),
        (["package-lock.json", "npm-shrinkwrap.json"], "npm-shrinkwrap.json"),
        (["yarn.lock", "pnpm-lock.yaml", "package-lock.json"], "package-lock.json"),
    ],
)
def test_npm_installs_exactly_what_its_lock_file_says(tmp_path: Path, files: list[str], lock: str) -> None:
    found = plan(write_app(tmp_path, {}, "index.js", *files))

    assert found.install == ["ci", "--omit=dev"], "ci refuses to change the lock file"
    assert found.prune == [], "nothing was installed that has to go"
    assert lock in found.title
    assert found.warning is None


def test_development_dependencies_are_there_for_the_build_and_then_dropped(tmp_path: Path) -> None:
    found = plan(write_app(tmp_path, BUILD, "index.js", "package-lock.json"))

    assert found.install == ["ci", "--include=dev"]
    assert found.prune == ["prune", "--omit=dev", "--ignore-scripts"]


def test_without_a_lock_file_people_are_warned(tmp_path: Path) -> None:
    found = plan(write_app(tmp_path, {}, "index.js", "bun.lock"))

    assert found.install[0] == "install"
    assert found.warning is not None
    assert "newer dependencies" in found.warning


@pytest.mark.parametrize(
    ("manager", "lock", "tool"),
    [
        (None, "lockfileVersion: '9.0'\n", "pnpm@10.34.8"),
        (None, "lockfileVersion: '6.0'\n", "pnpm@8.15.9"),
        ("pnpm@9.1.0+sha512.abc", "lockfileVersion: '9.0'\n", "pnpm@9.1.0"),
    ],
)
def test_pnpm_runs_in_the_version_that_the_app_or_its_lock_file_asks_for(
    tmp_path: Path, manager: str | None, lock: str, tool: str
) -> None:
    app = write_app(tmp_path, BUILD | ({"packageManager": manager} if manager else {}), "index.js")
    (app / "pnpm-lock.yaml").write_text(lock)

    found = plan(app)

    for command in (found.install, found.build, found.prune):
        assert f"--package={tool}" in command, command
    assert "--frozen-lockfile" in found.install
    assert "--prod" not in found.install
    assert "--prod" in found.prune


@pytest.mark.parametrize(
    ("manager", "lock", "tool", "frozen"),
    [
        (None, "# comment\n# yarn lockfile v1\n", "yarn@1.22.22", "--frozen-lockfile"),
        (None, "__metadata:\n  version: 8\n", "@yarnpkg/cli-dist@4.18.1", "--immutable"),
        ("yarn@3.8.6", "__metadata:\n  version: 6\n", "@yarnpkg/cli-dist@3.8.6", "--immutable"),
    ],
)
def test_yarn_runs_in_the_version_that_the_app_or_its_lock_file_asks_for(
    tmp_path: Path, manager: str | None, lock: str, tool: str, frozen: str
) -> None:
    app = write_app(tmp_path, BUILD | ({"packageManager": manager} if manager else {}), "index.js")
    (app / "yarn.lock").write_text(lock)

    found = plan(app)

    for command in (found.install, found.build, found.prune):
        assert f"--package={tool}" in command, command
    assert frozen in found.install


def test_a_foreign_architecture_is_asked_for(tmp_path: Path) -> None:
    npm = plan(write_app(tmp_path / "npm", {}, "index.js", "package-lock.json"), "arm64")
    pnpm = plan(write_app(tmp_path / "pnpm", {}, "index.js", "pnpm-lock.yaml"), "arm64")
    yarn = plan(write_app(tmp_path / "yarn", {}, "index.js", "yarn.lock"), "arm64")

    for found in (npm, pnpm):
        assert {"--os=linux", "--cpu=arm64"} <= set(found.install), found.install
    assert yarn.warning is not None, "yarn has no such option"
