"""What `lab up` settled for one lab, written down for its controller and for the other commands."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import paths


@dataclass(frozen=True)
class LabConfig:
    """`images` maps AMI ids to the layers of their root, topmost first; `services` does so for the lab's own images."""

    api_port: int
    region: str
    images: dict[str, list[str]]
    services: dict[str, list[str]]
    core_per_vcpu: float | None = None
    """How much of one of the host's cores each vCPU of a machine's type is; None: machines share all of them."""

    @property
    def endpoint(self) -> str:
        """Where the API answers on this host."""
        return f"http://127.0.0.1:{self.api_port}"


def write(config: LabConfig, state: Path = paths.STATE) -> None:
    """Keep `config` for as long as the lab is there."""
    (state / "lab.json").write_text(json.dumps(asdict(config)))


def read(state: Path = paths.STATE) -> LabConfig | None:
    """The configuration of the lab that is there, or None."""
    try:
        return LabConfig(**json.loads((state / "lab.json").read_text()))
    except FileNotFoundError:
        return None
