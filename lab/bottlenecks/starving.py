"""A vegeta that gets a share of one CPU and no more: as on a machine too small for the load, or too busy."""

import os
import shlex
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from artifact import cache
from lab.prove.stand import StandError
from operate.load.vegeta import find

GROUP: Final = "expressway-slow-generator"
PERIOD_MICROSECONDS: Final = 50_000
"""Short, so that a request waits less than the kernel's tenth of a second for its share; a millisecond is the least."""


@contextmanager
def vegeta(share: float) -> Generator[str]:
    """A PATH for as long as the body runs, whose vegeta shares so much of a CPU with all others of that PATH."""
    program = find(cache.root())
    if program is None:
        raise StandError("there is no vegeta yet: expressway load builds it")
    with _group(share) as group, tempfile.TemporaryDirectory(prefix="expressway-slow-") as folder:
        slow = Path(folder) / "vegeta"
        join = f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))}"
        slow.write_text(f'#!/bin/sh\n{join} && exec {shlex.quote(str(program))} "$@"\n')
        slow.chmod(0o755)
        yield f"{folder}:{os.environ['PATH']}"


@contextmanager
def _group(share: float) -> Generator[Path]:
    parent, limits = limited(Path("/proc/mounts").read_text(), share)
    group = parent / GROUP
    if "cpu.max" in limits:
        # In the unified hierarchy a controller is handed on by name.
        (parent / "cgroup.subtree_control").write_text("+cpu")
    group.mkdir(exist_ok=True)
    try:
        for name, value in limits.items():
            (group / name).write_text(value)
        yield group
    finally:
        _remove(group)


def limited(mounts: str, share: float) -> tuple[Path, Mapping[str, str]]:
    """Where the control groups are that limit CPU, and what limits one. Pure; `mounts` is /proc/mounts. StandError."""
    quota = round(share * PERIOD_MICROSECONDS)
    unified: Path | None = None
    for line in mounts.splitlines():
        _, target, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(target), {"cpu.cfs_period_us": f"{PERIOD_MICROSECONDS}", "cpu.cfs_quota_us": f"{quota}"}
        if kind == "cgroup2":
            unified = Path(target)
    if unified is None:
        raise StandError("this machine has no control groups that limit CPU")
    return unified, {"cpu.max": f"{quota} {PERIOD_MICROSECONDS}"}


def _remove(group: Path) -> None:
    for _ in range(50):
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)
