"""Where the lab's images get Debian's packages from: the mirror and proxy that this host uses itself."""

import os
import subprocess
from dataclasses import dataclass
from typing import Final

SUITE: Final = "trixie"
"""Debian 13."""

KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""Debian's archive keys, on this host (mmdebstrap depends on them) and at the same place in each image."""

MIRROR_VARIABLE: Final = "EXPRESSWAY_DEBIAN_MIRROR"
"""Overrides the mirror, e.g. `http://mirror.example/debian`; its security archive is `…/debian-security` beside it."""

_DEFAULT: Final = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
_CODENAMES: Final = {"bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"}


@dataclass(frozen=True)
class Archive:
    """Base addresses of Debian's archives, and the HTTP proxy through which to reach them, if any."""

    main: str
    security: str
    proxy: str = ""

    def sources(self) -> list[str]:
        """One-line entries for apt's sources.list."""
        signed = f"deb [signed-by={KEYRING}]"
        return [
            f"{signed} {self.main} {SUITE} main",
            f"{signed} {self.main} {SUITE}-updates main",
            f"{signed} {self.security} {SUITE}-security main",
        ]

    def apt_options(self) -> list[str]:
        """Settings of apt. The short time limits make an unreachable mirror a matter of seconds."""
        options = ['Acquire::Languages "none"', 'Acquire::http::Timeout "15"', 'Acquire::Retries "2"']
        return options + ([f'Acquire::http::Proxy "{self.proxy}"'] if self.proxy else [])


def archive() -> Archive:
    """What this host uses, or `EXPRESSWAY_DEBIAN_MIRROR`; Debian's own mirror on a host that is no Debian."""
    targets = _output("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    proxy = _output("apt-config", "--format", "%v", "dump", "Acquire::http::Proxy")
    return choose(targets, proxy.strip(), os.environ.get(MIRROR_VARIABLE))


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def choose(targets: str, proxy: str, override: str | None) -> Archive:
    """The archive to use. `targets` are lines of a repository's address and a release that apt has configured."""
    if override:
        main = override.rstrip("/")
        return Archive(main, f"{main}-security", proxy)
    main, security = _DEFAULT
    for line in reversed(targets.splitlines()):
        address, _, release = line.partition(" ")
        codename, _, pocket = release.partition("-")
        address = address.rstrip("/")
        if codename not in _CODENAMES or not address.startswith(("http://", "https://")):
            continue
        if pocket == "security":
            security = address
        elif not pocket:
            main = address
    return Archive(main, security, proxy)


def architecture() -> str:
    """This host's, in Debian's words: amd64, arm64."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
