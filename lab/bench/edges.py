"""The edges that are compared: each a program on the edge machine, with the same app servers behind it."""

import contextlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.machines import image
from lab.machines.observation import MachineStatus
from lab.machines.recipe import BASE, Recipe

from .bed import APP_PORT, Bed, answers
from .measure import Asked, Meter
from .templates import render

OURS: Final = "Nginx, this project's"
TUTORIAL: Final = "Nginx, a tutorial's"
HAPROXY: Final = "HAProxy"
CADDY: Final = "Caddy"
PACKAGES: Final = Recipe("bench-edges", BASE, packages=("caddy", "haproxy"))
"""Debian's, of the same release as Nginx."""
_FILES: Final = Path(__file__).with_name("edges")
_SOCKETS: Final = "/run/expressway"
_ROOM: Final = ("LimitNOFILE=65535",)


@dataclass(frozen=True)
class Edge:
    """An edge that runs: where it answers, and its CPU."""

    bed: Bed
    name: str
    url: str
    cpu: Meter

    def serve(self, servers: Sequence[MachineStatus]) -> None:
        """Tell this project's Nginx which app servers there are."""
        entries = [{"id": each.id, "address": each.address, "port": APP_PORT} for each in servers]
        # It may be just starting.
        retried = ["--retry", "10", "--retry-delay", "1", "--retry-all-errors"]
        put = ["curl", "-sSf", *retried, "--unix-socket", f"{_SOCKETS}/{self.name}.sock", "-X", "PUT", "-d"]
        self.bed.inside(self.bed.edge, *put, json.dumps({"servers": entries}), "http://balancer/servers")


@contextlib.contextmanager
def ours(bed: Bed, servers: Sequence[MachineStatus], port: int = 8101) -> Generator[Edge]:
    """A second Nginx with the configuration that the machine's own has, so that nobody else changes its list."""
    name = "bench-ours"
    configuration = f"/etc/nginx/{name}.conf"
    bed.write(bed.edge, configuration, beside(bed.inside(bed.edge, "cat", "/etc/nginx/nginx.conf"), port, name))
    bed.inside(bed.edge, "rm", "-f", f"{_SOCKETS}/{name}.sock")
    with bed.unit(bed.edge, name, _nginx(configuration), _ROOM) as cpu:
        edge = Edge(bed, name, f"http://{bed.public}:{port}/", cpu)
        edge.serve(servers)
        answers(edge.url)
        Asked(edge.url).warm()
        yield edge


@contextlib.contextmanager
def tutorial(bed: Bed, servers: Sequence[MachineStatus], port: int = 8102) -> Generator[Edge]:
    """Nginx as tutorials have it."""
    configuration = "/etc/nginx/bench-tutorial.conf"
    with _other(bed, servers, port, "tutorial.conf", configuration, _nginx(configuration), ()) as edge:
        yield edge


@contextlib.contextmanager
def haproxy(bed: Bed, servers: Sequence[MachineStatus], port: int = 8103) -> Generator[Edge]:
    """Debian's HAProxy, once it is installed."""
    configuration = "/etc/bench-haproxy.cfg"
    words = ["/usr/sbin/haproxy", "-db", "-f", configuration]
    logged = "StandardOutput=append:/var/log/bench-haproxy.log"
    with _other(bed, servers, port, "haproxy.cfg", configuration, words, (*_ROOM, logged)) as edge:
        yield edge


@contextlib.contextmanager
def caddy(bed: Bed, servers: Sequence[MachineStatus], port: int = 8104) -> Generator[Edge]:
    """Debian's Caddy, once it is installed."""
    configuration = "/etc/bench-caddy.conf"
    words = ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", configuration]
    home = "Environment=HOME=/var/lib/bench-caddy"
    with _other(bed, servers, port, "caddy.conf", configuration, words, (*_ROOM, home)) as edge:
        yield edge


def beside(text: str, port: int, name: str) -> str:
    """The edge's nginx.conf for a second Nginx on the same machine: no port, socket or file is both's."""
    changes = (
        ("listen 80 ", f"listen {port} "),
        ("127.0.0.1:808", "127.0.0.1:809"),
        ("/run/nginx.pid", f"/run/{name}.pid"),
        ("balancer.sock", f"{name}.sock"),
        ("/servers.json", f"/{name}.json"),
        ("/var/log/nginx/access.log", f"/var/log/nginx/{name}.log"),
        ("/var/log/nginx/error.log", f"/var/log/nginx/{name}.error.log"),
    )
    for old, new in changes:
        if old not in text:
            raise ValueError(f"the edge's nginx.conf no longer has {old.strip()}")
        text = text.replace(old, new)
    return text


def _nginx(configuration: str) -> list[str]:
    return ["/usr/sbin/nginx", "-c", configuration, "-g", "daemon off;"]


@contextlib.contextmanager
def _other(
    bed: Bed,
    servers: Sequence[MachineStatus],
    port: int,
    template: str,
    configuration: str,
    words: Sequence[str],
    properties: Sequence[str],
) -> Generator[Edge]:
    """An edge whose servers are in its configuration."""
    name = Path(configuration).stem
    addresses = [f"{each.address}:{APP_PORT}" for each in servers]
    text = render(_FILES / f"{template}.j2", name=name, port=port, servers=addresses)
    bed.write(bed.edge, configuration, text)
    with bed.unit(bed.edge, name, words, properties) as cpu:
        edge = Edge(bed, name, f"http://{bed.public}:{port}/", cpu)
        answers(edge.url)
        Asked(edge.url).warm()
        yield edge


def install(bed: Bed) -> None:
    """Put HAProxy and Caddy on the edge machine, from the cache of images. Nothing of them starts by itself."""
    layer = image.ensure([PACKAGES], lambda _: contextlib.nullcontext())[PACKAGES.name].layers[0]
    bed.copy(bed.edge, layer / "usr", "/usr")
