"""What RDS and ElastiCache offer: versions of their engines, and classes of machines; as much as the lab needs.

Sources: https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html,
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Types.html,
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html (read 2026-11).
"""

from collections.abc import Mapping

POSTGRESQL: Mapping[str, tuple[str, int]] = {
    "13": ("13.22", 23),
    "14": ("14.19", 20),
    "15": ("15.14", 15),
    "16": ("16.10", 11),
    "17": ("17.6", 7),
    "18": ("18.1", 1),
}
"""Major version -> the version that RDS installs when only that is asked for, and the newest minor number."""

REDIS: Mapping[str, tuple[str, ...]] = {"redis": ("6.0", "6.2", "7.0", "7.1"), "valkey": ("7.2", "8.0", "8.1")}
"""ElastiCache's engine -> its versions; the lab's machine runs what Debian has."""

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
