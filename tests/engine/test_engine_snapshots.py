"""The last snapshot of a database never stands in the way of the next one's."""

import json
import subprocess
import sys
from pathlib import Path

from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from tests.engine.engine_stack import ROOT
from tests.fresh_environment import run
from tests.plan.lab_api_server import ApiServer

PROGRAM = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi_aws as aws
from components import Database, Network

network = Network("net", {{}})
Database(
    "db", {{"vpc_id": network.vpc_id, "subnet_ids": network.private_subnet_ids, "deletion_protection": False}}
)
"""


def test_a_database_that_was_replaced_is_destroyed_with_its_stack(pulumi: Cli, api: ApiServer, tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "program"
    home.prepare(api.endpoint)
    folder.mkdir()
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}}
    (folder / "Pulumi.yaml").write_text(json.dumps({"name": "snapshots", "runtime": runtime}))
    (folder / "__main__.py").write_text(PROGRAM)

    def cli(*words: str) -> subprocess.CompletedProcess[str]:
        done = run(pulumi.path, *words, "--non-interactive", cwd=folder, **home.environment(pulumi))
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    cli("stack", "init", "dev")
    cli("config", "set", "aws:region", "us-east-1")
    cli("up", "--yes", "--skip-preview")
    cli("up", "--yes", "--skip-preview", "--replace", "**::db-instance")
    cli("destroy", "--yes", "--skip-preview")
    taken = {
        each["DBInstanceIdentifier"]: each["DBSnapshotIdentifier"]
        for each in api.client("rds").describe_db_snapshots()["DBSnapshots"]
    }
    assert len(taken) == 2, "the replaced one's, and its successor's"
    assert len(set(taken.values())) == 2
