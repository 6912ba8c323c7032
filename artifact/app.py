"""Reads an app's folder and says what it is, or everything that is wrong with it. Nothing is run or written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from . import options, source, start
from .problems import AppError, Problem

_LIFECYCLE = frozenset({"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"})
"""Scripts that an install runs; they may need development dependencies."""


@dataclass(frozen=True)
class App:
    """A Node app that can be built."""

    path: Path
    name: str
    """package.json's name, or the folder's."""
    version: str
    start: start.Start | None
    """None while its entry point is still to be made by the build script."""
    has_build_script: bool
    needs_dev_dependencies: bool
    """Whether installing or building may use development dependencies."""
    options: options.Options
    """What it says to Expressway itself."""
    package_manager: str | None
    """package.json's `packageManager`, such as `pnpm@10.34.8`."""


def inspect(path: Path) -> App:
    """Read the app in `path`. AppError with all that is wrong."""
    if not path.is_dir():
        rule = "it must be a folder" if path.exists() else "the app's folder must exist"
        raise AppError([Problem(str(path), rule, "Name the folder that holds the app's package.json.")])
    manifest = _manifest(path)
    problems = _Problems()
    scripts = problems.strings(manifest, "scripts")
    texts = {key: problems.text(manifest, key) for key in ("name", "version", "main", "type", "packageManager")}
    main = texts["main"]
    if main and ".." in PurePosixPath(main).parts:
        problems.add("main", f"it must stay inside the app's folder, not {main}", "Name a file of the app.")
    said, wrong = options.read(problems.mapping(manifest, "expressway"), scripts)
    problems.found += wrong
    for group in ("dependencies", "optionalDependencies", "devDependencies"):
        for name, wanted in problems.strings(manifest, group).items():
            _check_dependency(problems, f"{group}.{name}", wanted)

    plan = start.plan(path, scripts, main, texts["type"])
    if isinstance(plan, start.MissingEntry) and "build" not in scripts:
        problems.found.append(
            Problem(
                plan.path,
                f"the entry point {plan.entry} doesn't exist",
                "Add it, or a start script, or a build script that makes it.",
            )
        )
    try:
        source.read(path)
    except AppError as error:
        problems.found.extend(error.problems)
    if problems.found:
        raise AppError(problems.found)
    return App(
        path=path,
        name=texts["name"] or path.resolve().name,
        version=texts["version"] or "0.0.0",
        start=plan if isinstance(plan, start.Start) else None,
        has_build_script="build" in scripts,
        needs_dev_dependencies=bool(scripts.keys() & (_LIFECYCLE | {"build"})),
        options=said,
        package_manager=texts["packageManager"],
    )


class _Problems:
    """Collects what is wrong with package.json while reading it."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, key: str, rule: str, remedy: str) -> None:
        self.found.append(Problem(f"package.json: {key}", rule, remedy))

    def text(self, manifest: Mapping[str, object], key: str) -> str | None:
        value = manifest.get(key)
        if value is None or isinstance(value, str):
            return value
        self.add(key, "it must be a string", "Quote it.")
        return None

    def mapping(self, manifest: Mapping[str, object], key: str) -> dict[str, object]:
        value = manifest.get(key, {})
        if isinstance(value, dict):
            return cast(dict[str, object], value)
        self.add(key, "it must be an object", "Write it as {...}.")
        return {}

    def strings(self, manifest: Mapping[str, object], key: str) -> dict[str, str]:
        mapping = self.mapping(manifest, key)
        for name, value in mapping.items():
            if not isinstance(value, str):
                self.add(f"{key}.{name}", "it must be a string", "Quote it.")
        return {name: value for name, value in mapping.items() if isinstance(value, str)}


def _manifest(path: Path) -> dict[str, object]:
    file = path / "package.json"
    try:
        # npm takes a byte order mark, so an editor's habit is no reason to refuse the app.
        parsed = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        rule, remedy = "there must be a package.json", "Run `npm init` there, or name the folder that has one."
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        rule, remedy = f"it must be valid JSON: {error}", "Correct it there."
    except OSError as error:
        rule, remedy = f"it must be readable ({error.strerror})", "Fix its permissions."
    else:
        if isinstance(parsed, dict):
            return cast(dict[str, object], parsed)
        rule, remedy = "it must be a JSON object", "Run `npm init` there to make one."
    raise AppError([Problem(str(file), rule, remedy)])


def _check_dependency(problems: _Problems, key: str, wanted: str) -> None:
    protocol, _, target = wanted.partition(":")
    outside = target.startswith(("/", "~")) or ".." in PurePosixPath(target).parts
    if protocol in {"file", "link", "portal"} and outside:
        problems.add(key, f"a local dependency must lie inside the app's folder, not at {target}", "Copy it in there.")
