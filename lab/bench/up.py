"""`make bench-up`: how long the lab takes to start, how fast one machine boots, what it all holds in memory.

A figure that misses its target is marked so; the benchmark does not fail on it, since it depends on the machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lab import config, daemon, down, status
from lab.aws import Aws
from lab.bench.figures import Figure, console, repeat, report, seconds
from lab.machines.observation import resident_bytes
from lab.paths import ROOT

WARM_RUNS: Final = 3
PROGRAM_RUNS: Final = 3
SETTLE_SECONDS: Final = 20
BOOT_SECONDS: Final = 180
MEBIBYTE: Final = 2**20


def main() -> int:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(prog="make bench-up", description="How fast, how big.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    parser.add_argument("--skip-cold", action="store_true", help="leave out the start with nothing cached")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: the lab's machines are root's: run this as root", file=sys.stderr)
        return 1
    figures: list[Figure] = []
    steps: dict[str, Any] = {}
    if not options.skip_cold:
        cold, steps["cold"] = _cold()
        figures.append(Figure("make up, nothing cached", "s", [cold], 240))
    figures += _lab(steps)
    figures.append(Figure("unit tests", "s", [seconds(["make", "unit"])], 60))
    figures.append(Figure("make check and unit tests", "s", [seconds(["make", "check"]) + figures[-1].median], 120))
    report(figures, options.json, steps=steps)
    return 0


def _cold() -> tuple[float, Any]:
    """`make up` in a fresh clone with empty caches of its own: until the first 200 through the edge."""
    with tempfile.TemporaryDirectory(prefix="expressway-bench-") as directory:
        clone = Path(directory) / "expressway"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        caches = {
            "EXPRESSWAY_CACHE": f"{directory}/cache",
            "UV_CACHE_DIR": f"{directory}/uv",
            "PIP_CACHE_DIR": f"{directory}/pip",
            "npm_config_cache": f"{directory}/npm",
        }
        _make_down(ROOT)
        console.print("cold: make up in a fresh clone, with empty caches")
        environment = dict(os.environ) | caches
        took, record = _make_up(clone, environment)
        _make_down(clone, environment)
        return took, record.steps


def _make_up(
    directory: Path, environment: dict[str, str] | None = None, *arguments: str
) -> tuple[float, status.Record]:
    """Seconds of `make up` until the first 200 through the edge, and what it wrote down."""
    took = seconds(["make", "up", *arguments], directory, environment)
    record = status.read()
    if record is None:
        raise SystemExit("make up succeeded and left no record")
    # The wait for the last machines comes after the first answer.
    return took - (record.seconds["all"] - record.seconds["first_answer"]), record


def _lab(steps: dict[str, Any]) -> list[Figure]:
    """Warm starts, boots of one machine alone, and memory: with baked images, and boots with plain ones."""
    _make_down(ROOT)
    _make_up(ROOT)  # whatever is not cached yet is made now
    warm: list[float] = []
    for run in range(WARM_RUNS):
        _make_down(ROOT)
        console.print(f"warm: make up, {run + 1} of {WARM_RUNS}")
        took, record = _make_up(ROOT)
        warm.append(took)
        steps["warm"] = record.steps
    time.sleep(SETTLE_SECONDS)
    resident = _resident() / MEBIBYTE
    program = repeat(PROGRAM_RUNS, _program)
    baked = _boots()
    _make_down(ROOT)
    console.print("plain images: make up")
    _make_up(ROOT, None, "UP_ARGS=--plain")
    plain = _boots()
    _make_down(ROOT)
    return [
        Figure("make up, images baked", "s", warm, 30),
        Figure("one machine booted, plain image, packages cached", "s", plain, 10),
        Figure("one machine booted, baked image", "s", baked, 5),
        Figure("the program under mocks, imports included", "s", program, 5),
        Figure("the whole lab resident, idle, two app servers", "MiB", [resident], 3 * 1024),
    ]


def _boots() -> list[float]:
    """Seconds from start to cloud-init finished of machines that boot alone: two app servers and an edge."""
    console.print("boots of one machine at a time")
    lab, record = config.read(), status.read()
    if lab is None or record is None:
        raise SystemExit("there is no lab")
    autoscaling = Aws(lab.endpoint, lab.region)("autoscaling")
    outputs = record.outputs
    group = outputs["appGroupName"]
    edge = next(machine["id"] for machine in status.machines() if machine["tier"] == "edge")
    return [
        _new_machine(lambda: autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)),
        _new_machine(lambda: autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=4)),
        _new_machine(
            lambda: autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=edge, ShouldDecrementDesiredCapacity=False
            )
        ),
    ]


def _new_machine(change: Callable[[], object]) -> float:
    """The boot of the machine that `change` leads to."""
    before = {machine["id"] for machine in status.machines()}
    change()
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        for machine in status.machines():
            if machine["id"] not in before and machine["state"] == "ready":
                time.sleep(SETTLE_SECONDS)  # let what else it set off end before the next boot
                return float(machine["boot_seconds"])
        time.sleep(0.2)
    raise TimeoutError(f"no new machine was ready within {BOOT_SECONDS} s")


def _resident() -> float:
    """Bytes held by the machines and by the lab's own programs; shared pages count once."""
    own = [daemon.find(name) for name in (down.API, down.CONTROLLER)]
    programs = sum(process.memory_full_info().pss for process in own if process)
    return programs + sum(resident_bytes(machine["id"]) for machine in status.machines())


def _program() -> float:
    """The whole program in a fresh interpreter under the mock monitor, as in a preview: nothing is created."""
    return seconds([sys.executable, "-m", "lab.engine.mocks", "--stack", "lab", "--preview"])


def _make_down(directory: Path, environment: dict[str, str] | None = None) -> None:
    seconds(["make", "down"], directory, environment)


if __name__ == "__main__":
    sys.exit(main())
