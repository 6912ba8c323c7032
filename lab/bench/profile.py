"""`make bench-profile`: what a profile costs the worker that it is taken of, at 300 requests a second.

Node with a small server whose calls are as deep as Express's, and measure.cjs loaded as on an app server. The same
worker in turn: without a profile, while one is taken, and after it. CPU is what the kernel counts for the process.
"""

import argparse
import asyncio
import getpass
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil
from expressway_app import paths
from expressway_app.profiling import Workers

from artifact import cache
from artifact.runtime import tools
from lab.bench.figures import Figure, console, report
from lab.bench.load import Load, Outcome, Plan
from lab.bench.metrics import Reads
from lab.paths import ROOT

ROUNDS: Final = 4
SECONDS: Final = 20
RATE: Final = 300
PORT: Final = 9490

SERVER: Final = """
const items = Array.from({ length: 20 }, (_, id) => ({ id, name: `item ${id}` }));
const send = (response) => {
  const body = JSON.stringify({ items });
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", body.length);
  response.end(body);
};
const layers = Array.from({ length: 30 }, () => (request, response, next) => next());
const walk = (request, response, at) =>
  at === layers.length ? send(response) : layers[at](request, response, () => walk(request, response, at + 1));
require("node:http").createServer((request, response) => walk(request, response, 0))
  .listen(Number(process.env.PORT), "127.0.0.1");
"""


def main() -> int:
    """Measure in turn and write it down."""
    parser = argparse.ArgumentParser(prog="make bench-profile", description="What a profile costs a worker.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    options = parser.parse_args()
    node = tools(24, cache.root(), console.print).root / "bin/node"
    paths.USER = getpass.getuser()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "profile.sock"
        workers = Workers(place)
        told = {
            **os.environ,
            "PORT": str(PORT),
            "name": "shop",
            "pm_id": "0",
            "NODE_OPTIONS": f"--require={ROOT}/user_data/app/files/measure.cjs",
            "EXPRESSWAY_METRICS_SOCKET": f"{directory}/nobody.sock",
            "EXPRESSWAY_PROFILE_SOCKET": str(place),
        }
        worker = subprocess.Popen([str(node), "--eval", SERVER], env=told)
        try:
            asked = workers.busiest("shop")
            _part(worker.pid)  # until V8 has optimized what it will
            sizes = list[int]()
            console.print(f"{ROUNDS} rounds of three times {SECONDS} s, in turn")
            rounds = [
                (
                    _part(worker.pid),
                    _part(worker.pid, lambda: sizes.append(len(workers.take(asked, SECONDS - 2)))),
                    _part(worker.pid),
                )
                for _ in range(ROUNDS)
            ]
        finally:
            worker.kill()
            worker.wait()
            workers.close()
    without, during, after = ([each[part] for each in rounds] for part in range(3))
    figures = [
        Figure("CPU a request without a profile", "us", [cpu for cpu, _ in without]),
        Figure("while one is taken", "us", [cpu for cpu, _ in during]),
        Figure("after it", "us", [cpu for cpu, _ in after]),
        Figure("slowest answer without a profile", "ms", [slowest for _, slowest in without]),
        Figure("while one is taken", "ms", [slowest for _, slowest in during]),
        Figure("after it", "ms", [slowest for _, slowest in after]),
        Figure("a profile", "MB", [each / 1e6 for each in sizes]),
    ]
    report(figures, options.json, requests_a_second=RATE, seconds=SECONDS - 2)
    return 0


def _part(pid: int, beside: Callable[[], object] | None = None) -> tuple[float, float]:
    """Microseconds of CPU a request, and the slowest answer in milliseconds."""
    process, before = psutil.Process(pid), sum(psutil.Process(pid).cpu_times()[:2])
    thread = threading.Thread(target=beside) if beside else None
    if thread:
        thread.start()
    outcome = asyncio.run(_load())
    if thread:
        thread.join()
    if failures := outcome.failures():
        raise SystemExit(f"requests failed: {failures}")
    cpu = sum(process.cpu_times()[:2]) - before
    return 1e6 * cpu / len(outcome.samples), outcome.slowest(1)


async def _load() -> Outcome:
    stopped = asyncio.Event()
    load = asyncio.create_task(Load(f"http://127.0.0.1:{PORT}", Plan(rate=RATE), Reads()).run(stopped))
    await asyncio.sleep(SECONDS)
    stopped.set()
    return await load


if __name__ == "__main__":
    sys.exit(main())
