"""`pulumi new <this repository>`: a project of one's own, under a name of one's own."""

import os
import subprocess
import sys
from pathlib import Path

from lab.engine.home import Home
from lab.engine.pulumi_cli import Cli
from tests.engine.engine_stack import ROOT
from tests.fresh_environment import run
from tests.plan.lab_api_server import ApiServer


def test_the_repository_is_a_template(pulumi: Cli, api: ApiServer, artifacts: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare(api.endpoint)
    clone, project = tmp_path / "clone", tmp_path / "shop"
    # What a clone has, with what is not committed yet.
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
            (clone / name).chmod((ROOT / name).stat().st_mode)

    def cli(*words: str | Path, cwd: Path = project) -> str:
        environment = {**home.environment(pulumi), "EXPRESSWAY_CACHE": str(artifacts)}
        done = run(pulumi.path, *words, cwd=cwd, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    cli("new", clone, "--dir", project, "--name", "shop", "--yes", "--generate-only", cwd=tmp_path)
    (project / ".venv").symlink_to(sys.prefix)  # instead of `pulumi install`, which takes a minute
    cli("stack", "init", "dev")
    said = cli("preview", "--non-interactive")
    assert "shop-dev" in said, said
    assert "dev-database-instance" in said, "the whole stack is in it"
