"""Machine images as EC2 lists them: the entries of the file that `python -m lab.api --amis` reads."""

import hashlib
from dataclasses import dataclass

ACCOUNT = "123456789012"
"""The lab's AWS account."""

DEBIAN = "136693071363"
"""The account that publishes Debian's official images."""


API_ONLY = "api-only"
"""Begins the name of images that no machine is booted from: their instances are there in the API alone."""


@dataclass(frozen=True)
class Image:
    """One AMI. `architecture` is x86_64 or arm64; `created` is ISO 8601, and the newest of a name pattern wins."""

    name: str
    architecture: str
    created: str
    owner: str = ACCOUNT

    @property
    def id(self) -> str:
        """Follows from the name, so that it is the same in each lab."""
        return f"ami-{hashlib.sha256(self.name.encode()).hexdigest()[:17]}"

    def entry(self) -> dict[str, object]:
        """As moto's image file wants it."""
        return {
            "ami_id": self.id,
            "name": self.name,
            "description": self.name,
            "owner_id": self.owner,
            "architecture": self.architecture,
            "creation_date": self.created,
            "public": self.owner != ACCOUNT,
            "virtualization_type": "hvm",
            "root_device_type": "ebs",
            "root_device_name": "/dev/xvda",
            "hypervisor": "xen",
            "state": "available",
        }


def api_only(architecture: str) -> Image:
    """The image of instances that are in the API alone, such as a thousand of them."""
    return Image(f"{API_ONLY}-{architecture}", architecture, "2026-01-01T00:00:00.000Z")
