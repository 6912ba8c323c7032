"""Looking into a machine: run a command inside, read what it logged."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import paths

from . import boot, ended
from .observation import leader

_ENVIRONMENT: Final = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LOGNAME": "root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SHELL": "/bin/bash",
    "USER": "root",
}
_CONTROL: Final = re.compile(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\a]*\a)|\r")
_NOT_FOUND: Final = "(nothing yet)"


class MachineError(Exception):
    """A machine could not be started or entered; the message says why."""


def shell(machine: str, command: Sequence[str] = (), machines: Path = paths.MACHINES) -> int:
    """Run `command` inside as root, or a login shell when it is empty, on this process's own terminal and streams.

    Returns its exit status; 128 and the signal's number when a signal ended it, as shells have it. Raises MachineError
    when the machine does not run.
    """
    status = subprocess.run([*_enter(machine, machines), *(command or ["bash", "--login"])], check=False).returncode
    return status if status >= 0 else 128 - status


def run(
    machine: str, command: Sequence[str], machines: Path = paths.MACHINES, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `command` inside as root, with its output in the result and `stdin` on its standard input.

    Raises MachineError when the machine does not run.
    """
    entered = [*_enter(machine, machines), *command]
    return subprocess.run(entered, check=False, text=True, capture_output=True, input=stdin)


def _enter(machine: str, machines: Path) -> list[str]:
    pid = leader(machine, machines)
    if pid is None:
        raise MachineError(f"machine {machine} does not run")
    environment = _ENVIRONMENT | {"TERM": os.environ.get("TERM", "dumb")}
    assignments = [f"{name}={value}" for name, value in environment.items()]
    return ["nsenter", f"--target={pid}", "--all", "--root", "--wd", "--", "env", "--ignore-environment", *assignments]


def logs(machine: str, machines: Path = paths.MACHINES) -> str:
    """The machine's console, which also shows what cloud-init and its programs print; also of one that is gone."""
    return _read_first(machines / machine / ended.CONSOLE, ended.directory(machines) / machine / ended.CONSOLE)


def boot_failure(machine: str, machines: Path = paths.MACHINES, lines: int = 30) -> str:
    """Why it failed: the app's last words and the reason, as the machine reports them where it comes that far.

    Otherwise the end of what its user data printed, or of its console. Also of a machine that is gone.
    """
    upper, kept = machines / machine / "upper", ended.directory(machines) / machine
    if reported := _reported(upper / boot.REPORT) or _reported(kept / ended.REPORT):
        return "\n".join(reported)
    printed = _read_first(upper / boot.OUTPUT, kept / ended.OUTPUT)
    text = logs(machine, machines) if printed == _NOT_FOUND else printed
    return "\n".join(text.splitlines()[-lines:])


def _reported(path: Path) -> list[str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        report = json.loads(path.read_text())
        if report["state"] == "failed":
            return [*report["log"], report["reason"]]
    return []


def _read_first(*logs: Path) -> str:
    """The text of the first that is there."""
    for log in logs:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return _CONTROL.sub("", log.read_text(errors="replace")).strip() or _NOT_FOUND
    return _NOT_FOUND
