"""A PULUMI_HOME, a backend and a project that belong to the lab. The user's own are never touched.

The project is the repository's, with the lab's provider for `aws`: its folder holds the stack's configuration with all
that `lab up` was told on top, and `main` leads the engine back to the program.
"""

import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from lab.engine.pulumi_cli import Cli
from lab.paths import ROOT


@dataclass(frozen=True)
class Home:
    """Where the engine finds everything, below `directory`."""

    directory: Path

    @property
    def project(self) -> Path:
        """The folder of Pulumi.yaml and the stack's configuration."""
        return self.directory / "project"

    @property
    def state(self) -> Path:
        """The file backend's folder."""
        return self.directory / "state"

    @property
    def passphrase(self) -> Path:
        """The file with the passphrase that the state's secrets are encrypted with."""
        return self.directory / "passphrase"

    @property
    def pulumi_home(self) -> Path:
        """PULUMI_HOME: plugins, and which backend is in use."""
        return self.directory / "home"

    def environment(self, cli: Cli) -> dict[str, str]:
        """What a `pulumi` needs to know to be the lab's."""
        return {
            "PATH": f"{cli.path.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PULUMI_HOME": str(self.pulumi_home),
            # Without files for metadata: they are not written in one step, and a kill at that moment spoils the state.
            "PULUMI_BACKEND_URL": f"{self.state.as_uri()}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # Another provider than the lab's must not come in unseen.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def prepare(self, endpoint: str) -> None:
        """Make the home, or bring it up to date; state and passphrase stay what they are."""
        for folder in (self.project, self.state):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.passphrase.exists():
            self.passphrase.touch(mode=0o600)
            self.passphrase.write_text(secrets.token_urlsafe(32))
        self._install_plugin(endpoint)
        self._write_project()

    def configure(self, stack: str, values: Mapping[str, Any]) -> None:
        """Give `stack` these settings, by full key; what the engine keeps in the same file stays."""
        path = self.project / f"Pulumi.{stack}.yaml"
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**(kept or {}), "config": dict(values)}, sort_keys=False))

    def _install_plugin(self, endpoint: str) -> None:
        # As `pulumi plugin install` leaves it: the version is what the installed SDK asks for.
        folder = self.pulumi_home / "plugins" / f"resource-aws-v{version('pulumi-aws')}"
        folder.mkdir(parents=True, exist_ok=True)
        plugin = folder / "pulumi-resource-aws"
        plugin.write_text(
            "#!/bin/sh\n"
            f"PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -P -m lab.provider.server "
            f'--endpoint {shlex.quote(endpoint)} "$@"\n'
        )
        plugin.chmod(0o755)

    def _write_project(self) -> None:
        project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        project["main"] = str(ROOT)
        project["runtime"]["options"]["virtualenv"] = sys.prefix
        (self.project / "Pulumi.yaml").write_text(json.dumps(project, indent=2))  # JSON is YAML
