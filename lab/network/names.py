"""The names that AWS gives machines, by region. Pure.

Source: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
"""

from typing import Final

OLDEST_REGION: Final = "us-east-1"
"""The one region that is not part of its machines' names."""

_PARTITIONS: Final = {"cn-": ("aws-cn", "amazonaws.com.cn"), "us-gov-": ("aws-us-gov", "amazonaws.com")}


def internal(address: object, region: str) -> str:
    """The name inside the VPC of the machine that has this private `address`."""
    zone = "ec2.internal" if region == OLDEST_REGION else f"{region}.compute.internal"
    return f"ip-{_dashed(address)}.{zone}"


def public(address: object, region: str) -> str:
    """The name in the world of the machine that has this public `address`."""
    subdomain = "compute-1" if region == OLDEST_REGION else f"{region}.compute"
    return f"ec2-{_dashed(address)}.{subdomain}.{domain(region)}"


def partition(region: str) -> str:
    """The part of AWS that the region is in, as ARNs have it."""
    return _partition(region)[0]


def domain(region: str) -> str:
    """The domain of AWS's services for the region."""
    return _partition(region)[1]


def _partition(region: str) -> tuple[str, str]:
    return next((named for prefix, named in _PARTITIONS.items() if region.startswith(prefix)), ("aws", "amazonaws.com"))


def _dashed(address: object) -> str:
    return str(address).replace(".", "-")
