"""Other programs on this host, busy while a test runs: they start, write, listen, mount and make networks."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator

PROGRAM = """
import itertools, os, pathlib, socket, subprocess, sys, tempfile, time
os.environ.pop("TMPDIR", None)
tempfile.tempdir = "/tmp"
listening = socket.create_server(("127.0.0.1", 0))
held = [tempfile.NamedTemporaryFile()]
subprocess.Popen(["unshare", "--net", "--mount", "sleep", "600"], stdout=subprocess.DEVNULL)
mounted = tempfile.mkdtemp()
subprocess.run(["mount", "-t", "tmpfs", "neighbour", mounted], check=True)
subprocess.run(["ip", "link", "add", "nn-a", "type", "veth", "peer", "name", "nn-b"], check=True)
subprocess.run(["ip", "address", "add", "203.0.113.9/24", "dev", "nn-a"], check=True)
subprocess.run(["ip", "link", "set", "nn-a", "up"], check=True)
rules = "table inet neighbour { chain c { type filter hook input priority 0; ip saddr 203.0.113.7 accept; }; }"
subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
print(mounted, flush=True)
for _ in itertools.count():
    held.append(tempfile.NamedTemporaryFile(dir="/var/tmp"))
    subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    time.sleep(1)
"""


@contextlib.contextmanager
def noisy_neighbour() -> Generator[None]:
    """A neighbour of every kind; nothing of it is left afterwards."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EXPRESSWAY_TEST")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=inherited, start_new_session=True
    )
    assert process.stdout is not None
    mounted = process.stdout.readline().strip()
    try:
        assert mounted, "the neighbour did not start"
        yield
    finally:
        # Its session: all that it started.
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()
        for command in (
            ["umount", mounted],
            ["rmdir", mounted],
            ["ip", "link", "delete", "nn-a"],
            ["nft", "delete", "table", "inet", "neighbour"],
        ):
            subprocess.run(command, check=False, capture_output=True)
