"""What `expressway lab` shows."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from lab import status
from lab.status import Record

OF_NO_APP = Record("up", "http://198.51.100.3", {}, {}, {}, [])


def test_a_lab_of_which_no_app_is_known_shows_its_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {"id": "i-1", "tier": "edge", "address": "10.20.0.4", "state": "ready", "boot_seconds": 3.2}
    monkeypatch.setattr(status, "read", lambda: OF_NO_APP)
    monkeypatch.setattr(status, "machines", lambda: [machine])
    monkeypatch.setattr(status, "works", lambda: True)
    shown = CliRunner().invoke(app, ["lab", "status"])
    assert shown.exit_code == 0, shown.exception
    assert "i-1" in shown.output
    assert "app:" not in shown.output


def test_a_release_that_was_made_elsewhere_is_written_down_also_where_no_app_is_known(tmp_path: Path) -> None:
    status.write(OF_NO_APP, tmp_path)
    status.deployed("r2", state=tmp_path)
    kept = status.read(tmp_path)
    assert kept is not None
    assert kept.app == {}, "a release by itself doesn't say what runs"


@pytest.mark.parametrize("given", ["0", "0.01", "1.5", "-1"])
def test_a_vcpu_that_is_no_part_of_a_core_is_refused_with_one_line(given: str) -> None:
    done = CliRunner().invoke(app, ["lab", "up", "--core-per-vcpu", given])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: --core-per-vcpu {float(given):g}: it must be 0.05 to 1")
