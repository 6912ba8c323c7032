"""How an app is started: read from package.json, decided without running anything.

PM2's cluster mode loads a script into workers that share the port, so it takes `node <script> [arguments]` and nothing
else. Whatever it would run differently from Node itself is left to npm, as one process.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

DEFAULT_ENTRIES = ("index.js", "server.js", "app.js")
"""Entry points by convention, in order, for an app with neither a start script nor an existing `main`."""

_SHELL = re.compile(r"[|&;<>$`*?~#(){}\[\]\\\n!]")
_ES_MODULE = re.compile(r"^(?:import\s*[\w{*\"']|export\s)", re.MULTILINE)


@dataclass(frozen=True)
class Start:
    """How PM2 runs the app."""

    mode: Literal["cluster", "fork"]
    """cluster: one worker per CPU sharing the port; fork: one process, run through npm."""
    script: str | None
    """cluster: the file Node runs, relative to the app's folder."""
    args: list[str] = field(default_factory=list)
    """cluster: the script's arguments."""
    npm_script: str | None = None
    """fork: the package.json script that npm runs."""
    reason: str = ""
    """Why this mode, for people."""


@dataclass(frozen=True)
class MissingEntry:
    """An entry point that isn't there; a build script may still make it."""

    path: str
    """Where package.json names it."""
    entry: str


def plan(folder: Path, scripts: Mapping[str, str], main: str | None, module_type: str | None) -> Start | MissingEntry:
    """Choose how to start the app in `folder`, given its package.json's `scripts`, `main` and `type`."""
    command = scripts.get("start")
    if command is None:
        return _by_convention(folder, main, module_type)
    for hook in ("prestart", "poststart"):
        if hook in scripts:
            return _fork(f"npm runs its {hook} script around it")
    words = _plain_words(command)
    if words is None or len(words) < 2 or words[0] != "node":
        return _fork(f"the start script isn't a plain `node <script>`: `{command}`")
    if words[1].startswith("-"):
        return _fork(f"the start script passes options to Node: `{command}`")
    entry = main if main and PurePosixPath(words[1]) == PurePosixPath() else words[1]
    script = resolve(folder, entry)
    if script is None:
        return MissingEntry("package.json: scripts.start", entry)
    return _unfit(folder, script, module_type) or Start(
        "cluster", script, words[2:], reason=f"start script `{command}`"
    )


def resolve(folder: Path, entry: str) -> str | None:
    """The file that `node <entry>` runs, relative to `folder`, or None when there is none inside it."""
    relative = PurePosixPath(entry)
    if relative.is_absolute() or ".." in relative.parts:
        return None
    candidates = [relative, relative.with_name(relative.name + ".js")] if relative.name else []
    candidates.append(relative / "index.js")
    return next((str(each) for each in candidates if (folder / each).is_file()), None)


def _by_convention(folder: Path, main: str | None, module_type: str | None) -> Start | MissingEntry:
    named = resolve(folder, main) if main else None
    script = named or next((each for each in DEFAULT_ENTRIES if (folder / each).is_file()), None)
    if script is None:
        return MissingEntry("package.json: main", main) if main else MissingEntry("package.json", DEFAULT_ENTRIES[0])
    reason = f"no start script; `main` is {script}" if named else f"no start script; {script} is there"
    # npm has nothing to run when there is no start script, so such an app is always a cluster.
    return Start("cluster", script, reason=reason)


def _fork(reason: str) -> Start:
    return Start("fork", None, npm_script="start", reason=reason)


def _plain_words(command: str) -> list[str] | None:
    """The command's words, or None when a shell would do more with it than split it."""
    if _SHELL.search(command):
        return None
    try:
        return shlex.split(command)
    except ValueError:
        return None


def _unfit(folder: Path, script: str, module_type: str | None) -> Start | None:
    """PM2 imports or requires a script from a file of its own: what notices the difference runs through npm instead."""
    suffix = PurePosixPath(script).suffix
    if suffix not in {"", ".js", ".mjs", ".cjs"}:
        return _fork(f"PM2's cluster mode takes JavaScript, not {suffix} files")
    text = (folder / script).read_text(errors="replace")
    if "import.meta.main" in text:
        return _fork(f"{script} asks whether it is the main module (import.meta.main), which it isn't under a cluster")
    if module_type == "module" and "require.main" in text:
        return _fork(f"{script} asks whether it is the main module (require.main), which it isn't under a cluster")
    if suffix in {"", ".js"} and module_type is None and _ES_MODULE.search(text):
        return _fork(f'{script} is an ES module, but package.json doesn\'t say `"type": "module"`')
    return None
