"""The cache: engine versions, the parameters that go with them, what it forgets first, and its windows."""

import re
from collections.abc import Iterator
from typing import TypeGuard

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

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = r"([01]\d|2[0-3]):([0-5]\d)"
_SNAPSHOT_WINDOW = re.compile(f"{_TIME}-{_TIME}")
_MAINTENANCE_WINDOW = re.compile(f"({'|'.join(DAYS)}):{_TIME}-({'|'.join(DAYS)}):{_TIME}")
_DAY, _WEEK = 24 * 60, 7 * 24 * 60
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


def cache_family(engine: str, version: str) -> str:
    """The family of parameters that a version takes."""
    major = version.partition(".")[0]
    return "redis6.x" if (engine, major) == ("redis", "6") else f"{engine}{major}"


def check_cache_windows(snapshots: object, maintenance: object) -> list[Finding]:
    """Whether the daily and the weekly window are apart, as ElastiCache wants them. A broken one is another rule's.

    Also with one given alone: the other would be AWS's choice, which has been seen to be in the way.
    https://github.com/hashicorp/terraform/issues/17247
    """
    daily = _SNAPSHOT_WINDOW.fullmatch(snapshots) if _sound(snapshots, SNAPSHOT_WINDOW) else None
    weekly = _MAINTENANCE_WINDOW.fullmatch(maintenance) if _sound(maintenance, CACHE_MAINTENANCE_WINDOW) else None
    if daily and maintenance is None:
        return [_missing("maintenanceWindow", "snapshotWindow")]
    if weekly and snapshots is None:
        return [_missing("snapshotWindow", "maintenanceWindow")]
    if not (daily and weekly):
        return []
    begin, end = _of_day(daily[1], daily[2]), _of_day(daily[3], daily[4])
    taken = {minute for day in range(7) for minute in _minutes(day * _DAY + begin, day * _DAY + end, _DAY)}
    if taken.isdisjoint(_minutes(_of_week(*weekly.group(1, 2, 3)), _of_week(*weekly.group(4, 5, 6)), _WEEK)):
        return []
    rule = f"it must not overlap the snapshots' window, {snapshots}"
    return [Finding("maintenanceWindow", maintenance, rule, "Move one of them.")]


def _missing(path: str, present: str) -> Finding:
    rule = f"it must be given beside {present}, since AWS's own choice may overlap that"
    return Finding(path, NOTHING, rule, "Choose an hour outside of it.")


def _sound(window: object, rule: Rule) -> TypeGuard[str]:
    return isinstance(window, str) and not rule.check("", window)


def _minutes(begin: int, end: int, cycle: int) -> Iterator[int]:
    """The minutes of the week in a window that may go past midnight, or past Sunday."""
    return ((begin + each) % _WEEK for each in range((end - begin) % cycle))


def _of_day(hours: str, minutes: str) -> int:
    return int(hours) * 60 + int(minutes)


def _of_week(day: str, hours: str, minutes: str) -> int:
    return DAYS.index(day) * _DAY + _of_day(hours, minutes)


def _is_snapshot_window(value: str) -> bool:
    found = _SNAPSHOT_WINDOW.fullmatch(value)
    if found is None:
        return False
    return (_of_day(found[3], found[4]) - _of_day(found[1], found[2])) % _DAY >= _LEAST_MINUTES


def _is_maintenance_window(value: str) -> bool:
    found = _MAINTENANCE_WINDOW.fullmatch(value)
    if found is None:
        return False
    return (_of_week(*found.group(4, 5, 6)) - _of_week(*found.group(1, 2, 3))) % _WEEK >= _LEAST_MINUTES


SNAPSHOT_WINDOW = Rule(
    str,
    _is_snapshot_window,
    "it must be an hour of the day at least, in UTC",
    "Write it like 03:00-04:00.",
)

CACHE_MAINTENANCE_WINDOW = Rule(
    str,
    _is_maintenance_window,
    "it must be an hour of the week at least, in UTC",
    "Write it like sun:05:00-sun:06:00.",
)
