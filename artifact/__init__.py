"""Builds what machines run: an app with its dependencies, and the Node runtime under it, each one reproducible tarball.

Imports nothing of the other packages. `find` only reads; `build` writes to the cache alone.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .agents import AGENTS
from .app import App, inspect
from .build import Artifact, build, find, source_hash
from .problems import AppError, BuildError, Problem
from .runtime import ARCHITECTURES, NODE_VERSIONS, Runtime, build_runtime, find_runtime
from .start import Start

__all__ = [
    "AGENTS",
    "ARCHITECTURES",
    "NODE_VERSIONS",
    "App",
    "AppError",
    "Artifact",
    "BuildError",
    "Problem",
    "Runtime",
    "Start",
    "build",
    "build_runtime",
    "ensure",
    "export",
    "find",
    "find_runtime",
    "inspect",
    "source_hash",
]


def ensure(
    path: Path, node: int, arch: str, cache: Path, progress: Callable[[str], None], apm: str | None = None
) -> tuple[Artifact, Runtime]:
    """Find or build both the app's artifact and its runtime. AppError or BuildError when that can't be done."""
    inspect(path)
    runtime = build_runtime(node, arch, cache, progress)
    return build(path, node, arch, cache, progress, apm), runtime


def export(app: Artifact, runtime: Runtime, folder: Path) -> None:
    """Copy both archives to `folder`, as app.tar.gz and runtime.tar.gz. BuildError when they can't be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in ((app.path, "app.tar.gz"), (runtime.path, "runtime.tar.gz")):
            partial = folder / f".{name}.{os.getpid()}"
            shutil.copyfile(source, partial)
            partial.replace(folder / name)
    except OSError as error:
        raise BuildError(f"The archives can't be written to {folder}: {error.strerror}.") from error
