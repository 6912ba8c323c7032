"""The project's stack under the real engine, as the lab drives it, for tests."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from lab.engine.cli import Cli
from lab.engine.home import Home
from lab.engine.stack import LabStack, Result
from lab.provider import config

ROOT = Path(__file__).resolve().parents[2]


class EngineStack:
    """One stack in a home of its own. Settings are `key=value`, on top of Pulumi.lab.yaml."""

    def __init__(self, pulumi: Cli, endpoint: str, directory: Path) -> None:
        self.home = Home(directory)
        self._pulumi = pulumi
        self.home.prepare(endpoint)
        self.seen: dict[str, set[str]] = {}

    def up(self, *settings: str) -> Result:
        """`pulumi up`."""
        return self._stack(settings).up(self._hear())

    def preview(self, *settings: str) -> dict[str, set[str]]:
        """`pulumi preview`: the names of the resources that would change, by what would be done."""
        self._stack(settings).preview(self._hear())
        return self.seen

    def refresh(self) -> Any:
        """`pulumi refresh`."""
        return self._stack(()).refresh(self._hear())

    def destroy(self) -> Any:
        """`pulumi destroy`."""
        return self._stack(()).destroy(self._hear())

    def state_text(self) -> str:
        """All that the backend has on disk."""
        return "\n".join(path.read_text() for path in self.home.state.rglob("*") if path.is_file())

    def _stack(self, settings: tuple[str, ...]) -> LabStack:
        return LabStack(self._pulumi, self.home, config.load(ROOT, ROOT / "Pulumi.lab.yaml", settings))

    def _hear(self) -> Any:
        self.seen = defaultdict(set)

        def heard(operation: str, urn: str) -> None:
            if "::pulumi:pulumi:Stack::" not in urn:
                self.seen[operation].add(urn.rpartition("::")[2])

        return heard
