"""An example of examples/ under the real engine: copied, so that nothing is left in the clone."""

import json
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from tests.fresh_environment import ROOT, build_wheel, install, make_environment, run

STACK = "dev"
SKIPPED = shutil.ignore_patterns("node_modules", ".venv", "sdks", "bin", "__pycache__")


def need_language(pulumi: Cli, language: str) -> None:
    """A release of the CLI has every language host beside it; one from elsewhere may not."""
    host = f"pulumi-language-{language}"
    if not (pulumi.path.parent / host).exists() and shutil.which(host) is None:
        pytest.skip(f"there is no {host} beside {pulumi.path}")


class Clone:
    """Copies of examples in `folder`, as in a clone. They share one home, so that a stack can refer to another."""

    def __init__(self, folder: Path, home: Home, pulumi: Cli) -> None:
        for room in ("components", "user_data"):
            shutil.copytree(ROOT / room, folder / room, ignore=SKIPPED)
        self._folder, self._home, self._pulumi = folder, home, pulumi

    def copy(self, name: str) -> "Example":
        """The example of that name."""
        return Example(name, self._folder, self._home, self._pulumi)


def environment_with_wheel(folder: Path) -> Path:
    """Its interpreter."""
    made = make_environment(folder / "venv")
    install(made, build_wheel(folder))
    return made


class Example:
    """One example's folder in `folder`, and its stack `dev` in the backend of `home`."""

    def __init__(self, name: str, folder: Path, home: Home, pulumi: Cli) -> None:
        self.folder = Path(shutil.copytree(ROOT / "examples" / name, folder / "examples" / name, ignore=SKIPPED))
        self._pulumi = pulumi.path
        self._environment = home.environment(pulumi)
        # node and npm are this clone's: none has to be installed.
        self._environment["PATH"] += f"{os.pathsep}{Path(sys.executable).parent}"

    def use_python(self, python: Path) -> None:
        """Instead of the environment that `pulumi install` would make."""
        path = self.folder / "Pulumi.yaml"
        project = yaml.safe_load(path.read_text())
        project["runtime"]["options"]["virtualenv"] = str(python.parents[1])
        path.write_text(yaml.safe_dump(project))

    def config(self, **values: str) -> None:
        """Make the stack with these settings."""
        self.pulumi("stack", "init", STACK)
        for name, value in values.items():
            self.pulumi("config", "set", name, value)

    def pulumi(self, *words: str, fails: bool = False) -> str:
        """A command of the CLI: all that it said."""
        done = run(self._pulumi, *words, "--non-interactive", cwd=self.folder, **self._environment)
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        return said

    @contextmanager
    def up(self) -> Generator[dict[str, str]]:
        """The stack's outputs while it is up, and a second `up` that changes nothing."""
        try:
            self.pulumi("up", "--yes", "--skip-preview", f"--stack={STACK}")
            again = self.pulumi("up", "--yes", "--skip-preview", f"--stack={STACK}")
            assert "changed" not in again.replace("unchanged", ""), again
            yield json.loads(self.pulumi("stack", "output", "--json", f"--stack={STACK}"))
        finally:
            self.pulumi("destroy", "--yes", "--skip-preview", f"--stack={STACK}")
