"""PostgreSQL on RDS."""

import json
import secrets
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

import pulumi
import pulumi_aws as aws

from . import _logs, _replicas, _secrets, _security, planning, state
from ._checks import check_values, require, require_names
from .access import DatabaseAccessArgs
from .planning import Finding, postgres_major, postgres_version

SNAPSHOT = "finalSnapshotIdentifier"
STARTS = ("snapshotIdentifier", "restoreToPointInTime")
"""What an instance's state has of where its data came from."""
USER = "expressway"
"""The master user of a database that starts from no copy."""

_RULES = {
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
}


class DatabaseArgs(TypedDict):
    """Arguments of Database."""

    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[list[str]]
    """Private subnets in two zones at least."""
    engine_version: NotRequired[str]
    """PostgreSQL version: 17, or the oldest minor version that will do, such as 17.6. RDS installs newer minor versions
    by itself. Default: 17."""
    instance_class: NotRequired[str]
    """RDS instance class. Default: db.t4g.micro."""
    storage_gb: NotRequired[int]
    """Storage in GiB (gp3, encrypted). Default: 20."""
    multi_az: NotRequired[bool]
    """A standby in another zone, which takes over by itself. Default: true."""
    replicas: NotRequired[int]
    """Read replicas, 0 to 5, each of the same class; AppServers tells the app of them as DATABASE_REPLICA_URLS. RDS
    makes none where it keeps the password itself: from the first one on, that is in a secret of our own, and nobody
    rotates it unless asked. Default: 0."""
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
    """The database made in it. Default: app."""
    app_user: NotRequired[str]
    """The role that the app connects as, in place of the master user: its login is in a secret of its own, and
    AppServers makes it, with rights to that database alone. Another name is another role. Default: none."""
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
    snapshot's, `database_name` has to be among its own; it counts when the database is made, and never after.
    Default: none."""
    restore_from: NotRequired[str]
    """Identifier of the RDS instance whose backups the database starts from, as of `restore_time`; otherwise as
    `snapshot`. Default: none."""
    restore_time: NotRequired[str]
    """The point in time: UTC, such as 2026-11-26T09:30:00Z. Without it, the latest that there is. Default: none."""


class Database(pulumi.ComponentResource):
    """A PostgreSQL instance: encrypted, TLS only, in private subnets, its password made and kept by RDS; and replicas.

    Its security group lets nobody in; who connects adds a rule for a group of its own.
    """

    host: pulumi.Output[str]
    """Its DNS name."""
    port: pulumi.Output[int]
    """Its port."""
    name: pulumi.Output[str]
    """The database made in it."""
    secret_arn: pulumi.Output[str]
    """The Secrets Manager secret that has the login: JSON with username and password."""
    password_secret_arn: pulumi.Output[str]
    """The same where that is our own; empty where RDS keeps the password, and rotates it by itself."""
    app_secret_arn: pulumi.Output[str]
    """The secret with the login of the app's own role; empty where the app connects as the master user."""
    security_group_id: pulumi.Output[str]
    """The group to let clients into."""
    max_connections: pulumi.Output[int]
    """How many connections it takes at the least, by its class's memory; 100 for a class whose memory isn't known."""
    identifier: pulumi.Output[str]
    """Its identifier in RDS, by which its metrics are found."""
    replica_identifiers: pulumi.Output[list[str]]
    """Those of its read replicas."""
    log_group: pulumi.Output[str]
    """The group of CloudWatch Logs that RDS tells its log; empty without logs."""
    access: DatabaseAccessArgs
    """How to reach it, which AppServers takes as `database`."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:Database", name, None, opts)
        require_names("Database", name, args, DatabaseArgs)
        there = state.read()
        stands = there.outputs(state.DATABASE, f"{name}-instance")
        require("Database", name, _find_mistakes(args, stands))
        child = pulumi.ResourceOptions(parent=self)
        at_once = args.get("apply_immediately", False)
        running = stands.get("engineVersionActual")
        version = postgres_version(args.get("engine_version", "17"), running)
        group = _security.group(f"{name}-group", args["vpc_id"], f"PostgreSQL {name}", child)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", subnet_ids=args["subnet_ids"], description=f"PostgreSQL {name}", opts=child
        )
        major = postgres_major(version)
        parameters = self._create_parameters(name, major, args, child)
        # Later runs draw another, and ignore it.
        ignored = [] if stands and not stands.get(SNAPSHOT) else [SNAPSHOT]
        asked = postgres_major(stands.get("engineVersion", "")) == major
        if running and postgres_major(running) != major and (asked or not at_once):
            # Until the window, the old version runs with its own group, which RDS would refuse to delete.
            self._create_parameters(name, postgres_major(running), args, child)
            if asked:
                # RDS tells of the old group until then, and takes the new one only along with its version.
                ignored.append("parameterGroupName")
        exported = args.get("export_logs", True)
        # Known before the instance is there, for its log group; and as random as a name that the engine draws.
        identifier = stands.get("identifier") or subnets.name.apply(
            lambda drawn: drawn.replace(f"{name}-subnets", f"{name}-instance")
        )
        # RDS makes the group itself where there is none. One that it has made can't be made again.
        logs = None
        if exported and (not stands or there.outputs(state.LOG_GROUP, f"{name}-logs")):
            logs = self._create_log_group(name, identifier, args, child)
        start = _start(args, stands)
        most, grown = args.get("max_storage_gb"), int(stands.get("allocatedStorage", 0))
        insights = args.get("insights", "none")
        final_snapshot = args.get("final_snapshot", True)
        protection = args.get("deletion_protection", True)
        own = self._keep_password(name, args, there, stands, child)
        # What a replica has as its source has it.
        alike: dict[str, Any] = {
            "instance_class": args.get("instance_class", "db.t4g.micro"),
            "max_allocated_storage": most,
            "storage_type": "gp3",
            "storage_encrypted": True,
            "vpc_security_group_ids": [group.id],
            "parameter_group_name": parameters.name,
            "publicly_accessible": False,
            "maintenance_window": args.get("maintenance_window"),
            "performance_insights_enabled": insights != "none",
            "performance_insights_retention_period": planning.INSIGHTS_DAYS.get(insights),
            "copy_tags_to_snapshot": True,
            "auto_minor_version_upgrade": True,
            "apply_immediately": at_once,
        }
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=identifier,
            engine="postgres",
            engine_version=version,
            # A new major version is set by whoever wants it, and shows in the preview.
            allow_major_version_upgrade=True,
            allocated_storage=planning.storage_gb(args.get("storage_gb", 20), grown, most),
            # What is in a copy already has both.
            db_name=None if start else args.get("database_name", "app"),
            username=None if start else USER,
            manage_master_user_password=None if own else True,
            password=own.secret_string.apply(_password) if own else None,
            snapshot_identifier=start.get("snapshotIdentifier"),
            restore_to_point_in_time=_point_in_time(start),
            db_subnet_group_name=subnets.name,
            multi_az=args.get("multi_az", True),
            backup_retention_period=args.get("backup_days", 7),
            backup_window=args.get("backup_window"),
            database_insights_mode=planning.insights_mode(insights, stands.get("databaseInsightsMode")),
            enabled_cloudwatch_logs_exports=["postgresql"] if exported else [],
            deletion_protection=protection,
            skip_final_snapshot=not final_snapshot,
            # Drawn for each instance, as snapshots outlive stacks and replacements.
            final_snapshot_identifier=f"{name}-final-{secrets.token_hex(4)}",
            opts=pulumi.ResourceOptions(
                parent=self,
                # RDS would refuse to delete it only after Pulumi made its replacement; Pulumi refuses before.
                protect=protection,
                ignore_changes=ignored,
                depends_on=[logs] if logs else [],
            ),
            **alike,
        )
        replicas = _replicas.create(
            # As long as the instance's own, of whose name AWS limits the length.
            *(f"{name}-replica", args.get("replicas", 0), instance, alike, there),
            storage=(args.get("storage_gb", 20), grown, most),
            insights=insights,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=[each for each in ignored if each != SNAPSHOT]),
        )

        self.host = instance.address
        self.port = instance.port.apply(int)
        # RDS tells of a copy what it was made with once, and not what is in it.
        self.name = pulumi.Output.from_input(args.get("database_name", "app")) if start else instance.db_name
        self.secret_arn = (
            own.secret_arn
            if own
            else instance.master_user_secrets.apply(lambda secrets: cast(str, secrets[0].secret_arn))
        )
        self.password_secret_arn = own.secret_arn if own else pulumi.Output.from_input("")
        app_login = self._keep_app_login(name, args, child)
        self.app_secret_arn = app_login or pulumi.Output.from_input("")
        self.security_group_id = group.id
        connections = planning.sure_connections(args.get("instance_class", "db.t4g.micro"), args.get("parameters"))
        self.max_connections = pulumi.Output.from_input(connections or planning.DEFAULT_CONNECTIONS)
        self.identifier = instance.identifier
        self.replica_identifiers = pulumi.Output.all(*(each.identifier for each in replicas)).apply(list)
        self.log_group = _log_group(instance.identifier) if exported else pulumi.Output.from_input("")
        self.access = {
            "host": self.host,
            "port": self.port,
            "name": self.name,
            "secret_arn": app_login or self.secret_arn,
            "security_group_id": self.security_group_id,
            "replica_hosts": pulumi.Output.all(*(each.address for each in replicas)).apply(list),
            "max_connections": self.max_connections,
        }
        if app_login:
            self.access["master_secret_arn"] = self.secret_arn
        self.register_outputs(
            {
                "host": self.host,
                "port": self.port,
                "name": self.name,
                "secret_arn": self.secret_arn,
                "password_secret_arn": self.password_secret_arn,
                "app_secret_arn": self.app_secret_arn,
                "security_group_id": self.security_group_id,
                "max_connections": self.max_connections,
                "identifier": self.identifier,
                "replica_identifiers": self.replica_identifiers,
                "log_group": self.log_group,
                "access": self.access,
            }
        )

    def _keep_password(
        self,
        name: str,
        args: DatabaseArgs,
        there: state.State,
        stands: Mapping[str, Any],
        child: pulumi.ResourceOptions,
    ) -> "aws.secretsmanager.SecretVersion | None":
        """A secret of our own with user and password, where there are replicas, or were; None leaves both to RDS.

        RDS would draw another password if it became its own again, and app servers that stand would be refused.
        """
        if not args.get("replicas", 0) and not there.outputs(state.SECRET, f"{name}-password"):
            return None
        if kept := stands.get("masterUserSecrets"):
            # The password stays what it is, so that app servers that have it go on.
            login = aws.secretsmanager.get_secret_version_output(
                secret_id=kept[0]["secretArn"], opts=pulumi.InvokeOutputOptions(parent=self)
            ).secret_string
        else:
            login = pulumi.Output.json_dumps(
                {"username": stands.get("username") or USER, "password": _secrets.draw(self)}
            )
        return _secrets.keep(f"{name}-password", f"PostgreSQL login of {name}", pulumi.Output.secret(login), child)

    def _keep_app_login(
        self, name: str, args: DatabaseArgs, child: pulumi.ResourceOptions
    ) -> pulumi.Output[str] | None:
        """The secret with the login of the app's own role, which machines make; None without one."""
        if not (user := args.get("app_user")):
            return None
        login = pulumi.Output.json_dumps({"username": user, "password": _secrets.draw(self)})
        # The role is part of the name, as what is in the secret stays as it is.
        named = f"{name}-user-{user}"
        return _secrets.keep(
            named, f"PostgreSQL login of the app in {name}", pulumi.Output.secret(login), child
        ).secret_arn

    def _create_log_group(
        self, name: str, identifier: pulumi.Input[str], args: DatabaseArgs, child: pulumi.ResourceOptions
    ) -> "aws.cloudwatch.LogGroup":
        return aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=_log_group(identifier),
            retention_in_days=args.get("log_retention_days", _logs.RETENTION_DAYS),
            opts=child,
        )

    def _create_parameters(
        self, name: str, major: str, args: DatabaseArgs, child: pulumi.ResourceOptions
    ) -> "aws.rds.ParameterGroup":
        planned = planning.postgres_parameters(args.get("slow_statement_ms", 1000), args.get("parameters"))
        return aws.rds.ParameterGroup(
            # The family is part of the name, as RDS can't change it in place.
            f"{name}-postgres{major}",
            family=f"postgres{major}",
            description=f"PostgreSQL {name}",
            # RDS would refuse to change at once what it takes with a reboot only.
            parameters=[_parameter(each) for each in planned],
            opts=child,
        )


