"""The short forms of `make prove` and `make prove-bottlenecks`, as these run them, in the lab of test_stack.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import config
from lab.aws import Aws
from tests.lab.in_place import Releases
from tests.lab.stack import Stack
from tests.paths import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SECONDS = 420
"""Three minutes on a machine that does nothing else."""
PLANT = "few-edge-connections"
"""Its limit is far below two shared CPUs', and the same for any number of app servers."""


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


def test_a_planted_bottleneck_is_named(stack: Stack, tmp_path: Path) -> None:
    """In two steps of load.

    The other plants are in no test: they, and this one in full, are `make prove-bottlenecks`, which takes 25 minutes on
    a machine that does nothing else, and whose last result is in docs/bottlenecks.md.
    """
    lab = config.read()
    assert lab
    releases = Releases(Aws(lab.endpoint, lab.region))
    stack.refresh()  # the proof has ended machines, and begun others
    machines = [machine["id"] for machine in stack.machines("app")]
    before, file = releases.pointer, tmp_path / "bottlenecks.json"
    planted = releases.upload(ROOT / "tests/fixtures/apps/bottlenecks")
    try:
        reports = releases.put(planted, *machines)
        assert [report["state"] for report in reports] == ["ready"] * len(machines), reports
        done = subprocess.run(
            [sys.executable, "-m", "lab.bottlenecks", "--short", "--here", "--only", PLANT, "--json", file],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=SECONDS,
        )
    finally:
        releases.put(before, *machines)
    assert done.returncode in (0, 1), f"it could not be run:\n{done.stdout}\n{done.stderr}"
    (row,) = json.loads(file.read_text())["plants"]
    assert (row["name"], row["passed"]) == (PLANT, True), done.stderr
