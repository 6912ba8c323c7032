"""`python3 -m balancing`: keep HAProxy as the lab says and as the probes find, until the machine ends.

What the lab says comes in a file, and what the probes find goes into one: the lab reads it from outside.
"""

import json
import queue
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from . import proxy
from .health import Health, Result, serving
from .probes import Probe

DIRECTORY = Path("/var/lib/lab-balancer")
WANTED, APPLIED, HEALTH = (DIRECTORY / name for name in ("wanted.json", "applied", "health.json"))
CONFIGURATION = Path("/etc/haproxy/haproxy.cfg")
MASTER = Path("/run/haproxy-master.sock")
LOOK_SECONDS = 0.2

Key = tuple[str, str]
"""A target group and a target of it."""


class Balancer:
    """The one loop; probes have threads of their own, and reach it by a queue."""

    def __init__(self) -> None:
        self._results: queue.Queue[tuple[Probe, Result]] = queue.Queue()
        self._probes: dict[Key, Probe] = {}
        self._health = _known_health()
        self._wanted: dict[str, Any] = {}
        self._written_at = 0
        self._running: tuple[str, proxy.Servers] = ("", {})

    def run(self) -> None:
        """For ever. What fails is printed and tried again."""
        while True:
            try:
                self._look()
                self._take_results()
                if self._wanted:
                    self._apply()
            except Exception:
                traceback.print_exc()
                time.sleep(1)

    def _look(self) -> None:
        written_at = WANTED.stat().st_mtime_ns if WANTED.exists() else 0
        if written_at == self._written_at:
            return
        self._wanted, self._written_at = json.loads(WANTED.read_text()), written_at
        probed = {
            (name, target): (settings["check"], placed)
            for name, settings in self._wanted["groups"].items()
            for target, placed in settings["targets"].items()
            if not placed["draining"]
        }
        for key in self._probes.keys() - probed.keys():
            self._probes.pop(key).stop()
        self._health = {key: health for key, health in self._health.items() if key in probed}
        for key, (check, placed) in probed.items():
            address, port = placed["address"], check["port"] or placed["port"]
            if key in self._probes and self._probes[key].settings != (address, port, check):
                self._probes.pop(key).stop()
            if key not in self._probes:
                self._probes[key] = Probe(address, port, check, self._results)
            self._health.setdefault(key, Health())

    def _take_results(self) -> None:
        try:
            probe, result = self._results.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        for key, current in self._probes.items():
            if current is probe:
                check = probe.check
                self._health[key] = self._health[key].after(result, check["healthy"], check["unhealthy"])

    def _apply(self) -> None:
        servers = self._servers()
        structure = proxy.configuration(self._wanted)
        if (structure, servers) != self._running:
            CONFIGURATION.write_text(proxy.configuration(self._wanted, servers))
            if structure == self._running[0]:
                _command(proxy.SOCKET, *proxy.commands(self._running[1], servers))
            else:
                for path, body in proxy.bodies(self._wanted).items():
                    Path(path).write_text(body)
                _reload()
            self._running = structure, servers
        _put(HEALTH, json.dumps(self._described(), sort_keys=True))
        _put(APPLIED, self._wanted["version"])

    def _servers(self) -> proxy.Servers:
        found: dict[str, dict[str, proxy.Server]] = {}
        for name, settings in self._wanted["groups"].items():
            states = {target: health.state for (group, target), health in self._health.items() if group == name}
            takers = serving(states)
            found[name] = {
                f"{target}-{placed['port']}": proxy.Server(placed["address"], placed["port"], target in takers)
                for target, placed in settings["targets"].items()
            }
        return found

    def _described(self) -> dict[str, dict[str, dict[str, Any]]]:
        described: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in self._wanted["groups"]}
        for (group, target), health in self._health.items():
            told = {"state": health.state, "reason": health.reason, "description": health.description}
            described[group][target] = told
        return described


def _known_health() -> dict[Key, Health]:
    """What was found before this program was started again: its targets go on as they were."""
    if not HEALTH.exists():
        return {}
    told = json.loads(HEALTH.read_text())
    return {(group, target): Health(**each) for group, targets in told.items() for target, each in targets.items()}


def _put(path: Path, text: str) -> None:
    """Write it in one step, unless it says that already."""
    if not path.exists() or path.read_text() != text:
        unfinished = path.with_suffix(".new")
        unfinished.write_text(text)
        unfinished.rename(path)


def _reload() -> None:
    subprocess.run(["haproxy", "-c", "-q", "-f", str(CONFIGURATION)], check=True)
    running = subprocess.run(["systemctl", "is-active", "--quiet", "haproxy.service"], check=False).returncode == 0
    if running:
        # Not by systemd, which would not wait until the new worker has the sockets.
        said = _command(str(MASTER), "reload")
        if "Success=1" not in said:
            raise RuntimeError(f"HAProxy did not reload: {said}")
    else:
        subprocess.run(["systemctl", "start", "haproxy.service"], check=True)


def _command(path: str, *commands: str) -> str:
    """What HAProxy says to the commands."""
    said = ""
    for command in commands:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(f"{command}\n".encode())
            answer = b""
            while part := connection.recv(4096):
                answer += part
        said += answer.decode()
        if answer.strip():
            print(f"{command}: {answer.decode().strip()}", flush=True)
    return said


if __name__ == "__main__":
    sys.exit(Balancer().run())
