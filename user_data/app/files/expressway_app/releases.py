"""Releases on this machine's disk: fetched whole, and one of them current."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from expressway_machine import config, files

from . import artifact, paths, pm2
from .artifact import ArtifactError, Release

KEPT = 3
"""Releases on the disk: the one that runs, and those that a machine may be put back to without fetching anything."""
_MARK = "sha256"
"""A file at the top of a release's folder: what its tarball had."""


def fetch(s3: Any, machine: config.Machine, release: Release) -> Path:
    """The release's folder, fetched unless it is there. ArtifactError when it can't be had, or is another one."""
    folder = paths.RELEASES / release.release_id
    if artifact.fetch(s3, machine["bucket"], release.key, release.sha256, folder, owner=paths.USER, mark=_MARK):
        return folder
    mark = folder / _MARK
    if mark.is_file() and mark.read_text() != release.sha256:
        raise ArtifactError(
            f"release {release.release_id} is on this machine with SHA-256 {mark.read_text()}, and is to be "
            f"{release.sha256}: give another release another id"
        )
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    """What the build says of the release in `folder`. ArtifactError when that is missing or isn't for this machine."""
    path = folder / pm2.MANIFEST
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"release {folder.name} has no readable {pm2.MANIFEST}: {error}") from error
    if not isinstance(found, dict):
        raise ArtifactError(f"release {folder.name}: {pm2.MANIFEST} must hold a JSON object")
    return found


def check_runtime(folder: Path, runtime: Path) -> None:
    """ArtifactError when the release was built for another Node than the `runtime`'s."""
    wanted = manifest(folder).get("node")
    found = re.match(r"v(\d+)\.", _version(runtime))
    if wanted and found and int(found[1]) != wanted:
        raise ArtifactError(
            f"release {folder.name} was built for Node {wanted}, and this machine has Node {found[1]}: "
            "deploy it to new machines, not in place"
        )


def ecosystem(folder: Path, runtime: Path) -> str:
    """What PM2 is told to run of the release in `folder`, once that is current."""
    cpus = len(os.sched_getaffinity(0))
    return pm2.ecosystem(manifest(folder), paths.RELEASES / "current", runtime, cpus, memory_bytes())


def make_current(folder: Path) -> bool:
    """Whether that changed which release a worker that starts now runs."""
    return files.link(paths.RELEASES / "current", folder)


def prune(*needed: Path) -> None:
    """Clear the disk of all but the `needed` releases and the newest others."""
    kept = {folder.name for folder in needed} | {name for name in [paths.release()] if name}
    found = sorted(
        (each for each in paths.RELEASES.iterdir() if each.is_dir() and not each.is_symlink() and each.name[0] != "."),
        key=lambda each: each.stat().st_mtime,
        reverse=True,
    )
    others = [each for each in found if each.name not in kept]
    for folder in others[max(0, KEPT - len(kept)) :]:
        # By another name first: what is half removed must not be taken for a release.
        doomed = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _version(runtime: Path) -> str:
    done = subprocess.run([str(runtime / "bin/node"), "--version"], capture_output=True, text=True, check=False)
    return done.stdout
