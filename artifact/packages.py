"""Which commands install an app's dependencies as its lock file says, and drop the development ones afterwards."""

from dataclasses import dataclass
from pathlib import Path

from .app import App

# Used where package.json's `packageManager` names no version: the newest that reads the lock file as it is.
_PNPM = "10.34.8"
_PNPM_LOCKFILE_6 = "8.15.9"
_YARN = "4.18.1"
_YARN_CLASSIC = "1.22.22"

_NPM_LOCKS = ("npm-shrinkwrap.json", "package-lock.json")  # npm's own order of precedence

RESIDUE = frozenset(
    {
        ".modules.yaml",
        ".pnpm-workspace-state.json",
        ".pnpm-workspace-state-v1.json",
        ".yarn-integrity",
        ".yarn-state.yml",
    }
)
"""Notes that package managers leave for their next run, with times and paths in them; the app doesn't need them."""


@dataclass(frozen=True)
class Plan:
    """Commands, each the words that follow `npm`."""

    install: list[str]
    prune: list[str]
    """Drops development dependencies; empty when `install` left them out already."""
    build: list[str]
    """Runs the app's build script."""
    title: str
    """What installs, and from what, for people."""
    warning: str | None = None


def plan(app: App, foreign: str | None) -> Plan:
    """How to install the dependencies of `app`. `foreign` is the target's architecture when it isn't this machine's."""
    present = [name for name in _NPM_LOCKS if (app.path / name).is_file()]
    if present:
        return _npm(app, present[0], foreign)
    if (app.path / "pnpm-lock.yaml").is_file():
        return _pnpm(app, foreign)
    if (app.path / "yarn.lock").is_file():
        return _yarn(app, foreign)
    return _npm(app, None, foreign)


def _npm(app: App, lock: str | None, foreign: str | None) -> Plan:
    # A lock file kept without addresses is an npm lock file all the same: npm asks the configured registry.
    platform = ["--os=linux", f"--cpu={foreign}", "--libc=glibc"] if foreign else []
    dev = app.needs_dev_dependencies
    return Plan(
        install=["ci" if lock else "install", "--include=dev" if dev else "--omit=dev", *platform],
        prune=["prune", "--omit=dev", "--ignore-scripts", *platform] if dev else [],
        build=["run", "build"],
        title=f"npm ci, from {lock}" if lock else "npm install",
        warning=None if lock else "no npm, pnpm or yarn lock file: a later build may pick newer dependencies",
    )


def _pnpm(app: App, foreign: str | None) -> Plan:
    old = _first_line(app.path / "pnpm-lock.yaml", "lockfileVersion").strip("'\" ").startswith("6")
    version = _wanted(app, "pnpm") or (_PNPM_LOCKFILE_6 if old else _PNPM)
    # It asks before it removes packages, and here is no one to answer; and it keeps what it removes for a week.
    options = ["--config.confirm-modules-purge=false", "--config.modules-cache-max-age=0"]
    pnpm = [*_through_npm(f"pnpm@{version}"), "pnpm", *options]
    platform = ["--os=linux", f"--cpu={foreign}", "--libc=glibc"] if foreign else []
    install = [*pnpm, "install", "--frozen-lockfile", *platform]
    return Plan(
        install=install if app.needs_dev_dependencies else [*install, "--prod"],
        prune=[*install, "--prod", "--ignore-scripts"] if app.needs_dev_dependencies else [],
        build=[*pnpm, "run", "build"],
        title=f"pnpm {version}, from pnpm-lock.yaml",
    )


def _yarn(app: App, foreign: str | None) -> Plan:
    classic = bool(_first_line(app.path / "yarn.lock", "# yarn lockfile v1"))
    version = _wanted(app, "yarn") or (_YARN_CLASSIC if classic else _YARN)
    warning = f"yarn installs for this machine's architecture, not for {foreign}" if foreign else None
    title = f"yarn {version}, from yarn.lock"
    if version.startswith("1."):
        yarn = [*_through_npm(f"yarn@{version}"), "yarn"]
        production = [*yarn, "install", "--frozen-lockfile", "--production", "--non-interactive"]
        return Plan(
            install=[*yarn, "install", "--frozen-lockfile", "--production=false", "--non-interactive"]
            if app.needs_dev_dependencies
            else production,
            prune=[*production, "--ignore-scripts"] if app.needs_dev_dependencies else [],
            build=[*yarn, "run", "build"],
            title=title,
            warning=warning,
        )
    yarn = [*_through_npm(f"@yarnpkg/cli-dist@{version}"), "yarn"]
    return Plan(
        install=[*yarn, "install", "--immutable"],
        prune=[*yarn, "workspaces", "focus", "--production"],
        build=[*yarn, "run", "build"],
        title=title,
        warning=warning,
    )


def _through_npm(package: str) -> list[str]:
    return ["exec", "--yes", f"--package={package}", "--"]


def _wanted(app: App, tool: str) -> str | None:
    """The version that package.json's `packageManager` names for `tool`, without the hash that may follow it."""
    name, _, version = (app.package_manager or "").partition("@")
    return version.partition("+")[0] if name == tool and version else None


def _first_line(file: Path, start: str) -> str:
    """The rest of the first line that begins with `start`, or the line itself when nothing follows; "" without one."""
    for line in file.read_text(errors="replace").splitlines():
        if line.startswith(start):
            return line.removeprefix(start).lstrip(":") or line
    return ""
