"""The database's windows, storage that grows by itself, insights, and what it starts from."""

from datetime import datetime

from . import windows
from .findings import NOTHING, Finding
from .rule import Rule, choice, matching, number

BACKUP_WINDOW = matching(
    windows.OF_THE_DAY, "it must be a time of the day in UTC, from and to", "Write it like 03:00-03:30."
)
MAINTENANCE_WINDOW = matching(
    windows.OF_THE_WEEK,
    "it must be a time of the week in UTC, from and to, with days in lower case",
    "Write it like sun:04:00-sun:04:30.",
)
SHORTEST_WINDOW = 30
"""Minutes. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""

MAX_STORAGE_GB = number(22, 65536)
"""GiB up to which RDS raises the storage by itself: more than the least that it begins with by a tenth."""

MOST_SHARDS = 16
SHARDS = number(1, MOST_SHARDS)
"""Databases that have a part of the data each. Whose data needs more is better off with an engine made for that."""

INSIGHTS_DAYS = {"standard": 7, "advanced": 465}
"""Mode of CloudWatch Database Insights -> days that Performance Insights keeps its figures, the fewest that it takes.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DatabaseInsights.Considerations.html"""

INSIGHTS = choice(("none", *INSIGHTS_DAYS))

SNAPSHOT = matching(
    r"(?=.{1,340}$)(arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{12}:(cluster-)?snapshot:)?(rds:)?[A-Za-z](-?[A-Za-z0-9])*",
    "it must be the name or ARN of an RDS snapshot",
    "aws rds describe-db-snapshots lists them, and describe-db-cluster-snapshots those of Aurora.",
)

RESTORE_FROM = matching(
    r"(?=.{1,63}$)[a-z](-?[a-z0-9])*",
    "it must be the identifier of an RDS instance, or with engine aurora of a cluster",
    "aws rds describe-db-instances lists them, and describe-db-clusters those of Aurora.",
)


def _is_time(value: str) -> bool:
    try:
        datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return True


RESTORE_TIME = Rule(
    str, _is_time, "it must be a time in UTC, to the second", 'Write it in quotes, like "2026-11-26T09:30:00Z".'
)


def storage_gb(wanted: int, running: int | None, most: int | None) -> int:
    """How much to ask RDS for: what it has come to by itself counts, as storage can't shrink."""
    return running if most and running and wanted < running <= most else wanted


def insights_mode(wanted: str, running: str | None) -> str | None:
    """The mode to ask RDS for, where `running` is the present one; None to say nothing."""
    if wanted != "none":
        return wanted
    # RDS keeps the mode otherwise, and refuses the advanced one without Performance Insights.
    return "standard" if running == "advanced" else None


def check_max_storage(path: str, most: int | None, storage: int) -> list[Finding]:
    """Whether storage may grow from `storage` to `most` GiB.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
    """
    least = -(-storage * 11 // 10)
    if most is None or most >= least:
        return []
    rule = f"it must be a tenth more than the storage that the database begins with, so {least} or more"
    return [Finding(path, most, rule, "Raise it, or leave it out: then storage stays as it is.")]


def check_windows(
    backup: str | None, maintenance: str | None, paths: tuple[str, str] = ("backupWindow", "maintenanceWindow")
) -> list[Finding]:
    """Whether windows are long enough, and apart. Both have the right form."""
    findings: list[Finding] = []
    for path, window in zip(paths, (backup, maintenance), strict=True):
        if window is None:
            continue
        long = windows.minutes(window)
        if long < SHORTEST_WINDOW:
            findings.append(Finding(path, window, f"it must be {SHORTEST_WINDOW} minutes or longer", "Make it longer."))
        elif long >= windows.DAY_MINUTES:
            findings.append(Finding(path, window, "it must be shorter than a day", "Make it shorter."))
    if not findings and backup and maintenance and windows.overlap(backup, maintenance):
        rule = f"it must not overlap {paths[0]}, {backup}"
        findings.append(Finding(paths[1], maintenance, rule, "Move one of them."))
    return findings


def check_replicas_of_copy(path: str, replicas: int) -> list[Finding]:
    """Whether a database that is made from a copy, and isn't there yet, may have replicas.

    They need a password of our own, kept with the user's name; and that is the copy's, which nobody knows before.
    """
    if not replicas:
        return []
    rule = "it must be 0 until the database that starts from a copy is there"
    return [Finding(path, replicas, rule, "Leave it out in the first update, and set it in the next.")]


def check_shards(path: str, shards: int, snapshot: str | None, restore_from: str | None) -> list[Finding]:
    """Whether as many databases may start from what the first one is to start from."""
    start = "snapshot" if snapshot is not None else "restoreFrom" if restore_from is not None else None
    if shards == 1 or start is None:
        return []
    rule = f"it must be 1 with {start}, which holds one database's data: the others would have none of theirs"
    return [Finding(path, shards, rule, f"Leave {start} out, which a database that stands needs no more; or this.")]


def check_further_shards(path: str, count: int) -> list[Finding]:
    """Whether there may be `count` databases beside the first."""
    if count < MOST_SHARDS:
        return []
    rule = f"it must have at most {MOST_SHARDS - 1} entries, and has {count}"
    return [Finding(path, NOTHING, rule, "Take larger databases, or an engine that is made for more.")]


def check_start(
    snapshot: str | None,
    restore_from: str | None,
    restore_time: str | None,
    paths: tuple[str, str, str] = ("snapshot", "restoreFrom", "restoreTime"),
) -> list[Finding]:
    """Whether what a database starts from is one thing."""
    findings: list[Finding] = []
    if snapshot is not None and restore_from is not None:
        rule = f"it must not be there with {paths[0]}: a database starts from one of them"
        findings.append(Finding(paths[1], restore_from, rule, "Leave one of them out."))
    if restore_time is not None and restore_from is None:
        rule = f"it must not be there without {paths[1]}, whose time it is"
        findings.append(Finding(paths[2], restore_time, rule, f"Add {paths[1]}, or leave it out."))
    return findings
