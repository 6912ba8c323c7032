"""What the engine's stack of the lab is configured with."""

from pathlib import Path

import pytest
import yaml

from lab.engine import apply
from lab.engine.home import Home


def test_a_command_of_the_cli_sees_the_settings_as_they_are_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, configuration = Home(tmp_path / "home"), tmp_path / "Pulumi.lab.yaml"
    home.project.mkdir(parents=True)
    monkeypatch.setattr(apply, "HOME", home)
    monkeypatch.setattr(apply, "CONFIGURATION", configuration)
    monkeypatch.setattr(apply, "OVERRIDES", tmp_path / "overrides.json")
    apply.OVERRIDES.write_text('["expressway:app.port=8080"]')

    configuration.write_text("config:\n  expressway:app:\n    minSize: 3\n")
    apply.configure()
    written = home.project / "Pulumi.lab.yaml"
    app = yaml.safe_load(written.read_text())["config"]["expressway:app"]
    assert (app["minSize"], app["port"]) == (3, 8080), "the file's, and what `lab up` was told on top"
