"""An app's routes, as Express lists them: the built app is started as on a server, and ended where it would listen."""

import contextlib
import json
import os
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from . import runtime
from .build import build
from .npm import Node
from .problems import BuildError
from .start import Start

SECONDS: Final = 20
_HOOK = Path(__file__).with_name("routes.cjs")
# Nobody is there: routes that an app has only with a database are listed, and nothing is asked.
_ENVIRONMENT = {
    "NODE_ENV": "production",
    "HOST": "127.0.0.1",
    "PORT": "3000",
    "RELEASE_ID": "routes",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
    "DATABASE_REPLICA_URLS": "",
    "DATABASE_READER_URL": "",
    "REDIS_URL": "redis://127.0.0.1:1",
}


@dataclass(frozen=True)
class Route:
    """One of an app."""

    method: str
    path: str
    """As Express has it, such as `/items/:id`."""


def listed(path: Path, node: int, arch: str, cache: Path, progress: Callable[[str], None]) -> list[Route]:
    """The routes of the app in `path`, with those of its routers. Runs the app's own code, on this machine.

    It gets none of this process' environment, so no credentials. BuildError when it lists nothing; AppError.
    """
    artifact = build(path, node, arch, cache, progress)
    tools = runtime.tools(node, cache, progress)
    with tempfile.TemporaryDirectory(prefix="expressway-routes-") as name:
        folder = Path(name)
        with tarfile.open(artifact.path) as archive:
            archive.extractall(folder, filter="data")
        return _run(_command(artifact.start, tools), folder / "app", tools, folder / "routes.json")


def _command(start: Start, tools: Node) -> list[str]:
    if start.script is None:
        return [*tools.npm, "run", start.npm_script or "start"]
    return [tools.npm[0], start.script, *start.args]


def _run(words: list[str], app: Path, tools: Node, result: Path) -> list[Route]:
    path = f"{tools.root / 'bin'}{os.pathsep}{os.defpath}"
    own = {"PATH": path, "HOME": str(app), "NODE_OPTIONS": f"--require={_HOOK}", "EXPRESSWAY_ROUTES": str(result)}
    process = subprocess.Popen(
        words,
        cwd=app,
        env={**_ENVIRONMENT, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    said = ""
    try:
        _, said = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        said = f"it did not begin to listen in {SECONDS} s"
    finally:
        # With what it started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if not result.exists():
        lines = said.strip().splitlines() or ["it does not say why"]
        raise BuildError(f"no Express app began to listen: {lines[-1]}")
    return [Route(each["method"], each["path"]) for each in json.loads(result.read_text())]
