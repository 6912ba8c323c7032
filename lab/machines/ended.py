"""What is kept of machines that are gone: their consoles, as EC2 keeps those of instances that have ended.

A machine whose boot fails may be given up and replaced at once; without this, its log would go with its disk.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import paths

from . import boot
from .observation import MachineStatus, State

KEPT: Final = 20
"""Machines, the newest; EC2 keeps a console for about an hour."""
CONSOLE: Final = "console.log"
OUTPUT: Final = "output.log"
REPORT: Final = "report.json"
_NEVER_UP: Final = "never-up"


@dataclass(frozen=True)
class Ended:
    """A machine that is gone. `never_up`: before its boot had ended, or after that had failed."""

    id: str
    tier: str
    never_up: bool
    ended_at: float


def directory(machines: Path = paths.MACHINES) -> Path:
    """Where it is kept: beside the machines that are there."""
    return machines.with_name("ended")


def keep(found: MachineStatus, home: Path, machines: Path) -> None:
    """Keep what the machine of the directory `home`, as it was `found`, has said. What can't be kept is left."""
    with contextlib.suppress(OSError):
        kept = directory(machines) / found.id
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        said = {CONSOLE: CONSOLE, f"upper/{boot.OUTPUT}": OUTPUT, f"upper/{boot.REPORT}": REPORT}
        for source, name in ((home / path, name) for path, name in said.items()):
            if source.is_file():
                shutil.copyfile(source, kept / name)
        (kept / "tier").write_text(found.tier)
        if found.state in (State.BOOTING, State.FAILED):
            (kept / _NEVER_UP).touch()
        _forget(machines)


def all_ended(machines: Path = paths.MACHINES) -> list[Ended]:
    """Those that are kept, the oldest first."""
    found: list[Ended] = []
    with contextlib.suppress(FileNotFoundError):
        for kept in os.scandir(directory(machines)):
            # Another process may be forgetting it.
            with contextlib.suppress(FileNotFoundError):
                tier = Path(kept.path, "tier").read_text()
                at = kept.stat().st_mtime
                found.append(Ended(kept.name, tier, Path(kept.path, _NEVER_UP).exists(), at))
    return sorted(found, key=lambda each: each.ended_at)


def _forget(machines: Path) -> None:
    for each in all_ended(machines)[:-KEPT]:
        shutil.rmtree(directory(machines) / each.id, ignore_errors=True)
