"""Databases: out of the internet's reach, with backups, and not deleted by mistake."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from .model import HUB, UNKNOWN, Resource, Rule, Settings, is_true, may_be_true, wrong

INSTANCE: Final = "aws:rds/instance:Instance"

# ElastiCache has no such switch: a cache has no public address, and rules of its security group are open-ports' matter.
REACHABLE: Final = (INSTANCE, "aws:rds/clusterInstance:ClusterInstance", "aws:redshift/cluster:Cluster")

KEPT: Final = {
    INSTANCE: 0,
    "aws:rds/cluster:Cluster": 1,
    "aws:docdb/cluster:Cluster": 1,
    "aws:neptune/cluster:Cluster": 1,
}
"""Type -> days that its backups are kept when nothing is said."""


def _check_reach(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type in REACHABLE and is_true(resource.get("publiclyAccessible")):
        yield wrong("publiclyAccessible", True, "Set it to false, and reach the database from inside its VPC.")


def _check_protection(resource: Resource, settings: Settings) -> Iterator[str]:
    # What it holds, its source holds too, and that one is checked.
    is_replica = resource.type == INSTANCE and resource.get("replicateSourceDb") is not None
    if resource.type not in KEPT or is_replica:
        return
    production = is_production(settings)
    least = int(settings["productionBackupDays" if production else "backupDays"])
    days = resource.get("backupRetentionPeriod")
    if days is not UNKNOWN and (KEPT[resource.type] if days is None else days) < least:
        yield wrong("backupRetentionPeriod", days, f"Keep backups for {least} days or more.")
    protected = resource.get("deletionProtection")
    if production and not may_be_true(protected):
        yield wrong("deletionProtection", protected, f"Set it to true: {settings.stack} is a production stack.")


def is_production(settings: Settings) -> bool:
    """Whether the option `production` says so, or else the stack's name does."""
    said = settings.options.get("production")
    if said is not None:
        return bool(said)
    return any(fnmatchcase(settings.stack, pattern) for pattern in settings["productionStacks"])


NO_PUBLIC_DATABASE: Final = Rule(
    name="no-public-database",
    says="Databases have no public address.",
    source=f"{HUB}/rds-controls.html#rds-2",
    check=_check_reach,
)

DATA_PROTECTION: Final = Rule(
    name="data-protection",
    says="Databases have backups; in production they also refuse to be deleted.",
    source=f"{HUB}/rds-controls.html#rds-11",
    check=_check_protection,
    options={
        "backupDays": {"type": "integer", "minimum": 0, "default": 1, "description": "Days that backups are kept."},
        "productionBackupDays": {
            "type": "integer",
            "minimum": 0,
            "default": 7,
            "description": "The same, in a production stack.",
        },
        "production": {"type": "boolean", "description": "Whether this is a production stack, whatever its name."},
        "productionStacks": {
            "type": "array",
            "items": {"type": "string"},
            "default": ["prod", "production", "prod-*", "*-prod"],
            "description": "Names of production stacks, as shell patterns.",
        },
    },
)
