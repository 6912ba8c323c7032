"""Finding a Pulumi CLI with its Python language host, or fetching the official release."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from artifact import cache

MINIMUM: Final = (3, 237, 0)
"""The first with `pulumi package add` for a component plugin below a project, as docs/aws.md asks for."""
RELEASE: Final = "3.260.0"
"""What is fetched where none is found."""

_HOST: Final = "pulumi-language-python"
_ARCHIVES: Final = "https://get.pulumi.com/releases/sdk"
_CHECKSUMS: Final = "https://github.com/pulumi/pulumi/releases/download"
_SECONDS: Final = 15


class NoCliError(Exception):
    """There is no usable Pulumi CLI, and why."""


@dataclass(frozen=True)
class Cli:
    """A usable CLI: its executable, its version, and whether PATH leads to it or `fetch` brought it."""

    path: Path
    version: str
    fetched: bool = False

    @property
    def root(self) -> str | None:
        """As the Automation API wants it: the folder with `bin/pulumi` in it, None for the one on PATH."""
        return str(self.path.parents[1]) if self.fetched else None


def find() -> Cli:
    """The CLI on PATH, or else the one that `fetch` brought. NoCliError says why there is none."""
    reasons: list[str] = []
    on_path, cached = shutil.which("pulumi"), _folder() / "bin" / "pulumi"
    candidates = [(Path(on_path), False)] if on_path else []
    if cached.exists():
        candidates.append((cached, True))
    for path, fetched in candidates:
        try:
            return Cli(path, _usable_version(path), fetched)
        except NoCliError as error:
            reasons.append(str(error))
    raise NoCliError("; ".join(reasons) or "no pulumi on PATH")


def find_or_fetch() -> Cli:
    """A CLI by all means. NoCliError says why there can be none."""
    try:
        return find()
    except NoCliError as error:
        try:
            fetch()
        except NoCliError as unreachable:
            raise NoCliError(f"{error}, and the release {RELEASE} can't be had: {unreachable}") from unreachable
        return find()


def fetch() -> None:
    """Download the pinned release into the cache, verified against the checksums that its release page has.

    Source: https://www.pulumi.com/docs/iac/download-install/versions/
    """
    system, machine = platform.system().lower(), platform.machine()
    arch = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(machine)
    if arch is None or system not in ("linux", "darwin"):
        raise NoCliError(f"Pulumi has no release for {system} on {machine}")
    name = f"pulumi-v{RELEASE}-{system}-{arch}.tar.gz"
    sums = _get(f"{_CHECKSUMS}/v{RELEASE}/pulumi-{RELEASE}-checksums.txt").decode()
    expected = next((line.split()[0] for line in sums.splitlines() if line.split()[1:] == [name]), None)
    if expected is None:
        raise NoCliError(f"its checksums don't list {name}")
    archive = _get(f"{_ARCHIVES}/{name}")
    if hashlib.sha256(archive).hexdigest() != expected:
        raise NoCliError(f"{name} has another SHA-256 than its checksums say; nothing was installed")
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        partial.mkdir()
        packed = partial / name
        packed.write_bytes(archive)
        with tarfile.open(packed) as tar:
            tar.extractall(partial, filter="data")
        packed.unlink()
        (partial / "pulumi").rename(partial / "bin")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _usable_version(path: Path) -> str:
    try:
        answer = subprocess.run([path, "version"], capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NoCliError(f"{path} does not run: {error}") from error
    version = re.match(r"v?((\d+)\.(\d+)\.(\d+))", answer)
    if version is None:
        raise NoCliError(f"{path} says {answer.strip()!r} for its version")
    if tuple(map(int, version.groups()[1:])) < MINIMUM:
        raise NoCliError(f"{path} is {version[1]}, and {'.'.join(map(str, MINIMUM))} or newer is needed")
    if not (path.parent / _HOST).exists() and shutil.which(_HOST) is None:
        raise NoCliError(f"{path} has no {_HOST} beside it")
    return version[1]


def _folder() -> Path:
    return cache.root() / "pulumi" / RELEASE


def _get(url: str) -> bytes:
    try:
        answer = requests.get(url, timeout=_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        # The library's own text has the whole call chain in it.
        raise NoCliError(f"{url} is out of reach ({type(error).__name__})") from error
    return answer.content
