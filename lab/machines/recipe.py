"""What images are made of, as data: an image's name in the cache follows from it. Pure.

`BASE` is as close to Debian's official cloud image as is useful. It differs so:

- no kernel, boot loader, udev or OpenSSH server: the machines are containers, entered with `expressway lab shell`;
- `ip` sets the network from what the lab writes at start, where the official image runs systemd-networkd with DHCP, and
  /etc/resolv.conf names the resolver itself, where it runs systemd-resolved: that saves 2 s of each boot (resolved asks
  the link by LLMNR for the names with which cloud-init looks for DNS redirection);
- cloud-init is told to use EC2's data source and not to try DHCP first; dpkg does not wait for the disk.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from lab.network import addresses

from .debian import SUITE, Archive
from .guest import NETWORK

FORMAT: Final = 1
"""Counts changes of how images are built that the recipes themselves do not show."""


@dataclass(frozen=True)
class File:
    """A file that the image gets: `path` below its root."""

    path: str
    content: str


@dataclass(frozen=True)
class Tarball:
    """An archive unpacked into the image at `into`. Where it lies on this host is no part of what the image is."""

    path: Path
    sha256: str
    into: str


@dataclass(frozen=True)
class Recipe:
    """One layer: on its `parent`, or from nothing (then mmdebstrap makes it).

    `packages` are installed, `download` only put into apt's cache with all they need. Then come `files`, `tarballs` and
    `commands` (shell, run inside as root). No service is started meanwhile.
    """

    name: str
    parent: "Recipe | None" = None
    packages: tuple[str, ...] = ()
    download: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    tarballs: tuple[Tarball, ...] = ()
    commands: tuple[str, ...] = ()

    def key(self, archive: Archive, architecture: str) -> str:
        """Sixteen hex digits for all that the image follows from, its parents included."""
        inputs = asdict(self)
        inputs["parent"] = self.parent and self.parent.key(archive, architecture)
        inputs["tarballs"] = [[tarball.sha256, tarball.into] for tarball in self.tarballs]
        inputs |= {"archive": asdict(archive), "architecture": architecture, "suite": SUITE, "format": FORMAT}
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


_CLOUD_CONFIG: Final = f"""\
datasource_list: [Ec2]
datasource:
  Ec2:
    # By address: names would have to be resolved before the network is up.
    metadata_urls: ["http://{addresses.METADATA}"]
    timeout: 5
    max_wait: 30
# There is no DHCP server. A client that isn't installed is not tried; the address is there by then.
system_info: {{network: {{dhcp_client_priority: [dhclient]}}}}
network: {{config: disabled}}
# No OpenSSH, so no host keys.
ssh_genkeytypes: []
"""

_NETWORK_UNIT: Final = f"""\
[Unit]
Description=Address of the machine, as EC2's DHCP would give it
DefaultDependencies=no
Wants=network-pre.target
Before=cloud-init-local.service network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip -batch /{NETWORK}

[Install]
WantedBy=sysinit.target
"""

BASE: Final = Recipe(
    name="base",
    packages=(
        "ca-certificates",
        "cloud-init",
        "curl",
        "dbus",
        "iproute2",
        "less",
        "procps",
        "python3",
        "sudo",
        "systemd",
        "systemd-sysv",
    ),
    files=(
        File("etc/cloud/cloud.cfg.d/99-lab.cfg", _CLOUD_CONFIG),
        File("etc/systemd/system/lab-network.service", _NETWORK_UNIT),
        File("etc/resolv.conf", f"nameserver {addresses.DNS}\n"),
        File("etc/dpkg/dpkg.cfg.d/lab", "force-unsafe-io\n"),
    ),
    commands=(
        "systemctl enable lab-network.service",
        # No upgrades behind a test's back, and nobody can type at the console.
        "systemctl mask apt-daily.timer apt-daily-upgrade.timer console-getty.service",
    ),
)
"""What every machine of the lab has."""


def debian(packages: Sequence[str]) -> Recipe:
    """The plain image: `BASE`, with `packages` and all they need downloaded: installing them fetches nothing."""
    return Recipe("debian-13", BASE, download=tuple(sorted(set(packages))))


def edge(packages: Sequence[str]) -> Recipe:
    """The edge, baked: its packages are installed. Nginx does not start by itself: it has no configuration yet."""
    return Recipe(
        "expressway-edge", BASE, packages=tuple(sorted(set(packages))), commands=("systemctl disable nginx.service",)
    )


def app(packages: Sequence[str], runtime: Path, sha256: str) -> Recipe:
    """An app server, baked: its packages are installed and the runtime lies unpacked under its hash."""
    return Recipe(
        "expressway-app",
        BASE,
        packages=tuple(sorted(set(packages))),
        tarballs=(Tarball(runtime, sha256, f"opt/expressway/runtime/{sha256}"),),
    )
