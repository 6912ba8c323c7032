"""`make golden-state`: the state that this release leaves, kept so that the next ones are tested on it.

Random names and ids are what they were, and its secrets are the lab's, encrypted with a passphrase that everyone knows.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from components import __version__
from lab.engine import pulumi_cli
from lab.engine.pulumi_cli import Cli
from tests.engine.engine_stack import ARCH, NODE, ROOT, EngineStack
from tests.plan.built_artifacts import fill
from tests.plan.lab_api_server import running_api

STATES = ROOT / "tests" / "fixtures" / "states"
_PASSPHRASE = "golden"
_PLACES = ("sourcePosition", "stackTrace", "created", "modified")


def stack_of(pulumi: Cli, endpoint: str, directory: Path) -> EngineStack:
    """A stack that can read golden states."""
    stack = EngineStack(pulumi, endpoint, directory)
    stack.home.passphrase.write_text(_PASSPHRASE)
    stack.configure()
    return stack


def main() -> None:
    """Write it."""
    with tempfile.TemporaryDirectory(prefix="expressway-golden-") as directory:
        cache = Path(directory, "cache")
        cache.mkdir()
        fill(cache, ROOT / "app", NODE, ARCH)
        os.environ["EXPRESSWAY_CACHE"] = str(cache)
        with running_api(Path(directory)) as api:
            stack = stack_of(pulumi_cli.find(), api.endpoint, Path(directory, "pulumi"))
            stack.up()
            state = json.loads(stack.cli("stack", "export"))
    STATES.mkdir(parents=True, exist_ok=True)
    file = STATES / f"{__version__}.json"
    file.write_text(json.dumps(_portable(state), indent=1) + "\n")
    print(f"{file.relative_to(ROOT)}: {len(state['deployment']['resources'])} resources")


def _portable(value: Any) -> Any:
    """Without what is of this machine: the program's place, the time, where the archives are."""
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "hash" in value and "path" in value:
        return {**value, "path": Path(value["path"]).name}
    return {key: _portable(item) for key, item in value.items() if key not in _PLACES}


if __name__ == "__main__":
    main()
