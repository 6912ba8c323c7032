"""Applying the program to the lab's API: by the real engine, or under the SDK's mock monitor, which can only create."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lab import paths
from lab.aws import Aws
from lab.config import LabConfig
from lab.engine import pulumi_cli, stack_config
from lab.engine.home import Home
from lab.engine.stack import STACK, EngineError, LabStack, Result

CONFIGURATION: Final = paths.ROOT / "Pulumi.lab.yaml"
HOME: Final = Home(paths.STATE / "pulumi")
OVERRIDES: Final = HOME.directory / "overrides.json"

Detail = Callable[[str], None]
"""Shows what is being done right now."""


class ApplyError(Exception):
    """The program, the engine or the API refused: the message says what."""


def by_engine(found: pulumi_cli.Cli, overrides: Sequence[str], lab: LabConfig, detail: Detail) -> Result:
    """Make the lab what the program says, from whatever it is."""

    try:
        return open_stack(found, overrides, lab).up(lambda change: detail(f"{change.operation} {change.name}"))
    except EngineError as error:
        raise ApplyError(f"pulumi up failed:\n{error}") from error


def open_stack(found: pulumi_cli.Cli, overrides: Sequence[str], lab: LabConfig) -> LabStack:
    """The engine's stack of the lab that is up."""
    HOME.prepare(lab.endpoint)
    OVERRIDES.write_text(json.dumps(list(overrides)))
    values = stack_config.load(paths.ROOT, CONFIGURATION, overrides)
    return LabStack(found, HOME, values, Aws(lab.endpoint, lab.region))


def configure() -> None:
    """Give the stack what Pulumi.lab.yaml says now, with what the last `lab up` was told on top. ConfigError."""
    HOME.configure(STACK, stack_config.load(paths.ROOT, CONFIGURATION, json.loads(OVERRIDES.read_text())))


def by_mocks(overrides: Sequence[str], lab: LabConfig, detail: Detail) -> Mapping[str, Any]:
    """Create everything in an empty lab; the stack's outputs."""
    written = paths.STATE / "outputs.json"
    command = [
        *(sys.executable, "-m", "lab.engine.mocks", "--stack", "lab", "--config", str(CONFIGURATION), "--json"),
        *("--endpoint", lab.endpoint, "--outputs", str(written)),
    ]
    for override in overrides:
        command += ["--set", override]
    log = paths.STATE / "log" / "apply.log"
    message = ""
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=paths.ROOT) as program,
    ):
        count = 0
        for line in program.stdout or ():
            event = json.loads(line)
            match event["event"]:
                case "resource":
                    detail(f"{(count := count + 1)} {event['name']}")
                case "error":
                    message = event["message"]
                case _:
                    pass
    if program.returncode:
        raise ApplyError(f"the program failed:\n{message or log.read_text().strip()}")
    return json.loads(written.read_text())
