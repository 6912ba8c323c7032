"""PostgreSQL on RDS."""

import secrets
from typing import NotRequired, TypedDict, cast

import pulumi
import pulumi_aws as aws

from . import _logs, _security, planning, state
from ._checks import check_values, require, require_names
from .access import DatabaseAccessArgs
from .planning import postgres_major, postgres_version

SNAPSHOT = "finalSnapshotIdentifier"

_RULES = {
    "engine_version": planning.POSTGRES_VERSION,
    "instance_class": planning.INSTANCE_CLASS,
    "storage_gb": planning.STORAGE_GB,
    "backup_days": planning.BACKUP_DAYS,
    "database_name": planning.DATABASE_NAME,
    "log_retention_days": planning.LOG_RETENTION_DAYS,
    "slow_statement_ms": planning.SLOW_STATEMENT_MS,
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
    backup_days: NotRequired[int]
    """Days that automatic backups are kept. Default: 7."""
    deletion_protection: NotRequired[bool]
    """Whether RDS refuses to delete it. Default: true."""
    final_snapshot: NotRequired[bool]
    """Whether deleting it leaves a snapshot. Default: true."""
    apply_immediately: NotRequired[bool]
    """Whether a change of version, class, storage or standby is made at once, which can take the database away for
    minutes; else in its weekly maintenance window. Default: false."""
    database_name: NotRequired[str]
    """The database made in it. Default: app."""
    export_logs: NotRequired[bool]
    """Whether RDS sends PostgreSQL's log to CloudWatch Logs, at a price. Default: true."""
    log_retention_days: NotRequired[int]
    """Days that CloudWatch keeps it, one of the numbers that it has. A group that RDS made before keeps it for good.
    Default: 30."""
    slow_statement_ms: NotRequired[int]
    """Milliseconds from which on that log has a statement, without its values; 0 is all, -1 none. Default: 1000."""


class Database(pulumi.ComponentResource):
    """A PostgreSQL instance: encrypted, TLS only, in private subnets, its password made and kept by RDS.

    Its security group lets nobody in; who connects adds a rule for a group of its own.
    """

    host: pulumi.Output[str]
    """Its DNS name."""
    port: pulumi.Output[int]
    """Its port."""
    name: pulumi.Output[str]
    """The database made in it."""
    secret_arn: pulumi.Output[str]
    """The Secrets Manager secret that RDS keeps: JSON with username and password."""
    security_group_id: pulumi.Output[str]
    """The group to let clients into."""
    identifier: pulumi.Output[str]
    """Its identifier in RDS, by which its metrics are found."""
    log_group: pulumi.Output[str]
    """The group of CloudWatch Logs that RDS tells its log; empty without logs."""
    access: DatabaseAccessArgs
    """How to reach it, which AppServers takes as `database`."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:Database", name, None, opts)
        require_names("Database", name, args, DatabaseArgs)
        require("Database", name, check_values(args, _RULES))
        child = pulumi.ResourceOptions(parent=self)
        at_once = args.get("apply_immediately", False)
        there = state.read()
        stands = there.outputs(state.DATABASE, f"{name}-instance")
        running = stands.get("engineVersionActual")
        version = postgres_version(args.get("engine_version", "17"), running)
        group = _security.group(f"{name}-group", args["vpc_id"], f"PostgreSQL {name}", child)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", subnet_ids=args["subnet_ids"], description=f"PostgreSQL {name}", opts=child
        )
        major = postgres_major(version)
        slow = args.get("slow_statement_ms", 1000)
        parameters = self._create_parameters(name, major, slow, child)
        # Later runs draw another, and ignore it.
        ignored = [] if stands and not stands.get(SNAPSHOT) else [SNAPSHOT]
        asked = postgres_major(stands.get("engineVersion", "")) == major
        if running and postgres_major(running) != major and (asked or not at_once):
            # Until the window, the old version runs with its own group, which RDS would refuse to delete.
            self._create_parameters(name, postgres_major(running), slow, child)
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
        final_snapshot = args.get("final_snapshot", True)
        protection = args.get("deletion_protection", True)
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=identifier,
            engine="postgres",
            engine_version=version,
            # A new major version is set by whoever wants it, and shows in the preview.
            allow_major_version_upgrade=True,
            instance_class=args.get("instance_class", "db.t4g.micro"),
            allocated_storage=args.get("storage_gb", 20),
            storage_type="gp3",
            storage_encrypted=True,
            db_name=args.get("database_name", "app"),
            username="expressway",
            manage_master_user_password=True,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            parameter_group_name=parameters.name,
            multi_az=args.get("multi_az", True),
            publicly_accessible=False,
            backup_retention_period=args.get("backup_days", 7),
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            apply_immediately=at_once,
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
        )

        self.host = instance.address
        self.port = instance.port.apply(int)
        self.name = instance.db_name
        self.secret_arn = instance.master_user_secrets.apply(lambda secrets: cast(str, secrets[0].secret_arn))
        self.security_group_id = group.id
        self.identifier = instance.identifier
        self.log_group = _log_group(instance.identifier) if exported else pulumi.Output.from_input("")
        self.access = {
            "host": self.host,
            "port": self.port,
            "name": self.name,
            "secret_arn": self.secret_arn,
            "security_group_id": self.security_group_id,
        }
        self.register_outputs(
            {
                "host": self.host,
                "port": self.port,
                "name": self.name,
                "secret_arn": self.secret_arn,
                "security_group_id": self.security_group_id,
                "identifier": self.identifier,
                "log_group": self.log_group,
                "access": self.access,
            }
        )

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
        self, name: str, major: str, slow_statement_ms: int, child: pulumi.ResourceOptions
    ) -> "aws.rds.ParameterGroup":
        return aws.rds.ParameterGroup(
            # The family is part of the name, as RDS can't change it in place.
            f"{name}-postgres{major}",
            family=f"postgres{major}",
            description=f"PostgreSQL {name}",
            parameters=[
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "log_min_duration_statement", "value": str(slow_statement_ms)},
                # Values are people's data, and no log's.
                {"name": "log_parameter_max_length", "value": "0"},
            ],
            opts=child,
        )


def _log_group(identifier: pulumi.Input[str]) -> pulumi.Output[str]:
    """Where RDS tells the log of an instance.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html
    """
    return pulumi.Output.concat("/aws/rds/instance/", identifier, "/postgresql")
