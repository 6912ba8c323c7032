"""A database that is replaced leaves its data in a last snapshot, and its name and replicas to its successor."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from tests.engine.engine_stack import ROOT
from tests.fresh_environment import run
from tests.plan.lab_api_server import ApiServer

PROGRAM = f"""
import sys

sys.path.insert(0, {str(ROOT)!r})
import pulumi
from components import Database, Network

network = Network("net", {{}})
Database(
    "db",
    {{
        "vpc_id": network.vpc_id,
        "subnet_ids": network.private_subnet_ids,
        "deletion_protection": False,
        "database_name": pulumi.Config().require("name"),
        "replicas": 1,
    }},
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

    def up(*words: str) -> tuple[Any, Any]:
        """The database then, and its replica."""
        cli("up", "--yes", "--skip-preview", *words)
        there = api.client("rds").describe_db_instances()["DBInstances"]
        database, replica = sorted(there, key=lambda each: "ReadReplicaSourceDBInstanceIdentifier" in each)
        return database, replica

    cli("stack", "init", "dev")
    cli("config", "set", "aws:region", "us-east-1")
    cli("config", "set", "name", "app")
    first = up()
    assert up("--expect-no-changes") == first, "each run draws another name for the last snapshot"
    second = up("--replace", "**::db-instance")
    cli("config", "set", "name", "other")
    third = up()

    assert len({database["DbiResourceId"] for database, _ in (first, second, third)}) == 3
    assert len({database["DBInstanceIdentifier"] for database, _ in (first, second, third)}) == 1
    for database, replica in (first, second, third):
        assert replica["ReadReplicaSourceDBInstanceIdentifier"] == database["DBInstanceIdentifier"]
    cli("destroy", "--yes", "--skip-preview")
    listed = api.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    taken = {each["DbiResourceId"]: each["DBSnapshotIdentifier"] for each in listed}
    assert taken.keys() == {database["DbiResourceId"] for database, _ in (first, second, third)}, "each one's data"
    assert len(set(taken.values())) == 3
