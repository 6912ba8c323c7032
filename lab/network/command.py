"""Runs the system's network tools, and says what they said when they fail."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any


class CommandError(Exception):
    """A tool failed; the message has its name, and what it printed."""


def run(command: Sequence[str], stdin: str = "") -> str:
    """The command's standard output. Raises CommandError when it fails or doesn't exist."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CommandError(f"{command[0]}: not installed") from error
    if done.returncode != 0:
        raise CommandError(f"{' '.join(command)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def ip(*arguments: str) -> list[dict[str, Any]]:
    """What `ip -json` lists."""
    return json.loads(run(["ip", "-json", *arguments]) or "[]")
