"""The project's stack under the real engine, as the lab drives it, for tests."""

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from lab.aws import Aws
from lab.engine import stack_config
from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from lab.engine.stack import PARALLEL, STACK, Change, LabStack, Result
from tests.paths import ROOT

NODE, ARCH = 24, "x64"
"""What the lab's settings ask for."""
OTHER_NODE = 26
"""What they could ask for."""


class EngineStack:
    """One stack in a home of its own. Settings are `key=value`, on top of Pulumi.lab.yaml."""

    def __init__(self, pulumi: Cli, endpoint: str, directory: Path) -> None:
        self.home = Home(directory)
        self._pulumi = pulumi
        self._aws = Aws(endpoint, "us-east-1")
        self.home.prepare(endpoint)
        self.seen: dict[str, set[str]] = {}
        self.seen_types: dict[str, set[str]] = {}

    def up(self, *settings: str) -> Result:
        """`pulumi up`."""
        return self._stack(settings).up(self._hear())

    def preview(self, *settings: str) -> dict[str, set[str]]:
        """`pulumi preview`: the names of the resources that would change, by what would be done."""
        self._stack(settings).preview(self._hear())
        return self.seen

    def plan(self) -> Mapping[str, int]:
        """`pulumi preview`: how many resources there would be, by what would be done."""
        return self._stack(()).preview()

    def refresh(self) -> Any:
        """`pulumi refresh`."""
        return self._stack(()).refresh(self._hear())

    def destroy(self) -> Any:
        """`pulumi destroy`."""
        return self._stack(()).destroy(self._hear())

    def configure(self, *settings: str) -> None:
        """For what the CLI is asked next."""
        self._stack(settings)

    def recover(self) -> None:
        """What `up` and `destroy` do first."""
        self._stack(()).recover()

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """A command of the CLI on this stack that changes or previews it, to be killed."""
        self._stack(())  # makes the stack when there is none
        return subprocess.Popen(
            [self._pulumi.path, *words, f"--parallel={PARALLEL}", f"--stack={STACK}"],
            cwd=self.home.project,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def cli(self, *words: str) -> str:
        """A command of the CLI on this stack: all that it says, on either stream."""
        done = subprocess.run(
            [self._pulumi.path, *words, f"--stack={STACK}"],
            cwd=self.home.project,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def environment(self) -> dict[str, str]:
        """What a `pulumi` of this stack is started with."""
        return {**os.environ, **self.home.environment(self._pulumi)}

    def state_text(self) -> str:
        """All that the backend has on disk."""
        return "\n".join(path.read_text() for path in self.home.state.rglob("*") if path.is_file())

    def _stack(self, settings: tuple[str, ...]) -> LabStack:
        return LabStack(self._pulumi, self.home, stack_config.load(ROOT, ROOT / "Pulumi.lab.yaml", settings), self._aws)

    def _hear(self) -> Any:
        self.seen, self.seen_types = defaultdict(set), defaultdict(set)

        def heard(change: Change) -> None:
            kind = change.urn.split("::")[2].rpartition("$")[2]
            if kind != "pulumi:pulumi:Stack":
                self.seen[change.operation].add(change.name)
                self.seen_types[change.operation].add(kind)

        return heard


def kill(process: subprocess.Popen[bytes]) -> None:
    """The engine and all that it started, as a power cut would: plugins are in process groups of their own."""
    everyone = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    end(everyone)
    process.wait()


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill those of them that are still there."""
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(processes)
