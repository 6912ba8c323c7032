"""Starting the lab's API as a program."""

import socket
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT


def _start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab.api", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)


def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        plain = _start("--port", port)
        tls = _start("--port", "0", "--tls-address", "127.0.0.1", "--tls-port", port, "--tls-dir", str(tmp_path))
    for ended in (plain, tls):
        assert ended.returncode == 1
        assert f"127.0.0.1:{port} is in use by another program" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_an_address_that_this_host_does_not_have_is_a_clear_error(tmp_path: Path) -> None:
    ended = _start("--port", "0", "--tls-address", "192.0.2.1", "--tls-port", "1443", "--tls-dir", str(tmp_path))
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_https_needs_a_place_for_its_certificates() -> None:
    ended = _start("--tls-address", "127.0.0.1")
    assert ended.returncode == 2, "bad usage"
    assert "--tls-dir" in ended.stderr
