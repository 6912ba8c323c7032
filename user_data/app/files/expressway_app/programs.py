"""Programs that run beside the app's own processes, as the app's user."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import paths


def start(command: list[str], folder: Path, variables: Mapping[str, str], search_path: str) -> "subprocess.Popen[str]":
    """Start a command in `folder`, in a session of its own; all that it prints is the process's `stdout`.

    It has `variables` and the user's home, and nothing of this program's environment.
    """
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**variables, "HOME": str(paths.HOME), "PATH": search_path},
        user=paths.USER,
        group=paths.USER,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Among the lines, for whatever it says when it can't even begin.
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
