"""AWS's SSM agent, through which people get onto a machine by their IAM permissions: no open port, no SSH key.

Debian has no package of it. AWS's own comes from AWS's bucket, and is installed only when the key that the stack named
has signed it.
"""

import base64
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from . import config, files, host

KEY = Path("/etc/expressway/session-manager.asc")
UNIT = "expressway-session-manager.service"
SYSTEMD = Path("/etc/systemd/system")
AGENT = "amazon-ssm-agent"
# https://docs.aws.amazon.com/systems-manager/latest/userguide/verify-agent-signature.html
URL = "https://s3.{region}.amazonaws.com/amazon-ssm-{region}/latest/debian_{architecture}/amazon-ssm-agent.deb"
INSTALL_PACKAGES = "/opt/expressway/install-packages.sh"
LARGEST = 200 * 2**20
"""Bytes. The agent's package has about 25 million."""
TIMEOUT = 30

Run = Callable[..., None]


class AgentError(Exception):
    """The agent can't be had, or isn't what the key's owner signed."""


def configure(machine: config.Machine, bundle: Path) -> None:
    """Have the agent installed once the machine is at work, if the stack says so. Never in the way of that work."""
    key = machine["session_manager"]
    if not key:
        return
    files.write(KEY, key)
    host.install_files(bundle / "units", [UNIT], SYSTEMD)
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "--quiet", UNIT)
    host.run("systemctl", "start", "--no-block", UNIT)


def main() -> int:
    """Install and start the agent; 0 when it runs, 1 with the reason otherwise."""
    try:
        if not is_installed():
            install(config.load()["region"])
        host.run("systemctl", "enable", "--now", "--quiet", AGENT)
    except (AgentError, OSError, subprocess.CalledProcessError) as error:
        print(f"expressway: Session Manager: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def is_installed() -> bool:
    """Whether the package is there, from a run before or in the image."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", AGENT]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def install(region: str, url: str = URL, key: Path = KEY, run: Run = host.run) -> None:
    """Fetch the package with its signature, and install it when that is good. AgentError otherwise."""
    # Not in the image of every release; dpkg's own check is none, as no Debian package is signed by itself.
    run("sh", INSTALL_PACKAGES, "gpgv")
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    source = url.format(region=region, architecture=architecture)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package, signature = folder / "agent.deb", folder / "agent.deb.sig"
        package.write_bytes(fetch(source))
        signature.write_bytes(fetch(f"{source}.sig"))
        verify(package, signature, key)
        run("dpkg", "--install", str(package))


def fetch(url: str) -> bytes:
    """What is at `url`. AgentError when it is no answer, or a huge one."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310, the scheme is a constant
            body = response.read(LARGEST + 1)
    except OSError as error:
        raise AgentError(f"{url}: {error}") from error
    if len(body) > LARGEST:
        raise AgentError(f"{url} has more than {LARGEST} bytes")
    return body


def verify(package: Path, signature: Path, key: Path) -> None:
    """Return when `key`, which has not expired, has signed `package`. AgentError with what gpgv says otherwise."""
    ring = package.with_name("key.gpg")
    ring.write_bytes(dearmor(key.read_text()))
    command = ["gpgv", "--status-fd", "1", "--keyring", str(ring), str(signature), str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # A good signature by a key that has expired ends with 0 too; only GOODSIG says that all is well.
    if done.returncode or not any(line.startswith("[GNUPG:] GOODSIG ") for line in done.stdout.splitlines()):
        reason = " ".join(done.stderr.split()) or f"gpgv ended with {done.returncode}"
        raise AgentError(f"the package isn't signed by {key}, or the key is out of date: {reason}")


def dearmor(text: str) -> bytes:
    """The key in binary, as gpgv takes it. AgentError when it is no armored public key."""
    lines = [line.strip() for line in text.strip().splitlines()]
    try:
        start, end = (lines.index(f"-----{edge} PGP PUBLIC KEY BLOCK-----") for edge in ("BEGIN", "END"))
        body = lines[lines.index("", start) + 1 : end]
        return base64.b64decode("".join(line for line in body if not line.startswith("=")), validate=True)
    except ValueError as error:
        raise AgentError(f"no PGP public key: {error}") from error
