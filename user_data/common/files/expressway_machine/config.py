"""What the stack told this machine. No secrets are in it: those are fetched by name."""

import json
from pathlib import Path
from typing import Any

PATH = Path("/etc/expressway/machine.json")

Machine = dict[str, Any]


def load(path: Path = PATH) -> Machine:
    """Read machine.json. OSError when it isn't there, ValueError when it isn't a JSON object."""
    machine = json.loads(path.read_text())
    if not isinstance(machine, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return machine
