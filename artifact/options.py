"""What an app says to Expressway itself: `"expressway": {...}` in its package.json."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from .problems import Problem

OPTIONS = ("waitReady", "release", "processes", "shards")
RESERVED = {"web": "the app itself is called so, and its start script runs it"}
"""Names that no other process may have, each with the reason."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TABLE = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?", re.ASCII)
_COLUMN = re.compile(r"[A-Za-z_][\w$]*", re.ASCII)
_NPM_RUN = re.compile(r"npm (?:run|run-script) (?:--silent |-s )?([^\s-]\S*)(?:$|\s)(?:-- )?(.*)")


@dataclass(frozen=True)
class Process:
    """A process of the app beside the web one."""

    command: str
    """What a shell in the app's folder runs."""
    on: Literal["every", "one"] = "every"
    """Whether every machine runs it, or one of the fleet."""


@dataclass(frozen=True)
class Options:
    """What package.json says, checked."""

    wait_ready: bool = False
    """Whether the app calls process.send("ready") once it can take traffic."""
    release: str | None = None
    """The command that runs once, before a release takes traffic."""
    processes: Mapping[str, Process] = field(default_factory=dict[str, Process])
    """Processes beside the web one, by name."""
    shards: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tables whose rows are on the shard of a key, and the column that holds it."""


def read(given: Mapping[str, object], scripts: Mapping[str, str]) -> tuple[Options, list[Problem]]:
    """The options in `given`, and all that is wrong with them. `scripts` are package.json's own."""
    problems = [
        Problem(f"package.json: expressway.{key}", "there is no such option", f"There are {', '.join(OPTIONS)}.")
        for key in sorted(given.keys() - set(OPTIONS))
    ]
    wait_ready = given.get("waitReady", False)
    if not isinstance(wait_ready, bool):
        problems.append(Problem("package.json: expressway.waitReady", "it must be true or false", "Drop the quotes."))
    release = given.get("release")
    if release is not None:
        problems += _check_command("package.json: expressway.release", release, scripts)
    processes: dict[str, Process] = {}
    listed = given.get("processes", {})
    if isinstance(listed, dict):
        for name, value in cast(dict[str, object], listed).items():
            process, wrong = _process(name, value, scripts)
            processes[name] = process
            problems += wrong
    else:
        remedy = 'Write it as {"worker": "npm run worker"}.'
        problems.append(Problem("package.json: expressway.processes", "it must be an object", remedy))
    shards, wrong = _shards(given.get("shards", {}))
    problems += wrong
    command = release if isinstance(release, str) else None
    return Options(wait_ready is True, command, processes, shards), problems


def _shards(listed: object) -> tuple[dict[str, str], list[Problem]]:
    path = "package.json: expressway.shards"
    if not isinstance(listed, dict) or not all(
        isinstance(each, str) for each in cast(dict[str, object], listed).values()
    ):
        remedy = 'Write it as {"orders": "user_key"}.'
        return {}, [Problem(path, "it must be an object of tables and the column of each that holds its key", remedy)]
    tables = cast(dict[str, str], listed)
    rule = "a table's or column's name is of letters, digits, _ and $, after its schema's and a dot if it has one"
    return tables, [
        Problem(f"{path}.{table}", rule, "Rename it, or leave it out.")
        for table, column in tables.items()
        if not (_TABLE.fullmatch(table) and _COLUMN.fullmatch(column))
    ]


def _process(name: str, value: object, scripts: Mapping[str, str]) -> tuple[Process, list[Problem]]:
    path = f"package.json: expressway.processes.{name}"
    problems: list[Problem] = []
    if not _NAME.fullmatch(name):
        rule = "a process's name must be at most 32 lower-case letters, digits and hyphens, and start with a letter"
        problems.append(Problem(path, rule, "Rename it."))
    elif name in RESERVED:
        problems.append(Problem(path, f"this name is taken: {RESERVED[name]}", "Rename it."))
    said = cast(dict[str, object], value) if isinstance(value, dict) else {"command": value}
    for key in sorted(said.keys() - {"command", "on"}):
        problems.append(Problem(f"{path}.{key}", "there is no such option", "There are command and on."))
    on = said.get("on", "every")
    if on not in ("every", "one"):
        rule = "it must be `every` (each machine runs it) or `one` (one machine of the fleet does)"
        problems.append(Problem(f"{path}.on", rule, "Choose one of them."))
    where = f"{path}.command" if isinstance(value, dict) else path
    problems += _check_command(where, said.get("command"), scripts)
    return Process(_direct(str(said.get("command")), scripts), "one" if on == "one" else "every"), problems


def _direct(command: str, scripts: Mapping[str, str]) -> str:
    """The command without npm around it, where npm would only run a script.

    npm stays above what it runs: PM2 would measure npm's memory, and not the process's.
    """
    found = _NPM_RUN.fullmatch(command.strip())
    if found is None or found[1] not in scripts or {f"pre{found[1]}", f"post{found[1]}"} & scripts.keys():
        return command
    return f"{scripts[found[1]]} {found[2]}".strip()


def _check_command(path: str, command: object, scripts: Mapping[str, str]) -> list[Problem]:
    example = "Write it as in a shell, such as `npm run worker` or `node worker.js`."
    if not isinstance(command, str) or not command.strip() or not command.isprintable():
        return [Problem(path, "it must be a command: one line of text", example)]
    found = _NPM_RUN.match(command.strip())
    if found and found[1] not in scripts:
        return [Problem(path, f"package.json has no script {found[1]}", f"Add scripts.{found[1]}, or name another.")]
    return []
