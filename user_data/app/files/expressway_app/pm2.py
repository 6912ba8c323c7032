"""What PM2 is told to run, from the release's manifest and the machine's size. Pure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .paths import BUNDLE

MANIFEST = "expressway.json"
"""At the top of a release, beside `app/`."""

LISTEN_TIMEOUT_MS = 10_000
"""How long a new worker may take to listen, or to say that it is ready."""
KILL_TIMEOUT_MS = 12_000
"""From the signal to the kill: longer than the longest request, and than the drain of the app."""
RESTART_DELAY_MS = 200
"""First pause after a crash, growing to 15 s. Without it PM2 gives an app up for good after 16 quick crashes."""
MEMORY_SHARE = 0.7
"""Of the machine's memory, for all workers together; the rest is for the system and PM2."""
MIN_WORKERS = 2
"""Also on one CPU, so that a worker that crashes, or is reloaded, leaves another that answers."""


def ecosystem(manifest: Mapping[str, Any], release: Path, runtime: Path, cpus: int, memory_bytes: int) -> str:
    """PM2's ecosystem file, as JSON. ValueError when the manifest has a start mode that isn't known."""
    start = manifest["start"]
    others = manifest.get("processes") or {}
    common: dict[str, Any] = {
        "cwd": str(release / "app"),
        "exp_backoff_restart_delay": RESTART_DELAY_MS,
        "kill_timeout": KILL_TIMEOUT_MS,
        "listen_timeout": LISTEN_TIMEOUT_MS,
        # systemd's journal keeps what the app prints; PM2's own files would only grow.
        "out_file": "/dev/null",
        "error_file": "/dev/null",
        # Nothing is injected into the app, and its folder isn't searched for a version control system.
        "pmx": False,
        "vizion": False,
    }
    process = common | {"name": manifest["name"]}
    # A worker of the app and a process beside it count alike.
    workers = max(MIN_WORKERS, cpus) if start["mode"] == "cluster" else 1
    most_memory = int(memory_bytes * MEMORY_SHARE / (workers + len(others)))
    if start["mode"] == "cluster":
        process |= {
            "script": start["script"],
            "args": start["args"],
            "exec_mode": "cluster",
            "instances": workers,
            "wait_ready": manifest["wait_ready"],
            "max_memory_restart": most_memory,
        }
    elif start["mode"] == "fork":
        # PM2 would measure npm and not the app below it, so there is no memory limit here.
        process |= {
            "script": str(runtime / "bin/npm"),
            "args": ["run", start["npm_script"]],
            "interpreter": "none",
            "exec_mode": "fork",
            "instances": 1,
        }
    else:
        raise ValueError(f"{MANIFEST}: unknown start mode {start['mode']!r}")
    processes = [
        common | {"name": name, "max_memory_restart": most_memory} | _beside(name, other, release, runtime)
        for name, other in sorted(others.items())
    ]
    return json.dumps({"apps": [process, *processes]}, indent=2, sort_keys=True) + "\n"


def web(ecosystem: str) -> str:
    """The name of the web process in PM2, by the ecosystem file's text."""
    return json.loads(ecosystem)["apps"][0]["name"]


def fleet_wide(manifest: Mapping[str, Any]) -> list[str]:
    """The names of the processes that one machine of the fleet runs."""
    return sorted(name for name, other in (manifest.get("processes") or {}).items() if other["on"] == "one")


def search_path(release: Path, runtime: Path) -> str:
    """PATH for the app's own commands: what its dependencies bring, as in npm's scripts, before the system's."""
    return f"{release}/app/node_modules/.bin:{runtime}/bin:/usr/local/bin:/usr/bin:/bin"


def _beside(name: str, other: Mapping[str, Any], release: Path, runtime: Path) -> dict[str, Any]:
    """What PM2 runs for one of the processes beside the web one."""
    # Bash, which a single command takes the place of: PM2 then measures and signals that, and no shell above it.
    command = ["/bin/bash", "-c", other["command"]]
    if other["on"] == "one":
        command = [str(BUNDLE / "run-on-one"), name, *command]
    return {
        # Its lines are in the journal under its name. What it starts takes its place, so PM2 sees the process itself.
        "script": "/usr/bin/systemd-cat",
        "args": [f"--identifier={name}", "--", *command],
        "interpreter": "none",
        "exec_mode": "fork",
        "instances": 1,
        "env": {"PATH": search_path(release, runtime)},
    }
