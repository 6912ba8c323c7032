"""What Database takes, and what is wrong with it."""

from collections.abc import Collection, Mapping
from typing import Any, NotRequired, TypedDict, cast

import pulumi

from . import planning
from ._checks import camel, check_values, known
from .planning import Finding

USER = "expressway"
"""The master user of a database that starts from no copy."""
STARTS = ("snapshotIdentifier", "restoreToPointInTime")
"""What the state of an instance, or of a cluster, has of where its data came from."""
FULL_COPY = "full-copy"
"""How a cluster is made of another one's backups. The other way, a clone, has no time but the present."""

_RULES = {
    "engine": planning.DATABASE_ENGINE,
    "max_replicas": planning.MOST_READERS,
    "replica_cpu": planning.REPLICA_CPU,
    "engine_version": planning.POSTGRES_VERSION,
    "instance_class": planning.INSTANCE_CLASS,
    "storage_gb": planning.STORAGE_GB,
    "backup_days": planning.BACKUP_DAYS,
    "database_name": planning.DATABASE_NAME,
    "app_user": planning.APP_USER,
    "log_retention_days": planning.LOG_RETENTION_DAYS,
    "slow_statement_ms": planning.SLOW_STATEMENT_MS,
    "max_storage_gb": planning.MAX_STORAGE_GB,
    "backup_window": planning.BACKUP_WINDOW,
    "maintenance_window": planning.MAINTENANCE_WINDOW,
    "insights": planning.INSIGHTS,
    "snapshot": planning.SNAPSHOT,
    "restore_from": planning.RESTORE_FROM,
    "restore_time": planning.RESTORE_TIME,
    "replicas": planning.READ_REPLICAS,
    "proxy_percent": planning.PROXY_PERCENT,
}


CAPACITY_RULES = {"min": planning.CAPACITY, "max": planning.CAPACITY}


class CapacityArgs(TypedDict):
    """How much capacity an instance of Aurora may have, in units of about 2 GiB of memory, in steps of 0.5."""

    min: float
    """The least, 0 to 256; with 0 an instance without connections pauses, and takes some 15 seconds to come back."""
    max: float
    """The most, 1 to 256."""