def _parameter(planned: planning.Parameter) -> "aws.rds.ParameterGroupParameterArgsDict":
    # Not the class, which says `immediate` where nothing is said: standing groups would change.
    given: aws.rds.ParameterGroupParameterArgsDict = {"name": planned.name, "value": planned.value}
    return {**given, "apply_method": "pending-reboot"} if planned.waits else given


def _password(login: str | None) -> str:
    return json.loads(login or "{}")["password"]


def _find_mistakes(args: DatabaseArgs, stands: Mapping[str, Any]) -> list[Finding]:
    findings = [*check_values(args, _RULES), *planning.check_parameters("parameters", args.get("parameters", {}))]
    wrong = {each.path for each in findings}
    if not wrong & {"backupWindow", "maintenanceWindow"}:
        findings += planning.check_windows(args.get("backup_window"), args.get("maintenance_window"))
    if not wrong & {"storageGb", "maxStorageGb"}:
        findings += planning.check_max_storage("maxStorageGb", args.get("max_storage_gb"), args.get("storage_gb", 20))
    if not wrong & {"snapshot", "restoreFrom", "restoreTime"}:
        findings += planning.check_start(args.get("snapshot"), args.get("restore_from"), args.get("restore_time"))
    if "appUser" not in wrong:
        findings += planning.check_app_user("appUser", args.get("app_user"), str(stands.get("username") or USER))
    if "replicas" not in wrong and not stands and _start(args, stands):
        findings += planning.check_replicas_of_copy("replicas", args.get("replicas", 0))
    return findings


