"""What RDS and ElastiCache offer: versions of their engines, and classes of machines; as much as the lab needs.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Types.html,
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html (read 2026-11).
"""

import re
from collections.abc import Mapping

from lab.api import cpu_credits

POSTGRESQL: Mapping[str, tuple[str, int]] = {
    "13": ("13.22", 23),
    "14": ("14.19", 20),
    "15": ("15.14", 15),
    "16": ("16.10", 11),
    "17": ("17.6", 7),
    "18": ("18.1", 1),
}
"""Major version -> the version that RDS installs when only that is asked for, and the newest minor number."""

REDIS: Mapping[str, tuple[str, ...]] = {"redis": ("6.0", "6.2", "7.0", "7.1"), "valkey": ("7.2", "8.0", "8.1", "8.2")}
"""ElastiCache's engine -> its versions; the lab's machine runs what Debian has."""


def family(engine: str, version: str) -> str:
    """Of the parameters that a version of a cache's engine takes."""
    major = version.partition(".")[0]
    return "redis6.x" if (engine, major) == ("redis", "6") else f"{engine}{major}"


_SMALL = ("micro", "small", "medium")
_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_LARGE = (*_SIZES, "24xlarge")
_CLASSES: Mapping[str, tuple[str, ...]] = {
    "t3": (*_SMALL, "large", "xlarge", "2xlarge"),
    "t4g": (*_SMALL, "large", "xlarge", "2xlarge"),
    **dict.fromkeys(("m5", "m5d", "r5", "r5b", "r5d"), _LARGE),
    **dict.fromkeys(("m6g", "m6gd", "m7g", "r6g", "r6gd", "r7g"), _SIZES),
    **dict.fromkeys(
        ("m6i", "m6id", "m6idn", "m6in", "m7i", "r6i", "r6id", "r6idn", "r6in", "r7i"), (*_LARGE, "32xlarge")
    ),
    **dict.fromkeys(("m8g", "m8gd", "r8g", "r8gd"), (*_LARGE, "48xlarge")),
    "x2g": _SIZES,
}
_NODES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("t2", "t3", "t4g"), _SMALL),
    **dict.fromkeys(("m5", "r5"), ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")),
    **dict.fromkeys(("m6g", "m7g", "r6g", "r7g"), _SIZES),
    "r6gd": _SIZES[1:],
    "c7gn": _SIZES,
}


_NODE_GIB: Mapping[str, float] = {
    **{f"cache.{family}.{size}": gib for family in ("t3", "t4g")
       for size, gib in (("micro", 0.5), ("small", 1.37), ("medium", 3.09))},
    **{f"cache.{family}.{size}": gib for family in ("m5", "m6g", "m7g")
       for size, gib in (("large", 6.38), ("xlarge", 12.93), ("2xlarge", 26.04), ("4xlarge", 52.26),
                         ("8xlarge", 103.68), ("12xlarge", 157.12), ("16xlarge", 209.55), ("24xlarge", 314.32))},
    **{f"cache.{family}.{size}": gib for family in ("r5", "r6g", "r7g")
       for size, gib in (("large", 13.07), ("xlarge", 26.32), ("2xlarge", 52.82), ("4xlarge", 105.81),
                         ("8xlarge", 209.55), ("12xlarge", 317.77), ("16xlarge", 419.09), ("24xlarge", 635.61))},
}  # fmt: skip
"""https://aws.amazon.com/elasticache/pricing/"""
_SMALL_GIB: Mapping[str, int] = {"micro": 1, "small": 2, "medium": 4}
_GIB_PER_VCPU: Mapping[str, int] = {"t": 4, "c": 2, "m": 4, "r": 8, "x": 16}
_XLARGE = re.compile(r"(\d*)xlarge")
RESERVED_PERCENT = "25"
"""Of a node's memory that is not for data, unless a parameter group says otherwise in reserved-memory-percent.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/redis-memory-management.html"""


def node_memory(node_type: str, reserved_percent: str = RESERVED_PERCENT) -> int | None:
    """Bytes that a cache node of this type has for data: Redis's maxmemory. None where the lab does not know it."""
    gib = _NODE_GIB.get(node_type)
    return int(gib * 2**30 * (100 - int(reserved_percent)) / 100) if gib else None


def vcpus(kind: str) -> int:
    """Of an instance type, a database class or a cache node's type; 2 of one that the lab does not know."""
    if of := cpu_credits.rate(kind):
        return of.vcpus
    size = kind.rpartition(".")[2]
    match = _XLARGE.fullmatch(size)
    return 4 * int(match[1] or 1) if match else {"medium": 1}.get(size, 2)


def memory(kind: str) -> int:
    """Bytes of an instance type, a database class or a cache node's type; 2 GiB a vCPU of a family not known here.

    A cache node has less of it for data. https://aws.amazon.com/ec2/instance-types/
    """
    family, _, size = kind.removeprefix("db.").removeprefix("cache.").partition(".")
    if family.startswith("t") and size in _SMALL_GIB:
        return _SMALL_GIB[size] * 2**30
    return _GIB_PER_VCPU.get(family[:1], 2) * vcpus(kind) * 2**30


def postgresql_version(asked: str) -> str | None:
    """The version that RDS runs when `asked` is one, or a major one; None when it has no such."""
    major, _, minor = asked.partition(".")
    if major not in POSTGRESQL:
        return None
    installed, newest = POSTGRESQL[major]
    if not minor:
        return installed
    return asked if minor.isdecimal() and 1 <= int(minor) <= newest else None


def has_instance_class(name: str) -> bool:
    """Whether RDS runs PostgreSQL on the class `name`, such as db.t4g.micro."""
    return _has(_CLASSES, "db.", name)


def has_node_type(name: str) -> bool:
    """Whether ElastiCache has the node type `name`, such as cache.t4g.micro."""
    return _has(_NODES, "cache.", name)


def _has(offered: Mapping[str, tuple[str, ...]], prefix: str, name: str) -> bool:
    family, _, size = name.removeprefix(prefix).partition(".")
    return name.startswith(prefix) and size in offered.get(family, ())
