"""Which stack a day-2 command works on: one on AWS by name or by its exported outputs, or the lab that is up."""

import json
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.console import fail, refuse
from operate.stack import Stack, StackError, explain

if TYPE_CHECKING:
    from artifact import App, Artifact

LAB_BAKE_SECONDS = 5.0
"""There the load is one's own, and an edge reports every 2 s."""


@dataclass(frozen=True)
class Target:
    """A stack, and what is known of it here."""

    name: str
    stack: Stack
    app: Path | None
    """The folder of its app."""
    bake: float | None = None
    """How long a first machine bakes, where that isn't the usual time."""
    apps: dict[str, dict[str, Any]] | None = None
    """Of the lab: what is known of the apps that were built for it here, by release."""

    @property
    def in_lab(self) -> bool:
        """Whether it is the lab, whose machines are this host's."""
        return self.apps is not None

    def describe(self, app: "App", built: "Artifact") -> None:
        """Remember what a release is made of."""
        if self.apps is not None:
            self.apps[built.release_id] = {
                "path": str(app.path),
                "name": app.name,
                "version": app.version,
                "release": built.release_id,
                "mode": built.start.mode,
                "reason": built.start.reason,
            }

    def deployed(self, release: str) -> None:
        """Have `lab status` show what runs now."""
        if self.apps is not None:
            from lab import status

            status.deployed(release, self.apps.get(release))


def find(name: str | None, outputs: Path | None) -> Target:
    """The stack that the options name. Ends the program, with the mend, when there is none or it isn't reached."""
    with explained():
        if outputs is not None:
            target = Target(outputs.name, _on_aws(_read(outputs)), None)
        elif name is not None:
            target = Target(name, _on_aws(_exported(name)), _app_of(name))
        else:
            target = _lab()
        target.stack.check()
    return target


@contextmanager
def explained() -> Generator[None]:
    """End the program with one line when AWS, or the stack, is the problem."""
    from botocore.exceptions import BotoCoreError, ClientError

    from operate.releases import ReleaseError

    try:
        yield
    except (StackError, ReleaseError) as error:
        fail(str(error))
    except (ClientError, BotoCoreError) as error:
        fail(explain(error))


@contextmanager
def told(interrupted: str, failed: type[Exception], refused: tuple[type[Exception], ...] = ()) -> Generator[None]:
    """End the program with one line also for what the command's own work raises, and when whoever waits gives up.

    `refused` is what other arguments would mend, `interrupted` how it then is.
    """
    with explained():
        try:
            yield
        except refused as error:
            refuse(str(error))
        except failed as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail(f"interrupted: {interrupted}")


def _on_aws(outputs: Mapping[str, Any]) -> Stack:
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        return Stack.of(outputs, boto3.Session())
    except ProfileNotFound as error:
        fail(f"{error}: set AWS_PROFILE to one of ~/.aws/config")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_text())
    except OSError as error:
        refuse(f"{path}: {error.strerror}: write the outputs there with pulumi stack output --json")
    except ValueError as error:
        refuse(f"{path}: these are no stack's outputs ({error}): write them with pulumi stack output --json")
    if not isinstance(told, dict):
        refuse(f"{path}: these are no stack's outputs: write them with pulumi stack output --json")
    return told


def _exported(name: str) -> Mapping[str, Any]:
    command = ["pulumi", "stack", "output", "--json", "--non-interactive", "--stack", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        refuse(f"--stack {name} takes a Pulumi CLI on PATH; without one, name a file of outputs: --outputs FILE")
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        refuse(f"the Pulumi CLI has no outputs of a stack {name}: {said[-1] if said else 'it does not say why'}")
    try:
        return json.loads(done.stdout or "{}")
    except ValueError:
        refuse(f"the Pulumi CLI did not answer with outputs in JSON: run {' '.join(command)} to see what it says")


def _app_of(name: str) -> Path | None:
    import settings

    path = Path(f"Pulumi.{name}.yaml")
    if not path.is_file():
        return None
    try:
        return settings.from_file(path).app.path
    except settings.SettingsError as error:
        refuse(str(error))


def _lab() -> Target:
    if not find_spec("lab"):
        refuse("name a stack: --stack NAME, or --outputs FILE")
    if (target := find_lab()) is None:
        refuse("there is no lab here: start one with make up, or name a stack: --stack NAME, or --outputs FILE")
    return target


def find_lab() -> Target | None:
    """The lab that is up here, if there is one."""
    import boto3

    if not find_spec("lab"):
        return None
    from lab import config, status
    from lab.aws import ACCOUNT_CREDENTIALS

    record, lab = status.read(), config.read()
    if record is None or lab is None or record.phase != "up":
        return None
    session = boto3.Session(region_name=lab.region, **ACCOUNT_CREDENTIALS)
    stack = Stack.of(record.outputs, session, lab.endpoint)
    app = Path(record.app["path"]) if record.app else None
    return Target("lab", stack, app, LAB_BAKE_SECONDS, {})
