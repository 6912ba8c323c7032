"""The proof's short form, as `make prove` runs it, in the lab of test_stack.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SECONDS = 420
"""Three minutes on a machine that does nothing else."""


@pytest.mark.usefixtures("stack")
def test_no_request_is_lost_in_the_short_form_of_the_proof(tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    done = subprocess.run(
        [sys.executable, "-m", "lab.prove", "--short", "--here", "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=SECONDS,
    )
    assert done.returncode in (0, 1), f"it could not be run:\n{done.stdout}\n{done.stderr}"
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in json.loads(file.read_text())["scenarios"]}
    assert {"scale", "membership", "deploy-in-place", "reconciler-killed", "routes", "api"} <= rows.keys()
    assert [row for row in rows.values() if not row["passed"]] == [], done.stderr
    assert all(row["requests"] > 1000 for row in rows.values()), "each under load"
