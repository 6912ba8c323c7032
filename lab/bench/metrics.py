"""`make bench-metrics`: what it costs an app server that it measures itself, at 300 requests a second.

Two workers, as on a machine with two CPUs: Node with a small server each, once as they are and once with measure.cjs
loaded, in turn, under the same open-loop load; and the collector that both tell, which tells moto's CloudWatch. CPU is
what the kernel counts for the processes, so that what else this machine does makes it noisy, not wrong.
"""

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
from moto.server import ThreadedMotoServer

from artifact import cache
from artifact.runtime import tools
from lab.bench.figures import Figure, console, report
from lab.bench.load import Client, Load, Outcome, Plan
from lab.paths import ROOT

ROUNDS: Final = 6
SECONDS: Final = 30
"""Of each round: three periods of the collector, and six reports of a worker."""
RATE: Final = 300
WORKERS: Final = 2
MOST_PERCENT, MOST_MEGABYTES = 2.0, 60.0
"""Of the CPU of a machine with two CPUs, and of its memory."""
FILES: Final = ROOT / "user_data"
METRICS: Final = "http://127.0.0.1:9464/metrics"

SERVER: Final = """
const body = JSON.stringify({ items: Array.from({ length: 20 }, (_, id) => ({ id, name: `item ${id}` })) });
require("node:http").createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", body.length);
  response.end(body);
}).listen(Number(process.env.PORT), "127.0.0.1");
"""
COLLECTOR: Final = """
import sys
from pathlib import Path
from expressway_machine import config, metadata
config.load = lambda: {"region": "us-east-1", "metrics": {"scraped": False}}
metadata.tag = lambda _: "shop-app"
from app_metrics.__main__ import Workers
from app_metrics.listener import Listener
from expressway_metrics import service
service.run(Workers(Listener(Path(sys.argv[1]))))
"""


class Reads:
    """GETs, whose answers must be right."""

    async def begin(self, client: Client) -> None:
        """Nothing has to be there."""

    def next(self, number: int) -> tuple[str, Any]:
        """Always the same."""
        return "GET", None

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        """Send it."""
        status, body = await client.request("GET", "/", fresh=fresh)
        return "" if status == 200 and b"item 19" in body else f"HTTP {status}"


def main() -> int:
    """Measure in turn and write it down."""
    parser = argparse.ArgumentParser(prog="make bench-metrics", description="What the metrics cost an app server.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    node = tools(24, cache.root(), console.print).root / "bin/node"
    cloudwatch = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    cloudwatch.start()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with tempfile.TemporaryDirectory() as directory:
            socket = Path(directory) / "workers.sock"
            collector = _collector(socket, f"http://127.0.0.1:{cloudwatch.get_host_and_port()[1]}")
            processes.append(collector)
            plain = [_worker(node, 9470 + number, None, number) for number in range(WORKERS)]
            measured = [_worker(node, 9480 + number, socket, number) for number in range(WORKERS)]
            processes += [*plain, *measured]
            time.sleep(3)
            console.print(f"{ROUNDS} rounds of {SECONDS} s each, in turn")
            rounds = [_round(plain, measured, collector) for _ in range(ROUNDS)]
            _check_measured()
            memory = psutil.Process(collector.pid).memory_full_info().uss / 1e6
            resident = psutil.Process(collector.pid).memory_info().rss / 1e6
    finally:
        for each in processes:
            each.kill()
            each.wait()
        cloudwatch.stop()
    machine = 100 / WORKERS  # percent of a machine, for each CPU that is busy all the time
    workers = [machine * (with_it - without) for without, with_it, _ in rounds]
    own = [machine * each for *_, each in rounds]
    figures = [
        Figure("workers' CPU without, of the machine's", "%", [machine * without for without, *_ in rounds]),
        Figure("what measuring adds to it", "%", workers),
        Figure("the collector's CPU, of the machine's", "%", own),
        Figure("both", "%", [sum(pair) for pair in zip(workers, own, strict=True)], MOST_PERCENT),
        Figure("the collector's memory, libraries included", "MB", [resident], MOST_MEGABYTES),
        Figure("the same, its own alone", "MB", [memory]),
    ]
    report(figures, options.json, requests_a_second=RATE, workers=WORKERS)
    return 0


def _check_measured() -> None:
    """What isn't measured costs nothing."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(METRICS, timeout=5) as answer:
        found = answer.read().decode().count("\nexpressway_worker_up_seconds{")
    if found != WORKERS:
        raise SystemExit(f"{found} of {WORKERS} workers were measured")


def _round(
    plain: Sequence["subprocess.Popen[bytes]"],
    measured: Sequence["subprocess.Popen[bytes]"],
    collector: "subprocess.Popen[bytes]",
) -> tuple[float, float, float]:
    """CPUs that were busy: for the workers without and with it, and for the collector meanwhile."""
    without, _ = _busy(plain, 9470, [])
    with_it, own = _busy(measured, 9480, [collector])
    return without, with_it, own


def _busy(
    workers: Sequence["subprocess.Popen[bytes]"], port: int, beside: Sequence["subprocess.Popen[bytes]"]
) -> tuple[float, float]:
    before = [_cpu(each) for each in (workers, beside)]
    began = time.monotonic()
    for outcome in asyncio.run(_load([port + number for number in range(WORKERS)])):
        if failures := outcome.failures():
            raise SystemExit(f"requests failed: {failures}")
    seconds = time.monotonic() - began
    after = [_cpu(each) for each in (workers, beside)]
    return (after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds


async def _load(ports: Sequence[int]) -> list[Outcome]:
    stopped = asyncio.Event()
    plan = Plan(rate=RATE // len(ports))
    loads = [asyncio.create_task(Load(f"http://127.0.0.1:{port}", plan, Reads()).run(stopped)) for port in ports]
    await asyncio.sleep(SECONDS)
    stopped.set()
    return await asyncio.gather(*loads)


def _cpu(processes: Sequence["subprocess.Popen[bytes]"]) -> float:
    """Seconds that they have run for; all threads, by the nanosecond."""
    total = 0
    for each in processes:
        for thread in Path(f"/proc/{each.pid}/task").iterdir():
            with suppress(OSError):
                total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def _worker(node: Path, port: int, socket: Path | None, number: int) -> "subprocess.Popen[bytes]":
    told = {"PORT": str(port), "name": "shop", "pm_id": str(number)}
    if socket:
        told |= {"NODE_OPTIONS": f"--require={FILES}/app/files/measure.cjs", "EXPRESSWAY_METRICS_SOCKET": str(socket)}
    return subprocess.Popen([str(node), "--eval", SERVER], env=told)


def _collector(socket: Path, endpoint: str) -> "subprocess.Popen[bytes]":
    told = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PYTHONPATH": f"{FILES}/common/files:{FILES}/app/files",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
    }
    return subprocess.Popen([sys.executable, "-c", COLLECTOR, str(socket)], env=told)


if __name__ == "__main__":
    sys.exit(main())
