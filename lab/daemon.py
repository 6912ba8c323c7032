"""The lab's own long-running programs: started in a session of their own, found again by pid and start time, ended."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from lab import paths

STOP_SECONDS = 10.0

_started: list[subprocess.Popen[bytes]] = []
"""Kept for as long as this process runs: a forgotten child that ends would stay a zombie."""


def start(name: str, module: str, arguments: Sequence[str] = (), state: Path = paths.STATE, nice: int = 0) -> None:
    """Run `python -m module arguments` in the background; its output goes to `log/<name>.log`.

    `nice` is its session's, from -20 to 19, where the kernel shares the CPUs between sessions (sched(7), autogroup):
    what it starts in control groups of their own doesn't inherit that.
    """
    log = state / "log" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=paths.ROOT,
        )
    _started.append(process)
    if nice:
        with contextlib.suppress(FileNotFoundError):
            Path(f"/proc/{process.pid}/autogroup").write_text(str(nice))
    record = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
    _record(name, state).write_text(json.dumps(record))


def find(name: str, state: Path = paths.STATE) -> psutil.Process | None:
    """The program if it runs. A pid that was given to another program meanwhile does not count."""
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        record = json.loads(_record(name, state).read_text())
        process = psutil.Process(record["pid"])
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        if alive and abs(process.create_time() - record["created"]) < 1:
            return process
    return None


def stop(name: str, state: Path = paths.STATE, grace: float = STOP_SECONDS) -> None:
    """End the program if it runs: SIGTERM, and SIGKILL after `grace` seconds, at once where that is 0."""
    process = find(name, state)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if grace:
                process.terminate()
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(grace)
            process.kill()
            process.wait(STOP_SECONDS)
    _started[:] = [each for each in _started if each.poll() is None]
    _record(name, state).unlink(missing_ok=True)


def last_words(name: str, lines: int = 15, state: Path = paths.STATE) -> str:
    """The end of the program's log."""
    with contextlib.suppress(OSError):
        return "\n".join((state / "log" / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    return ""


def _record(name: str, state: Path) -> Path:
    return state / f"{name}.pid.json"