def _start(args: DatabaseArgs, stands: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the database starts from, or has started from: RDS would make it anew for another. Empty for nothing."""
    if stands:
        return {key: stands[key] for key in STARTS if stands.get(key)}
    if snapshot := args.get("snapshot"):
        return {"snapshotIdentifier": snapshot}
    if source := args.get("restore_from"):
        time = args.get("restore_time")
        when = {"restoreTime": time} if time else {"useLatestRestorableTime": True}
        return {"restoreToPointInTime": {"sourceDbInstanceIdentifier": source, **when}}
    return {}


def _point_in_time(start: Mapping[str, Any]) -> "aws.rds.InstanceRestoreToPointInTimeArgs | None":
    point: Mapping[str, Any] | None = start.get("restoreToPointInTime")
    if point is None:
        return None
    return aws.rds.InstanceRestoreToPointInTimeArgs(
        source_db_instance_identifier=point.get("sourceDbInstanceIdentifier"),
        restore_time=point.get("restoreTime"),
        use_latest_restorable_time=point.get("useLatestRestorableTime"),
    )


def _log_group(identifier: pulumi.Input[str]) -> pulumi.Output[str]:
    """Where RDS tells the log of an instance.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html
    """
    return pulumi.Output.concat("/aws/rds/instance/", identifier, "/postgresql")
