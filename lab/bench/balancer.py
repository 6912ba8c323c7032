"""`make bench-balancer`: the CPU that Nginx takes for a request, with the edge's balancer and with its own least_conn.

Both are Debian's Nginx with the edge's own configuration, in the files of the edge's image and in a network of their
own; one has the Lua replaced by what Nginx can do by itself. They are asked in turn, so that what else this machine
does falls on both. The app servers are an Nginx that answers at once: only the edge's own CPU is counted.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import images
from lab.bench.edges import beside
from lab.bench.figures import Figure, console, report
from lab.bench.measure import Asked, cpu
from lab.bench.templates import render
from lab.machines import image, recipe
from lab.paths import ROOT

ROUNDS: Final = 10
TARGET: Final = 1.10
"""Times the CPU of `least_conn`."""
SERVERS: Final = (3001, 3002)
FILES: Final = ROOT / "user_data/edge/files"
_INSIDE: Final = "EXPRESSWAY_BENCH_INSIDE"

APP: Final = """\
worker_processes 1;
pid /run/app.pid;
error_log /var/log/nginx/app.log;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000;
    server { listen 127.0.0.1:3001; listen 127.0.0.1:3002; location / { return 200 "{\\"hello\\":\\"world\\"}"; } }
}
"""
LEAST_CONN: Final = r"""upstream \1 {
        zone \1 128k;
        least_conn;
        server 127.0.0.1:3001 max_fails=3 fail_timeout=5s;
        server 127.0.0.1:3002 max_fails=3 fail_timeout=5s;
"""


@dataclass(frozen=True)
class Edge:
    """A running Nginx: where it listens, and its master."""

    port: int
    pid: Path

    def cpu(self) -> float:
        """Seconds that its workers have run for."""
        workers = subprocess.run(
            ["pgrep", "--parent", self.pid.read_text().strip()], capture_output=True, text=True, check=True
        ).stdout.split()
        return sum(int(Path(f"/proc/{each}/schedstat").read_text().split()[0]) for each in workers) / 1e9

    def ask(self) -> float:
        """Microseconds of CPU per request, under load."""
        nginx = cpu("Nginx")
        return Asked(f"http://127.0.0.1:{self.port}/", {nginx: self.cpu}).saturated()[nginx]


def main() -> int:
    """Measure in turn and write it down."""
    parser = argparse.ArgumentParser(prog="make bench-balancer", description="Nginx's CPU per request.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: it mounts the edge's image: run this as root", file=sys.stderr)
        return 1
    if _INSIDE not in os.environ:
        # Mounts and network are this process's own, and end with it.
        own = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.environ[_INSIDE] = "1"
        return subprocess.run([*own, sys.executable, "-m", "lab.bench.balancer", *sys.argv[1:]], check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        root = _files(Path(directory))
        try:
            own, lua = _start(root)
            console.print(f"{ROUNDS} rounds in turn")
            pairs = [(own.ask(), lua.ask()) for _ in range(ROUNDS)]
        finally:
            subprocess.run(["umount", "--lazy", "--recursive", str(root.parent)], check=True)
    theirs, ours = ([pair[which] for pair in pairs] for which in (0, 1))
    ratio = [b / a for a, b in pairs]
    figures = [
        Figure("Nginx's CPU per request, least_conn", "us", theirs),
        Figure("Nginx's CPU per request, the balancer", "us", ours),
        Figure("the balancer's, times least_conn's, percent", "%", [100 * each for each in ratio], 100 * TARGET),
    ]
    report(figures, options.json, ratio=statistics.median(ratio))
    return 0


def _files(directory: Path) -> Path:
    """The edge's image, to be written to."""
    console.print("the edge's image")
    layers = image.ensure([recipe.edge(images.packages("edge"))], lambda _: nullcontext())["expressway-edge"].layers
    own = directory / "own"
    own.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(own)], check=True)
    for each in ("upper", "work", "root"):
        (own / each).mkdir()
    lower = ":".join(map(str, layers))
    options = f"lowerdir={lower},upperdir={own}/upper,workdir={own}/work"
    root = own / "root"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    return root


def _start(root: Path) -> tuple[Edge, Edge]:
    """Nginx with its own balancing, and with the edge's; and the app servers behind both."""
    etc = root / "etc/nginx"
    shutil.copytree(FILES / "balancer", etc / "expressway/balancer")
    for each in (FILES / "nginx").glob("*.conf"):
        shutil.copy(each, etc / "expressway")
    (root / "run/expressway").mkdir(parents=True)
    ours = _configuration()
    theirs = re.sub(r"^.*lua.*\n", "", beside(ours, 8080, "own"), flags=re.MULTILINE)
    theirs = re.sub(r"upstream (\w+) \{\n.*\n", LEAST_CONN, theirs)
    for name, text in (("nginx", ours), ("own", theirs), ("app", APP)):
        (etc / f"{name}.conf").write_text(text)
        subprocess.run(["chroot", str(root), "nginx", "-c", f"/etc/nginx/{name}.conf"], check=True)
    servers = [{"id": f"i-{port}", "address": "127.0.0.1", "port": port} for port in SERVERS]
    time.sleep(0.5)
    put = ["curl", "-sSf", "--unix-socket", str(root / "run/expressway/balancer.sock"), "-X", "PUT", "-d"]
    subprocess.run([*put, json.dumps({"servers": servers}), "http://balancer/servers"], check=True, capture_output=True)
    return Edge(8080, root / "run/own.pid"), Edge(80, root / "run/nginx.pid")


def _configuration() -> str:
    """nginx.conf as the edge has it."""
    return render(
        FILES / "nginx/nginx.conf.j2",
        max_body_size="1m",
        certificate=None,
        trusted_proxies=[],
        nginx_version=(1, 26, 3),
        lua="/etc/nginx/expressway",
        servers="/var/lib/expressway-edge/servers.json",
        socket="/run/expressway/balancer.sock",
    )


if __name__ == "__main__":
    sys.exit(main())
