"""Give the app's workers another environment, one after the other, through PM2."""

import contextlib
import fcntl
import json
import subprocess
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from . import paths

PROGRAM = Path(__file__).resolve().parent.parent / "reload.cjs"
TIMEOUT = 600
"""Seconds for all workers: each may take 10 to start and 12 to finish its requests."""


@contextlib.contextmanager
def alone() -> Generator[None]:
    """While this holds, nobody else on this machine reloads workers: a deploy and a secret that changes take turns."""
    paths.RELOADING.parent.mkdir(mode=0o755, exist_ok=True)
    with paths.RELOADING.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class ReloadError(Exception):
    """Not every worker has the new environment; the message says which, and why."""


def workers(variables: Mapping[str, str], app: Mapping[str, Any], runtime: Path | None = None) -> None:
    """Reload every worker with `variables`; ReloadError when one doesn't come up, and those after it are left alone.

    In cluster mode a worker goes only when the one in its place has started, so that nothing is refused meanwhile; the
    single process of an app in fork mode is stopped and started.
    """
    runtime = runtime or paths.RUNTIMES / "current"
    order = {"env": variables, "port": app["port"], "readinessPath": app["readiness_path"]}
    # The variables go through a pipe: what is in an argument, anybody on the machine may read.
    try:
        done = subprocess.run(
            [str(runtime / "bin/node"), str(PROGRAM), str(runtime / "lib/node_modules/pm2")],
            input=json.dumps(order),
            env={"PM2_HOME": str(paths.PM2_HOME), "HOME": str(paths.HOME), "PATH": f"{runtime}/bin:/usr/bin:/bin"},
            cwd="/",
            user=paths.USER,
            group=paths.USER,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReloadError(f"PM2 can't be asked: {type(error).__name__}") from error
    if done.returncode != 0:
        raise ReloadError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "PM2 gave no reason")
