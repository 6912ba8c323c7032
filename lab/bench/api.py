"""The lab's API alone, without machines, for what is measured on it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests

from lab.api.amis import Image
from lab.paths import ROOT

API_SECONDS: Final = 60
IMAGES: Final = ("expressway-edge-1", "expressway-app-1")


@contextmanager
def running(directory: Path) -> Generator[str]:
    """Where it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint, amis = f"http://127.0.0.1:{port}", directory / "amis.json"
    amis.write_text(json.dumps([Image(name, "x86_64", "2026-01-01T00:00:00.000Z").entry() for name in IMAGES]))
    with (directory / "api.log").open("w") as log:
        command = [sys.executable, "-m", "lab.api", "--port", str(port), "--amis", str(amis)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        _await(f"{endpoint}/lab/v1/health", process)
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + API_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=5).json()["prewarmed"]:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise SystemExit("the API did not start")
