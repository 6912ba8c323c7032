"""Machine images as EC2 lists them: the entries of the file that `python -m lab.api --amis` reads."""

import hashlib
from dataclasses import dataclass

ACCOUNT = "123456789012"
"""The lab's AWS account."""

DEBIAN = "136693071363"
"""The account that publishes Debian's official images."""


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
