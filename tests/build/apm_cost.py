"""What each APM agent costs an app: its artifact, its start, its memory and its CPU, side by side with none.

PYTHONPATH=user_data/app/files:user_data/common/files .venv/bin/python -m tests.build.apm_cost

One process of tests/fixtures/apps/commonjs for each row, ROUNDS times in turn, and a stand-in of the vendor's backend
that takes everything. The least of the rounds counts, as noise only adds.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from expressway_app import apm as agent_variables

import artifact
from artifact import agents, cache, npm
from artifact.runtime import tools
from tests.build.apm_backends import Backend
from tests.build.pm2_app import free_port

ROOT = Path(__file__).parents[2]
ROUNDS = 3
REQUESTS = 3000
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def running(node: Path, app: Path, variables: dict[str, str]) -> Generator[tuple[int, HTTPConnection, float]]:
    """One process of the app: its id, a connection to it, and the CPU that it took until it listened, in seconds."""
    port = free_port()
    told = {"PATH": os.environ["PATH"], "PORT": str(port), "NODE_ENV": "production", **variables}
    with subprocess.Popen([str(node), str(app / "bin/www")], env=told, stderr=subprocess.DEVNULL) as process:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        while True:
            try:
                connection.connect()
                break
            except OSError:
                time.sleep(0.005)
        started = spent(process.pid)
        try:
            yield process.pid, connection, started
        finally:
            process.kill()


def spent(pid: int) -> float:
    """CPU of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """Memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measured(node: Path, app: Path, variables: dict[str, str]) -> tuple[float, float, float]:
    """Seconds of CPU until it listens, MB after the load, and CPU of a request in microseconds."""

    def ask(times: int) -> None:
        for _ in range(times):
            connection.request("GET", "/")
            connection.getresponse().read()

    with running(node, app, variables) as (pid, connection, started):
        ask(500)  # the compiler has seen it
        before = spent(pid)
        ask(REQUESTS)
        time.sleep(2)  # what is still to be told
        return started, resident(pid), 1e6 * (spent(pid) - before) / REQUESTS


def variables_of(vendor: str, backend: Backend) -> dict[str, str]:
    """What a machine tells the vendor's agent."""
    told = {"vendor": vendor, "service": "shop", "environment": "dev", "secret": "s", "endpoint": backend.url}
    app = {"liveness_path": "/healthz", "readiness_path": "/readyz"}
    machine = {"app": app, "apm": told | {"controller": "acme.example.com"}}
    folder = agents.unpacked(vendor, npm.host_arch(), cache.root(), print)
    return agent_variables.variables(machine, "0" * 40, "release-1", "i-1") | {
        "NODE_OPTIONS": f"--require={ROOT}/user_data/app/files/apm.cjs",
        "NODE_EXTRA_CA_CERTS": str(backend.authority),
        "EXPRESSWAY_APM_AGENT": str(folder / "start.cjs"),
        # As PM2 would.
        **{"name": "shop", "pm_id": "0"},
    }


def main() -> None:
    """Print the table."""
    arch = npm.host_arch()
    source = ROOT / "tests/fixtures/apps/commonjs"
    runtime = tools(24, cache.root(), print).root
    vendors = (None, "opentelemetry", "newrelic", "datadog")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes: dict[str | None, float] = {}
        for vendor in vendors:
            built = artifact.build(source, 24, arch, cache.root(), print, vendor)
            sizes[vendor] = built.path.stat().st_size / 1e6
            subprocess.run(["tar", "-xzf", str(built.path), "-C", name], check=True)
        found: dict[str | None, list[tuple[float, float, float]]] = {vendor: [] for vendor in vendors}
        for _ in range(ROUNDS):
            for vendor in vendors:
                backend = Backend(folder, runtime, tls=vendor in ("newrelic", "datadog"))
                told = variables_of(vendor, backend) if vendor else {}
                found[vendor].append(measured(runtime / "bin/node", folder / "app", told))
                backend.close()
    print("| agent | artifact, MB | start, s of CPU | memory, MB | CPU of a request, µs |\n|---|---|---|---|---|")
    for vendor in vendors:
        started, memory, cpu = (min(each) for each in zip(*found[vendor], strict=True))
        print(f"| {vendor or 'none'} | {sizes[vendor]:.1f} | {started:.2f} | {memory:.0f} | {cpu:.0f} |")


if __name__ == "__main__":
    main()