class DatabaseArgs(TypedDict):
    """Arguments of Database."""

    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[list[str]]
    """Private subnets in two zones at least."""
    engine: NotRequired[str]
    """`postgresql`, an instance on RDS; or `aurora`, a cluster: its storage grows by itself, and its readers are its
    standbys. One can't become the other. Default: postgresql."""
    serverless: NotRequired[CapacityArgs]
    """With aurora, the bounds of a capacity that follows the load, in place of a class. Default: none."""
    max_replicas: NotRequired[int]
    """With aurora, how many readers there may be, 2 to 15: from `replicas` on, Application Auto Scaling adds them by
    their CPU, and takes them away again. Default: none."""
    replica_cpu: NotRequired[int]
    """Average CPU of the readers, in percent, that it aims at, 10 to 90. Default: 60."""
    engine_version: NotRequired[str]
    """PostgreSQL version: 17, or the oldest minor version that will do, such as 17.6. RDS installs newer minor versions
    by itself. Default: 17."""
    instance_class: NotRequired[str]
    """RDS instance class. Default: db.t4g.micro, with aurora db.t4g.medium."""
    storage_gb: NotRequired[int]
    """Storage in GiB (gp3, encrypted). Default: 20."""
    multi_az: NotRequired[bool]
    """A standby in another zone, which takes over by itself. Default: true."""
    replicas: NotRequired[int]
    """Read replicas, 0 to 5, each of the same class; AppServers tells the app of them as DATABASE_REPLICA_URLS. RDS
    makes none where it keeps the password itself: from the first one on, that is in a secret of our own, and nobody
    rotates it unless asked. Aurora's readers are reached by one name, DATABASE_READER_URL, and leave the password to
    RDS. Default: 0."""
    backup_days: NotRequired[int]
    """Days that automatic backups are kept, and that a point in time can be gone back to. Default: 7."""
    deletion_protection: NotRequired[bool]
    """Whether RDS refuses to delete it. Default: true."""
    final_snapshot: NotRequired[bool]
    """Whether deleting it leaves a snapshot. Default: true."""
    apply_immediately: NotRequired[bool]
    """Whether a change of version, class, storage or standby is made at once, which can take the database away for
    minutes; else in its weekly maintenance window. Default: false."""
    database_name: NotRequired[str]
    """The database made in it; a word that PostgreSQL or RDS reserves, such as user or db, only where a copy has it.
    Default: app."""
    app_user: NotRequired[str]
    """The role that the app connects as, in place of the master user: its login is in a secret of its own, and
    AppServers makes it, with rights to that database alone. Another name is another role. Default: none."""
    proxy_percent: NotRequired[int]
    """With it, an RDS Proxy stands before the database, at a price, and may have so many percent of its connections;
    what goes past it needs the others: AppServers' machines measure, and read replicas have no proxy. Default: none."""
    export_logs: NotRequired[bool]
    """Whether RDS sends PostgreSQL's log to CloudWatch Logs, at a price. Default: true."""
    log_retention_days: NotRequired[int]
    """Days that CloudWatch keeps it, one of the numbers that it has. A group that RDS made before keeps it for good.
    Default: 30."""
    slow_statement_ms: NotRequired[int]
    """Milliseconds from which on that log has a statement, without its values; 0 is all, -1 none. Default: 1000."""
    max_storage_gb: NotRequired[int]
    """GiB up to which RDS raises the storage by itself, when less than a tenth of it is free; a tenth more than
    `storage_gb` at least. Without it, storage stays as it is. Default: none."""
    backup_window: NotRequired[str]
    """When RDS takes its daily snapshot: UTC, 30 minutes or longer, such as 03:00-03:30. Without it RDS chooses.
    Default: none."""
    maintenance_window: NotRequired[str]
    """When RDS makes what can take the database away: UTC, 30 minutes or longer, such as sun:04:00-sun:04:30, and apart
    from `backup_window`. Without it RDS chooses. Default: none."""
    insights: NotRequired[str]
    """Mode of CloudWatch Database Insights, which shows what Performance Insights measures: `standard` (a week, free of
    charge), `advanced` (15 months, at a price), or `none`. Default: none."""
    parameters: NotRequired[dict[str, str]]
    """PostgreSQL's parameters that are to differ from those that the program sets; some count after a reboot only.
    Default: none."""
    snapshot: NotRequired[str]
    """Name or ARN of the snapshot that the database starts from, which has to be encrypted. User and database are the
    snapshot's, `database_name` has to be among its own; it counts when the database is made, and never after. With
    aurora a cluster's; or an instance's, by its ARN, of the same major version. Default: none."""
    restore_from: NotRequired[str]
    """Identifier of the RDS instance, with aurora of the cluster, whose backups the database starts from, as of
    `restore_time`; otherwise as `snapshot`. Default: none."""
    restore_time: NotRequired[str]
    """The point in time: UTC, such as 2026-11-26T09:30:00Z. Without it, the latest that there is. Default: none."""


