"""What a machine gets written into its root before it boots: what EC2's hypervisor and DHCP would tell it.

Pure: from a specification to files. Everything else comes from the image or from the machine's own cloud-init.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from lab.network import addresses

INTERFACE: Final = "ens5"
"""The network interface's name inside, as on EC2's Nitro machines."""

NETWORK: Final = "etc/lab-network"
"""What the image's lab-network.service hands to `ip -batch` before cloud-init starts."""

CA_BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"
"""The system's trust store: all certificates in one file."""

CA_SOURCE: Final = "usr/local/share/ca-certificates/expressway-lab.crt"
"""Where update-ca-certificates finds a local authority again when a package makes it rebuild the trust store."""


@dataclass(frozen=True)
class GuestFile:
    """A file of the machine: `path` relative to its root. `link` makes it a symbolic link to `content`."""

    path: str
    content: str
    link: bool = False


def mac_address(machine: str) -> str:
    """A locally administered unicast address, the same at each start of the machine."""
    digest = hashlib.sha256(machine.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def hypervisor_uuid(machine: str) -> str:
    """What /sys/hypervisor/uuid says: by its `ec2` at the start software knows that it runs on EC2.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html
    """
    digest = hashlib.sha256(machine.encode()).hexdigest()
    return f"ec2{digest[:5]}-{digest[5:9]}-4{digest[9:12]}-a{digest[12:15]}-{digest[15:27]}"


def files(machine: str, address: str) -> list[GuestFile]:
    """Identity and network of `machine` at `address` (its private IPv4 address)."""
    return [
        # A machine-id of its own: systemd takes an empty one for a first boot and applies its presets, for 0.3 s.
        GuestFile("etc/machine-id", hashlib.sha256(machine.encode()).hexdigest()[:32] + "\n"),
        GuestFile(NETWORK, _network(machine, address)),
    ]


def _network(machine: str, address: str) -> str:
    return f"""\
link set {INTERFACE} address {mac_address(machine)} up
address add {address}/32 dev {INTERFACE}
route add default via {addresses.GATEWAY} dev {INTERFACE} onlink
"""


def trust(bundle: str, authority: str, subject_hash: str) -> list[GuestFile]:
    """The lab's certificate `authority` (PEM) beside those of the system's `bundle`.

    Programs look in either of two places: the bundle, or OpenSSL's directory by `subject_hash`.
    """
    return [
        GuestFile(CA_SOURCE, authority),
        GuestFile(CA_BUNDLE, bundle + authority),
        GuestFile(f"etc/ssl/certs/{subject_hash}.0", f"/{CA_SOURCE}", link=True),
    ]
