"""Give the app's workers another environment through PM2."""

import contextlib
import fcntl
import json
import subprocess
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from . import paths, pm2_client

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


def workers(
    variables: Mapping[str, str], app: Mapping[str, Any], runtime: Path | None = None, *, parallel: int = 1
) -> None:
    """Reload every worker with `variables`; ReloadError when one doesn't come up, and those after it are left alone.

    `parallel` of them go at a time, one by default. In cluster mode a worker goes only when the one in its place has
    started, so that nothing is refused meanwhile; the single process of an app in fork mode is stopped and started.
    """
    order = {"env": variables, "port": app["port"], "readinessPath": app["readiness_path"], "parallel": parallel}
    try:
        done = pm2_client.run("reload.cjs", stdin=json.dumps(order), runtime=runtime, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReloadError(f"PM2 can't be asked: {type(error).__name__}") from error
    if done.returncode != 0:
        raise ReloadError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "PM2 gave no reason")
