"""How the tests use the lab: through its command line, as a user does."""

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import requests

from tests.paths import ROOT

UP_SECONDS = 600
"""Images may have to be made first."""
TIMED_OUT = 124
"""Exit status of timeout(1)."""


def expressway(*arguments: str, seconds: float = 180) -> subprocess.CompletedProcess[str]:
    """Run the command line; its output and exit status."""
    return subprocess.run(
        [str(ROOT / "expressway"), *arguments], capture_output=True, text=True, check=False, timeout=seconds
    )


def up(*arguments: str, engine: str = "mocks") -> "Stack":
    """Bring the lab up. The assertion shows what it said when that fails.

    What a test sees must not depend on whether this machine has a Pulumi CLI, so the engine is always said.
    """
    done = expressway("lab", "up", "--json", "--engine", engine, *arguments, seconds=UP_SECONDS)
    assert done.returncode == 0, f"lab up failed:\n{done.stdout}\n{done.stderr}"
    return Stack(json.loads(done.stdout), done.stderr)


@dataclass
class Stack:
    """A lab that is up."""

    status: dict[str, Any]
    said: str = ""
    """What `lab up` told people."""

    @property
    def url(self) -> str:
        """The edge, as clients see it."""
        return self.status["url"]

    def machines(self, tier: str) -> list[dict[str, Any]]:
        """The machines of `tier`."""
        found = [machine for machine in self.status["machines"] if machine["tier"] == tier]
        assert found, f"there is no {tier} machine in {self.status['machines']}"
        return found

    def refresh(self) -> None:
        """Look again."""
        done = expressway("lab", "status", "--json")
        assert done.returncode == 0, done.stderr
        self.status = json.loads(done.stdout)

    def await_machines(self, count: int, seconds: float = 180) -> None:
        """Wait until there are `count` machines."""
        deadline = time.monotonic() + seconds
        while len(self.status["machines"]) != count and time.monotonic() < deadline:
            time.sleep(0.5)
            self.refresh()
        assert len(self.status["machines"]) == count, self.status["machines"]

    def shell(self, machine: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside a machine (id or tier)."""
        return expressway("lab", "shell", machine, "--", *command)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        """GET through the edge on a connection of its own."""
        return self.request("GET", path, **arguments)

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """One request through the edge on a connection of its own, past any proxy."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, timeout=10, **arguments)

    def reaches(self, machine: str, address: str, port: int) -> bool:
        """Whether packets from inside `machine` get there: an answer within 2 s, be it a refusal. Dropped get none."""
        done = self.shell(machine, "timeout", "2", "bash", "-c", f"</dev/tcp/{address}/{port}")
        return done.returncode != TIMED_OUT
