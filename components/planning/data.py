"""Cache and database: versions, classes and sizes that AWS has."""

import re

from .findings import Finding
from .rule import Rule, either, matching, number

POSTGRES_VERSIONS = ("13", "14", "15", "16", "17", "18")
"""PostgreSQL's major versions on RDS.
https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html"""

NODE_TYPE = matching(
    r"cache\.[a-z0-9]+\.[a-z0-9]+", "it must be an ElastiCache node type", "Write it like cache.t4g.micro."
)

REPLICAS = number(0, 5)
"""Standby nodes that a shard of a replication group takes, whose only one it is without cluster mode."""

READ_REPLICAS = number(0, 5)
"""Read replicas of a database. RDS permits 15, each of which costs as much as the database."""


def _is_postgres_version(value: str) -> bool:
    major, dot, minor = value.partition(".")
    return major in POSTGRES_VERSIONS and (not dot or re.fullmatch("[0-9]{1,3}", minor) is not None)


POSTGRES_VERSION = Rule(
    str,
    _is_postgres_version,
    "it must be a PostgreSQL version that RDS has",
    f"Choose {either(POSTGRES_VERSIONS)}, or a minor version of one, like 17.6.",
    f"{POSTGRES_VERSIONS[0]} to {POSTGRES_VERSIONS[-1]}",
)

INSTANCE_CLASS = matching(
    r"db\.([a-z0-9-]+\.[a-z0-9]+|serverless)", "it must be an RDS instance class", "Write it like db.t4g.micro."
)

STORAGE_GB = number(20, 65536)
"""GiB of gp3. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html"""

BACKUP_DAYS = number(1, 35)
"""RDS would also take 0, which is no backup, and no point in time to go back to."""

_RESERVED_ROLES = "postgres|public|none|user|current_user|current_role|session_user|expressway|expressway_kit"
APP_USER = matching(
    rf"(?!(?:pg_|rds|(?:{_RESERVED_ROLES})$))[a-z_][a-z0-9_]{{0,62}}",
    "it must be a free PostgreSQL role of at most 63 lower-case letters, digits and underscores, none of RDS's or ours",
    "Start it with a letter, and with neither pg_ nor rds, as in app.",
)
"""https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html"""


def check_app_user(path: str, user: str | None, master: str) -> list[Finding]:
    """A role beside the master user, who in a copy may be called anything."""
    if user is None or user != master:
        return []
    return [Finding(path, user, "it is the master user, who may do everything", "Name another role, as in app.")]


DATABASE_NAME = matching(
    r"(?!(?:rdsadmin|postgres|template[01]|pgbouncer)$)[a-z][a-z0-9_]{0,62}",
    "it must be a free PostgreSQL name of at most 63 lower-case letters, digits and underscores",
    "Start it with a letter, as in app.",
)
