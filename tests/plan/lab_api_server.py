"""The lab's API as a process of its own, for tests that talk to it as machines and tools do."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

from lab.api.amis import DEBIAN, Image
from tests.paths import ROOT

START_SECONDS = 180

PLAIN_X86 = Image("debian-13-amd64-20260901-lab", "x86_64", "2026-09-01T00:00:00.000Z", DEBIAN)
PLAIN_ARM = Image("debian-13-arm64-20260901-lab", "arm64", "2026-09-01T00:00:00.000Z", DEBIAN)
OLD_EDGE = Image("expressway-edge-1", "x86_64", "2026-08-01T00:00:00.000Z")
NEW_EDGE = Image("expressway-edge-2", "x86_64", "2026-09-01T00:00:00.000Z")
APP = Image("expressway-app-1", "x86_64", "2026-09-01T00:00:00.000Z")
IMAGES = (PLAIN_X86, PLAIN_ARM, OLD_EDGE, NEW_EDGE, APP)


@dataclass(frozen=True)
class ApiServer:
    """A running API: plain HTTP for tools, HTTPS for machines."""

    port: int
    tls_port: int
    tls_dir: Path

    @property
    def endpoint(self) -> str:
        """The plain side."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client; every test that makes one shares the API's only account."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def control(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """A call of the control surface."""
        answer = requests.request(method, f"{self.endpoint}/lab/v1/{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_api(directory: Path) -> Generator[ApiServer]:
    """An API on free ports, prewarmed; its certificates and its log are in `directory`."""
    server = ApiServer(free_port(), free_port(), directory / "tls")
    amis = directory / "amis.json"
    amis.write_text(json.dumps([image.entry() for image in IMAGES]))
    command = [sys.executable, "-m", "lab.api", "--port", str(server.port), "--amis", str(amis)]
    command += ["--tls-address", "127.0.0.1", "--tls-port", str(server.tls_port), "--tls-dir", str(server.tls_dir)]
    log = directory / "api.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        _wait(server, process, log)
        yield server
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: ApiServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the API ended: {log.read_text()}"
        try:
            if server.control("health")["prewarmed"]:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the API is not ready after {START_SECONDS} s: {log.read_text()}")
