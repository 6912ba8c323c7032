"""Aurora: its classes, capacity and readers, and what of a database on RDS it has not."""

import re
from collections.abc import Collection

from .findings import Finding
from .rule import Rule, choice, number
from .versions import postgres_major, version_key

POSTGRESQL, AURORA = "postgresql", "aurora"
DATABASE_ENGINE = choice((POSTGRESQL, AURORA))

SERVERLESS = "db.serverless"
"""The class of an instance whose capacity follows its load."""
POSTGRESQL_CLASS, AURORA_CLASS = "db.t4g.micro", "db.t4g.medium"
"""Each engine's smallest class of a fixed size."""

LEAST_CAPACITY, MOST_CAPACITY = 0, 256
LEAST_MOST_CAPACITY = 1
"""The least that the most may be."""
CAPACITY = Rule(
    float,
    lambda value: LEAST_CAPACITY <= value <= MOST_CAPACITY and value * 2 == int(value * 2),
    f"it must be {LEAST_CAPACITY} to {MOST_CAPACITY} Aurora capacity units, in steps of 0.5",
    "Choose a number like 0.5 or 8.",
    f"{LEAST_CAPACITY} to {MOST_CAPACITY}, in steps of 0.5",
)
"""https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ServerlessV2ScalingConfiguration.html"""

PAUSING_FROM = {"13": "13.15", "14": "14.12", "15": "15.7", "16": "16.3"}
"""Major version -> the minor one from which on capacity can go down to 0; all of later ones can.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html"""

MOST_READERS = number(2, 15)
"""Readers that a cluster takes. https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Replication.html"""
REPLICA_CPU = number(10, 90)
"""Percent."""
TARGET_REPLICA_CPU = 60

_CLASS = re.compile(r"db\.(serverless|t(3|4g)\.(medium|large)|[rx]\d\w*\.(large|\d*xlarge))")
"""https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.DBInstanceClass.html"""

_GROWS = "Aurora's storage grows by itself"
RDS_ONLY = {
    "storageGb": (_GROWS, "Leave it out."),
    "maxStorageGb": (_GROWS, "Leave it out."),
    "multiAz": ("Aurora's readers are its standbys", "Leave it out, and set replicas to 1 or more."),
}
"""What only an instance on RDS has -> why Aurora has not, and the mend."""
AURORA_ONLY = ("serverless", "maxReplicas", "replicaCpu")


def database_class(engine: str, given: str | None, serverless: bool) -> str:
    """An instance's class: the one that is given, else the engine's smallest; with a capacity, the one for that."""
    if given is not None:
        return given
    if engine != AURORA:
        return POSTGRESQL_CLASS
    return SERVERLESS if serverless else AURORA_CLASS


def check_engine(engine: str, given: Collection[str]) -> list[Finding]:
    """Whether what is `given`, by the names of settings, is an option of that engine."""
    if engine == AURORA:
        return [
            Finding(name, AURORA, f"it must not be there with engine aurora: {why}", mend)
            for name, (why, mend) in RDS_ONLY.items()
            if name in given
        ]
    rule = f"it must not be there with engine {POSTGRESQL}, which has no such thing"
    return [
        Finding(name, POSTGRESQL, rule, "Leave it out, or set engine to aurora.")
        for name in AURORA_ONLY
        if name in given
    ]


def check_snapshot(path: str, engine: str, snapshot: str | None) -> list[Finding]:
    """Whether the engine can start from the snapshot, as far as its ARN says of what it is.

    Aurora takes an instance's too, by its ARN alone.
    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBClusterFromSnapshot.html
    """
    if engine == AURORA or snapshot is None or ":cluster-snapshot:" not in snapshot:
        return []
    rule = f"it must be an instance's with engine {POSTGRESQL}, and is a cluster's, of which RDS makes no instance"
    return [Finding(path, snapshot, rule, "Set engine to aurora, or name the snapshot of an instance.")]


def check_class(path: str, engine: str, instance_class: str) -> list[Finding]:
    """Whether the engine has the class."""
    if engine == AURORA:
        if _CLASS.fullmatch(instance_class):
            return []
        rule = "it must be a class that Aurora has: db.serverless, medium or large of t3 and t4g, or one of r and x"
        return [Finding(path, instance_class, rule, f"Choose {AURORA_CLASS}, db.r7g.large or larger.")]
    if instance_class != SERVERLESS:
        return []
    rule = f"it must not be {SERVERLESS} with engine {POSTGRESQL}: only Aurora has it"
    return [Finding(path, instance_class, rule, "Choose another class, or set engine to aurora.")]


def check_capacity(
    paths: tuple[str, str], instance_class: str, capacity: tuple[float, float] | None, version: str
) -> list[Finding]:
    """Whether capacity, least and most, fits class and version. `paths` are those of class and capacity."""
    where, path = paths
    if capacity is None:
        if instance_class != SERVERLESS:
            return []
        rule = f"it must not be {SERVERLESS} without {path}, which says how much it may take"
        return [Finding(where, instance_class, rule, f"Add {path}, with min and max.")]
    least, most = capacity
    findings: list[Finding] = []
    if instance_class != SERVERLESS:
        rule = f"it must be left out with {path}: a class has a fixed size, or follows the load"
        findings.append(Finding(where, instance_class, rule, f"Leave one of them out, or set it to {SERVERLESS}."))
    if most < LEAST_MOST_CAPACITY:
        rule = f"it must be {LEAST_MOST_CAPACITY} at least"
        findings.append(Finding(f"{path}.max", most, rule, "Raise it."))
    if least > most:
        rule = f"it must be at most {path}.max, {most:g}"
        findings.append(Finding(f"{path}.min", least, rule, "Lower it, or raise the other."))
    first = PAUSING_FROM.get(postgres_major(version))
    if not least and first and "." in version and version_key(version) < version_key(first):
        rule = f"it must be 0.5 at least with PostgreSQL {version}: Aurora pauses from {first} on"
        findings.append(Finding(f"{path}.min", least, rule, f"Raise it, or set engineVersion to {first} or newer."))
    return findings


def check_readers(path: str, most: int | None, replicas: int) -> list[Finding]:
    """Whether there may be up to `most` readers, where there are `replicas` at the least."""
    if most is None:
        return []
    if not replicas:
        rule = "it must be left out without replicas: Aurora adds readers by the load of those that are there"
        return [Finding(path, most, rule, "Set replicas to 1 or more, or leave it out.")]
    if most <= replicas:
        rule = f"it must be more than replicas, {replicas}"
        return [Finding(path, most, rule, "Raise it, or leave it out: then their number stays as it is.")]
    return []


def check_reader_cpu(path: str, cpu: int | None, most: int | None) -> list[Finding]:
    """Whether anything aims at that load."""
    if cpu is None or most is not None:
        return []
    rule = "it must be left out without maxReplicas: their number stays as it is"
    return [Finding(path, cpu, rule, "Add maxReplicas, or leave it out.")]
