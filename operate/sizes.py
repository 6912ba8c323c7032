"""What a type of EC2, RDS or ElastiCache has, as its name says it: CPUs, memory, and of a T type its baseline. Pure.

Sources: https://aws.amazon.com/ec2/instance-types/ and, for the baseline,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html; the classes of RDS and
ElastiCache are named after them. ElastiCache's memory for data is less, in the same order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_KIND: Final = re.compile(r"(?:db\.|cache\.)?([a-z]+)(\d+)([a-z-]*)\.(\w+)")
_XLARGE: Final = re.compile(r"(\d*)xlarge")
_PER_VCPU: Final[Mapping[str, float]] = {"c": 2, "m": 4, "r": 8}
"""GiB of memory for each vCPU, by family."""
_BURSTABLE: Final[Mapping[str, tuple[int, float, float]]] = {
    "nano": (2, 0.5, 5),
    "micro": (2, 1, 10),
    "small": (2, 2, 20),
    "medium": (2, 4, 20),
    "large": (2, 8, 30),
    "xlarge": (4, 16, 40),
    "2xlarge": (8, 32, 40),
}
"""vCPUs, GiB, and percent of each vCPU that it earns: of t3, t3a and t4g."""
_BYTES_A_CONNECTION: Final = 9_531_392
_MOST_CONNECTIONS: Final = 5000

SERVERLESS: Final = "db.serverless"
"""The class of an instance of Aurora whose capacity follows its load."""
MOST_UNITS: Final = 256
"""That such an instance takes.
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ServerlessV2ScalingConfiguration.html"""
_OF_A_UNIT, _KEPT_OF_UNITS = 211.3, 22.3
"""What AWS's table of connections comes to: 189 with a most of 1 unit, 823 with 4, 1,669 with 8, 3,360 with 16."""
_MOST_OF_A_SMALL_LEAST: Final = 2000
"""With a least of less than 1 unit."""


@dataclass(frozen=True)
class Size:
    """What a type has."""

    vcpus: int
    memory: float
    """GiB."""
    baseline: float = 100.0
    """Percent of its vCPUs that it may use for ever; more takes CPU credits, which run out or cost extra."""
    arm: bool = False


def size(kind: str) -> Size | None:
    """Of `t3.small`, `db.t4g.micro` or `cache.m7g.large`; None of a family that isn't known here."""
    match = _KIND.fullmatch(kind)
    if match is None:
        return None
    family, number, kinds, name = match[1], int(match[2]), match[3], match[4]
    arm = "g" in kinds
    if family == "t":
        # t2 has other numbers of vCPUs.
        found = _BURSTABLE.get(name) if number > 2 else None
        return Size(*found, arm=arm) if found else None
    if family not in _PER_VCPU:
        return None
    match = _XLARGE.fullmatch(name)
    vcpus = 4 * int(match[1] or 1) if match else {"medium": 1, "large": 2}.get(name)
    return Size(vcpus, _PER_VCPU[family] * vcpus, arm=arm) if vcpus else None


def connections(database_class: str) -> int | None:
    """The most that a class of RDS takes by default: LEAST(DBInstanceClassMemory / 9531392, 5000); None: not known.

    DBInstanceClassMemory is less than the class's memory, which this takes: RDS and the system have their part.
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
    """
    found = size(database_class)
    return None if found is None else min(int(found.memory * 2**30) // _BYTES_A_CONNECTION, _MOST_CONNECTIONS)


def capacity_connections(capacity: tuple[float, float]) -> int:
    """The most that an instance takes by default whose capacity is so many units at the least and at the most.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html#aurora-serverless-v2.max-connections
    """
    least, most = capacity
    return min(int(_OF_A_UNIT * most - _KEPT_OF_UNITS), _MOST_OF_A_SMALL_LEAST if least < 1 else _MOST_CONNECTIONS)