def find_mistakes(args: DatabaseArgs, stands: Mapping[str, Any]) -> list[Finding]:
    """Every broken rule. `stands` is the instance or cluster that is there, as the stack's state has it."""
    findings = [*check_values(args, _RULES), *planning.check_parameters("parameters", args.get("parameters", {}))]
    findings += check_values(args.get("serverless"), CAPACITY_RULES, "serverless.")
    wrong = {each.path for each in findings}
    if "engine" not in wrong:
        findings += _check_engine(args, wrong)
    if not wrong & {"backupWindow", "maintenanceWindow"}:
        findings += planning.check_windows(args.get("backup_window"), args.get("maintenance_window"))
    if not wrong & {"storageGb", "maxStorageGb"}:
        findings += planning.check_max_storage("maxStorageGb", args.get("max_storage_gb"), args.get("storage_gb", 20))
    if not wrong & {"snapshot", "restoreFrom", "restoreTime"}:
        findings += planning.check_start(args.get("snapshot"), args.get("restore_from"), args.get("restore_time"))
    if "appUser" not in wrong:
        master = str(stands.get("username") or stands.get("masterUsername") or USER)
        findings += planning.check_app_user("appUser", args.get("app_user"), master)
    if "databaseName" not in wrong and not stands and not start(args, stands):
        findings += planning.check_database_name("databaseName", args.get("database_name", "app"))
    if "replicas" not in wrong and not _clustered(args) and not stands and start(args, stands):
        findings += planning.check_replicas_of_copy("replicas", args.get("replicas", 0))
    return findings + _check_proxy(args)


def _check_proxy(args: DatabaseArgs) -> list[Finding]:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-network-prereqs.html"""
    subnets = known(args["subnet_ids"])
    if "proxy_percent" not in args or not isinstance(subnets, list) or len(cast(list[Any], subnets)) > 1:
        return []
    rule = "it must be two subnets at least, in two zones, with an RDS Proxy"
    return [Finding("subnetIds", subnets, rule, "Add one in another zone, or leave proxyPercent out.")]


def _check_engine(args: DatabaseArgs, wrong: Collection[str]) -> list[Finding]:
    engine, replicas, most = args.get("engine", planning.POSTGRESQL), args.get("replicas", 0), args.get("max_replicas")
    said = {path.partition(".")[0] for path in wrong}
    findings = planning.check_engine(engine, [each for name in args if (each := camel(name)) not in said])
    if "instanceClass" not in wrong:
        findings += planning.check_class("instanceClass", engine, instance_class(args))
    if "snapshot" not in wrong:
        findings += planning.check_snapshot("snapshot", engine, args.get("snapshot"))
    if engine != planning.AURORA:
        return findings
    if not {"instanceClass", "engineVersion", "serverless.min", "serverless.max"} & {*wrong}:
        version, paths = args.get("engine_version", "17"), ("instanceClass", "serverless")
        findings += planning.check_capacity(paths, instance_class(args), capacity(args), version)
    if not {"replicas", "maxReplicas"} & {*wrong}:
        findings += planning.check_readers("maxReplicas", most, replicas)
        findings += planning.check_reader_cpu("replicaCpu", args.get("replica_cpu"), most)
    return findings


def start(args: DatabaseArgs, stands: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the database starts from, or has started from: RDS would make it anew for another. Empty for nothing."""
    if stands:
        return {key: stands[key] for key in STARTS if stands.get(key)}
    if snapshot := args.get("snapshot"):
        return {"snapshotIdentifier": snapshot}
    if source := args.get("restore_from"):
        time, latest = args.get("restore_time"), {"useLatestRestorableTime": True}
        if _clustered(args):
            of = {"sourceClusterIdentifier": source, "restoreType": FULL_COPY}
            return {"restoreToPointInTime": {**of, **({"restoreToTime": time} if time else latest)}}
        of = {"sourceDbInstanceIdentifier": source}
        return {"restoreToPointInTime": {**of, **({"restoreTime": time} if time else latest)}}
    return {}


def _clustered(args: DatabaseArgs) -> bool:
    return args.get("engine") == planning.AURORA


def instance_class(args: DatabaseArgs) -> str:
    """Of each instance."""
    engine = args.get("engine", planning.POSTGRESQL)
    return planning.database_class(engine, args.get("instance_class"), "serverless" in args)


def capacity(args: DatabaseArgs) -> tuple[float, float] | None:
    """The least and the most of an instance whose capacity follows its load."""
    given = args.get("serverless")
    return (given["min"], given["max"]) if given is not None else None
