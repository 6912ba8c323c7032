"""AWS's agent for Session Manager: installed when it is signed, and by whom it should be."""

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from expressway_machine import host, session_manager
from expressway_machine.session_manager import AgentError

from tests.paths import ROOT

# A package and keys made with gpg for this test; the one called `expired` was good through 2020.
SIGNED = ROOT / "tests/fixtures/session_manager"

pytestmark = pytest.mark.skipif(shutil.which("gpgv") is None, reason="gpgv is not installed")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """What stands for AWS's bucket: a folder, and the agent's address in it."""
    folder = tmp_path / "bucket"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/{{region}}-{{architecture}}.deb"
        server.shutdown()


def publish(folder: Path, signature: str = "agent.deb.sig") -> Path:
    """Put the package and its signature there."""
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    package = folder / f"eu-west-1-{architecture}.deb"
    shutil.copy(SIGNED / "agent.deb", package)
    shutil.copy(SIGNED / signature, f"{package}.sig")
    return package


def commands(url: str, key: str = "signer.asc") -> list[tuple[str, ...]]:
    """What an installation runs on the machine, as far as it gets."""
    ran: list[tuple[str, ...]] = []
    session_manager.install("eu-west-1", url, SIGNED / key, lambda *command: ran.append(command))
    return ran


def test_a_signed_package_is_installed(bucket: tuple[Path, str]) -> None:
    publish(bucket[0])
    gpgv, dpkg = commands(bucket[1])
    assert gpgv[-1] == "gpgv", "what checks is there first"
    assert dpkg[:2] == ("dpkg", "--install")


@pytest.mark.parametrize(
    ("signature", "key"),
    [("agent.deb.sig", "other.asc"), ("expired.sig", "expired.asc"), ("agent.deb", "signer.asc")],
    ids=["somebody else's", "by a key that has expired", "none at all"],
)
def test_a_package_without_a_good_signature_is_refused(bucket: tuple[Path, str], signature: str, key: str) -> None:
    publish(bucket[0], signature)
    with pytest.raises(AgentError, match="isn't signed by"):
        commands(bucket[1], key)


def test_a_package_that_was_changed_is_refused(bucket: tuple[Path, str]) -> None:
    package = publish(bucket[0])
    package.write_bytes(package.read_bytes() + b"evil")
    with pytest.raises(AgentError, match="BAD signature"):
        commands(bucket[1])


def test_a_key_that_is_none_is_refused(bucket: tuple[Path, str], tmp_path: Path) -> None:
    publish(bucket[0])
    (tmp_path / "key").write_text("<html>")
    with pytest.raises(AgentError, match="no PGP public key"):
        session_manager.install("eu-west-1", bucket[1], tmp_path / "key", lambda *_: None)


def test_a_bucket_without_the_agent_is_told(bucket: tuple[Path, str]) -> None:
    with pytest.raises(AgentError, match=r"\.deb: HTTP Error 404"):
        commands(bucket[1])


def test_a_region_has_a_bucket_of_its_own() -> None:
    url = session_manager.URL.format(region="eu-west-1", architecture="arm64")
    assert url == "https://s3.eu-west-1.amazonaws.com/amazon-ssm-eu-west-1/latest/debian_arm64/amazon-ssm-agent.deb"


def test_the_machine_does_not_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(host, "run", lambda *command: ran.append(command))
    monkeypatch.setattr(session_manager, "KEY", tmp_path / "key.asc")
    monkeypatch.setattr(session_manager, "SYSTEMD", tmp_path / "systemd")
    bundle = ROOT / "user_data/common/files"
    off: dict[str, Any] = {"session_manager": None}
    session_manager.configure(off, bundle)
    assert not ran, "off unless there is a key"
    session_manager.configure({"session_manager": (SIGNED / "signer.asc").read_text()}, bundle)
    assert ("systemctl", "start", "--no-block", session_manager.UNIT) in ran
    assert (tmp_path / "key.asc").read_text() == (SIGNED / "signer.asc").read_text()
    unit = (tmp_path / "systemd" / session_manager.UNIT).read_text()
    assert "cloud-final.service" in unit, "the machine's own work comes first"
    program = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert (bundle / Path(program.partition("=")[2]).name).is_file()
