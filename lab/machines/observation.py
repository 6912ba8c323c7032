"""Which machines are there and how they are, found from their directories and from /proc. Changes nothing."""

import contextlib
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from lab import paths

from . import boot, control_groups

UNFINISHED: Final = ".starting-"
"""Begins the name of a directory that is to become a machine's when it has a process."""


OFF: Final = "off"
"""A file in a machine's directory: the lab wants it off, and keeps its disk."""

ENDED: Final = "ended"
"""A file in a machine's directory: the exit status of its systemd-nspawn, once that has ended."""

REBOOT_STATUS: Final = "133"
"""What systemd-nspawn ends with when the machine asked to be started again."""


class State(StrEnum):
    """What a machine is doing.

    The last four have no process any more. `OFF`: turned off by the lab. `REBOOTING` and `SHUT_DOWN`: ended by itself,
    to be started again or not. `DEAD`: ended in no order (a crash, or a start cut short).
    """

    BOOTING = "booting"
    READY = "ready"
    FAILED = "failed"
    OFF = "off"
    REBOOTING = "rebooting"
    SHUT_DOWN = "shut-down"
    DEAD = "dead"


@dataclass(frozen=True)
class MachineStatus:
    """What is found. `boot_seconds` is from the start until cloud-init ended; `problems` are what it says failed.

    `reboots` is how often it had been rebooted from outside when it was last started; `resource` what it is the machine
    of, where that was said.
    """

    id: str
    tier: str
    address: str
    state: State
    started_at: float
    pid: int | None
    boot_seconds: float | None
    problems: tuple[str, ...]
    reboots: int = 0
    resource: str = ""


def observe(machines: Path = paths.MACHINES) -> list[MachineStatus]:
    """All machines that are there, running or not, by id."""
    homes = sorted(machines.glob(f"[!{UNFINISHED[0]}]*"))
    return [_observe(home) for home in homes]


def leader(machine: str, machines: Path = paths.MACHINES) -> int | None:
    """The process id, on the host, of the machine's own PID 1; None when it does not run."""
    keeper = process(machines / machine)
    nspawn = None if keeper is None else _child(keeper)
    return None if nspawn is None else _child(nspawn)


def resident_bytes(machine: str) -> int:
    """Memory that the machine's processes hold: their proportional set sizes, so that shared pages count once."""
    return sum(_proportional_set_size(pid) for pid in control_groups.processes(machine))


def process(home: Path) -> int | None:
    """The machine's keeper, whose child is its systemd-nspawn; None when it is gone.

    Known by its id and the time it began, which no later process has too. Not by its command line: that is empty for a
    moment while one program gives way to the next.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        recorded = (home / "process").read_text()
        pid = int(recorded.split()[0])
        state, began = _state_and_begin(Path(f"/proc/{pid}/stat").read_text())
        if state not in "ZX" and began == _state_and_begin(recorded)[1]:
            return pid
    return None


def _state_and_begin(stat: str) -> tuple[str, str]:
    """From the text of a process's `stat` file; the program's name before them may hold spaces and parentheses."""
    fields = stat.rpartition(")")[2].split()
    return fields[0], fields[19]


def _observe(home: Path) -> MachineStatus:
    record: dict[str, Any] = {}
    with contextlib.suppress(OSError, json.JSONDecodeError):
        record = json.loads((home / "machine.json").read_text())
    finished: float | None = None
    problems: tuple[str, ...] = ()
    with contextlib.suppress(OSError, ValueError):  # not there, or being written
        result = home / "upper" / boot.RESULT
        problems = boot.errors(result.read_text())
        finished = result.stat().st_mtime
    pid = process(home)
    if pid is None:
        state = _end(home)
    elif finished is None:
        state = State.BOOTING
    else:
        state = State.FAILED if problems else State.READY
    started_at = float(record.get("started_at", 0))
    return MachineStatus(
        id=home.name,
        tier=record.get("tier", ""),
        address=record.get("address", ""),
        state=state,
        started_at=started_at,
        pid=pid,
        boot_seconds=None if finished is None else round(finished - started_at, 2),
        problems=problems,
        reboots=int(record.get("reboots", 0)),
        resource=record.get("resource", ""),
    )


def _end(home: Path) -> State:
    """How a machine without a process came to its end."""
    if (home / OFF).exists():
        return State.OFF
    status = ""
    with contextlib.suppress(OSError):
        status = (home / ENDED).read_text().strip()
    return {"0": State.SHUT_DOWN, REBOOT_STATUS: State.REBOOTING}.get(status, State.DEAD)


def _child(pid: int) -> int | None:
    """The first child of a process, if it has one."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None


def _proportional_set_size(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
