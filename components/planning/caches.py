"""The cache: engine versions, the parameters that go with them, its shards, what it forgets first, and its windows."""

import re
from collections.abc import Callable

from . import windows
from .data import REPLICAS
from .findings import NOTHING, UNKNOWN, Finding
from .rule import Rule, choice, number

CACHE_VERSIONS = {"redis": ("6.2", "7.0", "7.1"), "valkey": ("7.2", "8.0", "8.1", "8.2")}
"""Versions of Redis OSS and Valkey on ElastiCache that are in standard support.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/engine-versions.html"""

CACHE_ENGINE = choice(tuple(CACHE_VERSIONS))

_DEFAULT_VERSIONS = {"redis": "7.1", "valkey": "8.1"}

EVICTION_POLICIES = (
    "volatile-lru",
    "volatile-lfu",
    "volatile-ttl",
    "volatile-random",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
)
"""What goes when memory is full: volatile-* are keys that expire, allkeys-* all.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/ParameterGroups.Engine.html"""

EVICTION_POLICY = choice(EVICTION_POLICIES, "it must be an eviction policy that ElastiCache has")

SNAPSHOT_DAYS = number(0, 35)
"""https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/backups-automatic.html"""

MOST_CACHE_NODES = 90
"""Of a cluster, replicas included, unless AWS has raised an account's quota.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Clusters.html"""

CACHE_SHARDS = number(1, MOST_CACHE_NODES)

_LEAST_MINUTES = 60
"""Of either window."""


def cache_version(engine: str, version: str | None) -> str:
    """The version, or without one what a new cache of that engine gets."""
    return version or _DEFAULT_VERSIONS[engine]


def check_cache_version(path: str, engine: object, version: object) -> list[Finding]:
    """Whether the engine has the version. A broken engine is another rule's."""
    if version is None or CACHE_ENGINE.check("", engine) or engine is UNKNOWN:
        return []
    must = f"it must be a {str(engine).capitalize()} version that ElastiCache has"
    return choice(CACHE_VERSIONS[str(engine)], must).check(path, version)


def check_cache_shards(path: str, shards: int | None, replicas: int) -> list[Finding]:
    """Whether there can be a cluster of so many shards, of `replicas` standbys each. A broken number is another rule's.

    AWS would make one of a single node, which has the cost of a cluster for clients and nothing of its use.
    """
    if shards is None or CACHE_SHARDS.check(path, shards) or REPLICAS.check(path, replicas):
        return []
    nodes = cache_nodes(shards, replicas)
    if nodes == 1:
        rule = "it must be 2 or more without replicas: a cluster of a single node spreads nothing"
        return [Finding(path, shards, rule, "Raise it or replicas, or leave it out for a cache that is no cluster.")]
    if nodes > MOST_CACHE_NODES:
        most = MOST_CACHE_NODES // (1 + replicas)
        rule = f"it must be at most {most} with replicas {replicas}: {nodes} nodes are more than {MOST_CACHE_NODES}"
        return [Finding(path, shards, rule, "Lower it, or replicas.")]
    return []


def cache_nodes(shards: int | None, replicas: int) -> int:
    """How many nodes there are of so many shards, or of a cache that is no cluster."""
    return (shards or 1) * (1 + replicas)


def cache_node_numbers(shards: int | None, nodes: int) -> list[str]:
    """What ElastiCache appends to a replication group's id for each of its nodes, of which a shard has `nodes`.

    It does not let anybody choose.
    """
    each = [f"{number:03}" for number in range(1, nodes + 1)]
    return each if shards is None else [f"{shard:04}-{node}" for shard in range(1, shards + 1) for node in each]


def cache_family(engine: str, version: str) -> str:
    """The family of parameters that a version takes."""
    major = version.partition(".")[0]
    return "redis6.x" if (engine, major) == ("redis", "6") else f"{engine}{major}"


def check_cache_windows(snapshots: object, maintenance: object) -> list[Finding]:
    """Whether the daily and the weekly window are apart, as ElastiCache wants them. A broken one is another rule's.

    Also with one given alone: the other would be AWS's choice, which has been seen to be in the way.
    https://github.com/hashicorp/terraform/issues/17247
    """
    daily = _sound(snapshots, SNAPSHOT_WINDOW)
    weekly = _sound(maintenance, CACHE_MAINTENANCE_WINDOW)
    if daily and maintenance is None:
        return [_missing("maintenanceWindow", "snapshotWindow")]
    if weekly and snapshots is None:
        return [_missing("snapshotWindow", "maintenanceWindow")]
    if not daily or not weekly or not windows.overlap(daily, weekly):
        return []
    rule = f"it must not overlap the snapshots' window, {snapshots}"
    return [Finding("maintenanceWindow", maintenance, rule, "Move one of them.")]


def _missing(path: str, present: str) -> Finding:
    rule = f"it must be given beside {present}, since AWS's own choice may overlap that"
    return Finding(path, NOTHING, rule, "Choose an hour outside of it.")


def _sound(window: object, rule: Rule) -> str | None:
    return window if isinstance(window, str) and not rule.check("", window) else None


def _long_enough(form: str) -> Callable[[str], bool]:
    return lambda window: bool(re.fullmatch(form, window)) and windows.minutes(window) >= _LEAST_MINUTES


SNAPSHOT_WINDOW = Rule(
    str,
    _long_enough(windows.OF_THE_DAY),
    "it must be an hour of the day at least, in UTC",
    "Write it like 03:00-04:00.",
)

CACHE_MAINTENANCE_WINDOW = Rule(
    str,
    _long_enough(windows.OF_THE_WEEK),
    "it must be an hour of the week at least, in UTC",
    "Write it like sun:05:00-sun:06:00.",
)
