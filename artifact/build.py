"""Builds an app's artifact: its files, its production dependencies and how to start it, in one reproducible tarball."""

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import agents, elf, npm, packages, runtime, source, tarball
from .app import App, inspect
from .problems import AppError, BuildError, Problem
from .start import Start
from .store import Entry, Store

_FORMAT = "2"  # change it when the same source would be built differently
# May hold registry credentials: used while building, never shipped.
_CREDENTIALS = frozenset({".npmrc", ".yarnrc", ".yarnrc.yml"})


@dataclass(frozen=True)
class Artifact:
    """A built app."""

    path: Path
    sha256: str
    start: Start

    @property
    def release_id(self) -> str:
        """What people call this release."""
        return self.sha256[:12]

    @property
    def key(self) -> str:
        """Where it goes in the artifact bucket."""
        return f"releases/{self.sha256}.tar.gz"


def source_hash(path: Path, node: int, arch: str, apm: str | None = None) -> str:
    """What identifies an artifact before it is built: the app's files, the runtime it is built with, the builder.

    With `apm`, a vendor of APM, also the agent that comes with the app.
    """
    parts = [_FORMAT, runtime.fingerprint(node, arch), source.digest(path, source.read(path))]
    if apm:
        parts.append(agents.fingerprint(apm, arch))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def find(path: Path, node: int, arch: str, cache: Path, apm: str | None = None) -> Artifact | None:
    """The app's artifact, if it was built already. Reads only. AppError when `path` holds no app."""
    inspect(path)
    entry = Store(cache).find(f"app-{source_hash(path, node, arch, apm)}")
    return _artifact(entry) if entry else None


def build(
    path: Path, node: int, arch: str, cache: Path, progress: Callable[[str], None], apm: str | None = None
) -> Artifact:
    """The app's artifact, built unless it was already. AppError when there is no app, BuildError when a tool fails."""
    app = inspect(path)
    store = Store(cache)
    identity = source_hash(path, node, arch, apm)
    name = f"app-{identity}"
    with store.lock(name):
        if entry := store.find(name):
            return _artifact(entry)
        tools = runtime.tools(node, cache, progress)
        agent = {agents.FOLDER: agents.unpacked(apm, arch, cache, progress)} if apm else {}
        with store.work(identity[:16]) as work:
            folder = work / "app"
            _copy(app, folder, progress)
            _install(app, folder, tools, None if npm.runs_here(arch) else arch, progress)
            if (wrong := elf.wrong_architecture(folder, arch)) is not None:
                raise BuildError(
                    f"{wrong} was compiled for another architecture than {arch}. "
                    f"Build on a machine of that architecture, or choose instances of this one's."
                )
            built = inspect(folder)
            if built.start is None:
                rule = "the build script ended well, but the entry point it should have made isn't there"
                raise AppError([Problem(str(path / "package.json"), rule, "Let `main` or `start` name what it makes.")])
            progress("packing the app")
            with store.new_file() as file:
                manifest = json.dumps(_manifest(app, built.start, node), indent=2).encode()
                skip = _withheld_for(arch)
                digest = tarball.pack(file, {"expressway.json": manifest}, {"app": folder, **agent}, skip=skip)
                label = re.sub(r"[^a-z0-9._-]+", "-", app.name.lower()).strip("-.") or "app"
                details = {"start": dataclasses.asdict(built.start)}
                return _artifact(store.add(name, file, f"{label}-{digest}.tar.gz", digest, details))


def _copy(app: App, folder: Path, progress: Callable[[str], None]) -> None:
    chosen = source.read(app.path)
    if chosen.withheld:
        names = ", ".join(str(name) for name in chosen.withheld)
        progress(f"leaving out {names}: give the app such values as settings (environment, secrets)")
    for relative in chosen.files:
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(app.path / relative, target, follow_symlinks=False)


def _install(app: App, folder: Path, tools: npm.Node, foreign: str | None, progress: Callable[[str], None]) -> None:
    plan = packages.plan(app, foreign)
    env = npm.environment(tools)

    def step(words: list[str], doing: str) -> None:
        progress(doing)
        npm.run([*tools.npm, *words], folder, env, f"{app.name}: {doing}")

    if plan.warning:
        progress(f"warning: {plan.warning}")
    step(plan.install, f"installing dependencies ({plan.title})")
    if app.has_build_script:
        step(plan.build, "running the build script")
    if plan.prune:
        step(plan.prune, "dropping development dependencies")


def _withheld_for(arch: str) -> Callable[[PurePosixPath], bool]:
    of_agent = agents.left_out(arch)
    return lambda name: of_agent(name) if name.parts[0] == agents.FOLDER else _withheld(name)


def _withheld(name: PurePosixPath) -> bool:
    """Whether a file stays behind: credentials of the app's own, and what tools left for their next run."""
    if name.name in packages.RESIDUE or name.parts[-2:] == ("node_modules", ".cache"):
        return True
    return name.name in _CREDENTIALS and "node_modules" not in name.parts


def _manifest(app: App, start: Start, node: int) -> dict[str, object]:
    return {
        "name": app.name,
        "version": app.version,
        "start": dataclasses.asdict(start),
        # npm doesn't hand on the channel over which PM2 would hear of it.
        "wait_ready": app.options.wait_ready and start.mode == "cluster",
        "release": app.options.release,
        "processes": {name: dataclasses.asdict(process) for name, process in app.options.processes.items()},
        "node": node,
    }


def _artifact(entry: Entry) -> Artifact:
    return Artifact(entry.path, entry.sha256, Start(**entry.details["start"]))
