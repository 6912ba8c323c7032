"""Ask the PM2 that runs on this machine, with a program of ours on its own Node and as its user."""

import subprocess
from pathlib import Path

from . import paths

PROGRAMS = Path(__file__).resolve().parent.parent


def run(
    program: str, *arguments: str, stdin: str | None = None, runtime: Path | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `program`, which gets the path of PM2's module and then `arguments`.

    What is secret goes into `stdin`, which is a pipe: what is in an argument, anybody on the machine may read. Raises
    OSError and TimeoutExpired as subprocess.run does.
    """
    runtime = runtime or paths.RUNTIMES / "current"
    return subprocess.run(
        [str(runtime / "bin/node"), str(PROGRAMS / program), str(runtime / "lib/node_modules/pm2"), *arguments],
        input=stdin,
        env={"PM2_HOME": str(paths.PM2_HOME), "HOME": str(paths.HOME), "PATH": f"{runtime}/bin:/usr/bin:/bin"},
        cwd="/",
        user=paths.USER,
        group=paths.USER,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
