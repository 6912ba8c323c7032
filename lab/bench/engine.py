"""`make bench-engine`: how long the Pulumi CLI takes, on an API of its own without machines.

Pulumi waits for no machine: what is measured is the engine, the program, the lab's provider and the API.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import artifact
import settings
from artifact.cache import root as cache_root
from lab.aws import Aws
from lab.bench import api
from lab.bench.figures import Figure, console, repeat, report, seconds
from lab.engine import pulumi_cli, stack_config
from lab.engine.apply import CONFIGURATION
from lab.engine.home import Home
from lab.engine.stack import PARALLEL, STACK, LabStack
from lab.paths import ROOT

RUNS: Final = 5
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
    with tempfile.TemporaryDirectory(prefix="expressway-bench-") as directory, api.running(Path(directory)) as endpoint:
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


if __name__ == "__main__":
    sys.exit(main())
