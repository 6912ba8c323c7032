"""What PM2 is told to run, from the release's manifest and the machine's size. Pure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    process: dict[str, Any] = {
        "name": manifest["name"],
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
    if start["mode"] == "cluster":
        workers = max(MIN_WORKERS, cpus)
        process |= {
            "script": start["script"],
            "args": start["args"],
            "exec_mode": "cluster",
            "instances": workers,
            "wait_ready": manifest["wait_ready"],
            "max_memory_restart": int(memory_bytes * MEMORY_SHARE / workers),
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
    return json.dumps({"apps": [process]}, indent=2, sort_keys=True) + "\n"
