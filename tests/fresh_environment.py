"""A Python environment with the wheel of this clone, and nothing of the clone on its path."""

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

UV = str(Path(sys.executable).with_name("uv"))


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that knows nothing of the environment it is started from."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= {"UV_SYSTEM_CERTS": "1", **variables}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def uv(*words: str | Path) -> None:
    """A command of uv that has to work."""
    done = run(UV, *words)
    assert done.returncode == 0, done.stderr


def build_wheel(folder: Path) -> Path:
    """As `uv build` makes it."""
    uv("build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", folder)
    return next(folder.glob("*.whl"))


def make_environment(folder: Path) -> Path:
    """Empty; its interpreter."""
    uv("venv", "--quiet", "--seed", "--python", sys.executable, folder)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """At the locked versions."""
    uv("pip", "install", "--quiet", "--python", python, "--constraints", ROOT / "requirements.txt", *what)
