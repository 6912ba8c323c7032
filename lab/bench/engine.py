"""`make bench-engine`: how long the Pulumi CLI takes, on an API of its own without machines.

Pulumi waits for no machine: what is measured is the engine, the program, the lab's provider and the API.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

import artifact
import settings
from artifact.cache import root as cache_root
from lab.api.amis import Image
from lab.aws import Aws
from lab.bench.figures import Figure, console, repeat, report, seconds
from lab.engine import pulumi_cli, stack_config
from lab.engine.apply import CONFIGURATION
from lab.engine.home import Home
from lab.engine.stack import PARALLEL, STACK, LabStack
from lab.paths import ROOT

RUNS: Final = 5
API_SECONDS: Final = 60
IMAGES: Final = ("expressway-edge-1", "expressway-app-1")
PLUGIN: Final = ROOT / "components" / "PulumiPlugin.yaml"
AT_ONCE: Final = ("--yes", "--skip-preview", f"--parallel={PARALLEL}", "-s", STACK)


def main() -> int:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(prog="make bench-engine", description="How fast the Pulumi engine is.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    options = parser.parse_args()
    try:
        found = pulumi_cli.find()
    except pulumi_cli.NoCliError as error:
        print(f"bench: there is no usable Pulumi CLI: {error}. Try: make pulumi", file=sys.stderr)
        return 1
    values = stack_config.load(ROOT, CONFIGURATION, ())
    app = settings.parse(values, stack=STACK, base=ROOT, source=CONFIGURATION.name).app
    artifact.ensure(app.path, app.node_version, app.arch, cache_root(), console.print)
    with tempfile.TemporaryDirectory(prefix="expressway-bench-") as directory, _api(Path(directory)) as endpoint:
        figures = _figures(found, Path(directory), endpoint, values)
    report(figures, options.json, pulumi=found.version)
    return 0


def _figures(found: pulumi_cli.Cli, directory: Path, endpoint: str, values: dict[str, Any]) -> list[Figure]:
    pulumi = str(found.path)
    empty, home = Home(directory / "empty"), Home(directory / "lab")
    empty.prepare(endpoint)
    program = json.loads((empty.project / "Pulumi.yaml").read_text())
    program |= {"name": "empty", "main": ".", "config": {}}
    (empty.project / "Pulumi.yaml").write_text(json.dumps(program))
    (empty.project / "__main__.py").touch()
    home.prepare(endpoint)
    stack = LabStack(found, home, values, Aws(endpoint, "us-east-1"))

    def run(of: Home, *words: str) -> float:
        return seconds([pulumi, *words], of.project, {**os.environ, **of.environment(found)})

    console.print("an empty program")
    run(empty, "stack", "init", STACK)
    run(empty, "up", *AT_ONCE)
    nothing = repeat(RUNS, lambda: run(empty, "up", *AT_ONCE))
    console.print("preview from nothing")
    preview = repeat(RUNS, lambda: run(home, "preview", f"--parallel={PARALLEL}", "-s", STACK))
    console.print("no-change up")
    stack.up()
    unchanged = repeat(RUNS, lambda: run(home, "up", *AT_ONCE))
    whole = repeat(RUNS, lambda: _timed_up(stack))
    stack.destroy()
    figures = [
        Figure("an empty program, no-change up", "s", nothing),
        Figure("pulumi preview -s lab, from nothing", "s", preview, 6),
        Figure("pulumi up -s lab, no change", "s", unchanged, 5),
        Figure("the same as a step of make up", "s", whole),
    ]
    if PLUGIN.exists():
        console.print("schema of the components")
        words = [pulumi, "package", "get-schema", "./components"]
        environment = {**os.environ, **home.environment(found)}
        seconds(words, ROOT, environment)  # makes its virtualenv
        schema = repeat(RUNS, lambda: seconds(words, ROOT, environment))
        figures.append(Figure("pulumi package get-schema ./components", "s", schema, 6))
    return figures


def _timed_up(stack: LabStack) -> float:
    began = time.monotonic()
    stack.up()
    return time.monotonic() - began


@contextmanager
def _api(directory: Path) -> Generator[str]:
    """The lab's API, alone; where it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint, amis = f"http://127.0.0.1:{port}", directory / "amis.json"
    amis.write_text(json.dumps([Image(name, "x86_64", "2026-01-01T00:00:00.000Z").entry() for name in IMAGES]))
    with (directory / "api.log").open("w") as log:
        command = [sys.executable, "-m", "lab.api", "--port", str(port), "--amis", str(amis)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        _await(f"{endpoint}/lab/v1/health", process)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + API_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=5).json()["prewarmed"]:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise SystemExit("the API did not start")


if __name__ == "__main__":
    sys.exit(main())
