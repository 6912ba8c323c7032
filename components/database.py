"""PostgreSQL on RDS, or on Aurora."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import pulumi
import pulumi_aws as aws

from . import _aurora, _logs, _proxy, _replicas, _secrets, _security, planning, state
from ._checks import require, require_names
from ._database_args import USER, DatabaseArgs, capacity, find_mistakes, instance_class, start
from .access import DatabaseAccessArgs
from .planning import postgres_major, postgres_version

SNAPSHOT = "finalSnapshotIdentifier"
Group = TypeVar("Group")


class Database(pulumi.ComponentResource):
    """PostgreSQL: encrypted, TLS only, in private subnets, its password made and kept by RDS; and replicas.

    An instance on RDS, or an Aurora cluster.

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
    """Its identifier in RDS, by which its metrics are found; with Aurora the cluster's."""
    replica_identifiers: pulumi.Output[list[str]]
    """Those of its read replicas."""
    reader_host: pulumi.Output[str]
    """The DNS name that leads to one of Aurora's readers; empty where there are none."""
    proxy_host: pulumi.Output[str]
    """The DNS name of its RDS Proxy; empty without one."""
    log_group: pulumi.Output[str]
    """The group of CloudWatch Logs that RDS tells its log; empty without logs."""
    access: DatabaseAccessArgs
    """How to reach it, which AppServers takes as `database`."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:Database", name, None, opts)
        require_names("Database", name, args, DatabaseArgs)
        there = state.read()
        clustered = args.get("engine") == planning.AURORA
        stands = (
            there.outputs(state.CLUSTER, f"{name}-cluster")
            if clustered
            else there.outputs(state.DATABASE, f"{name}-instance")
        )
        require("Database", name, find_mistakes(args, stands))
        connections = planning.sure_connections(instance_class(args), args.get("parameters"), capacity(args))
        self.max_connections = pulumi.Output.from_input(connections or planning.DEFAULT_CONNECTIONS)
        if clustered:
            self._create_cluster(name, args, there, stands)
        else:
            self._create_instance(name, args, there, stands)
        app_login = self._keep_app_login(name, args)
        self.app_secret_arn = app_login or pulumi.Output.from_input("")
        self.access = {
            "host": self.host,
            "port": self.port,
            "name": self.name,
            "secret_arn": app_login or self.secret_arn,
            "security_group_id": self.security_group_id,
            "replica_hosts": self._replica_hosts,
            "reader_host": self.reader_host,
            "max_connections": self.max_connections,
        }
        if app_login:
            self.access["master_secret_arn"] = self.secret_arn
        self.proxy_host = pulumi.Output.from_input("")
        if percent := args.get("proxy_percent"):
            self._create_proxy(name, args, percent)
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
                "reader_host": self.reader_host,
                "proxy_host": self.proxy_host,
                "log_group": self.log_group,
                "access": self.access,
            }
        )

    def _create_instance(self, name: str, args: DatabaseArgs, there: state.State, stands: Mapping[str, Any]) -> None:
        child = pulumi.ResourceOptions(parent=self)
        at_once = args.get("apply_immediately", False)
        version = postgres_version(args.get("engine_version", "17"), stands.get("engineVersionActual"))
        group = _security.group(f"{name}-group", args["vpc_id"], f"PostgreSQL {name}", child)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", subnet_ids=args["subnet_ids"], description=f"PostgreSQL {name}", opts=child
        )
        parameters, kept = self._follow_version(
            name, version, stands, args, self._create_parameters, "parameterGroupName"
        )
        ignored = [*_ignored(stands), *kept]
        exported = args.get("export_logs", True)
        # Known before the instance is there, for its log group; and as random as a name that the engine draws.
        identifier = stands.get("identifier") or subnets.name.apply(
            lambda drawn: drawn.replace(f"{name}-subnets", f"{name}-instance")
        )
        # RDS makes the group itself where there is none. One that it has made can't be made again.
        logs = None
        if exported and (not stands or there.outputs(state.LOG_GROUP, f"{name}-logs")):
            logs = self._create_log_group(name, identifier, args, child)
        begins = start(args, stands)
        most, grown = args.get("max_storage_gb"), int(stands.get("allocatedStorage", 0))
        insights = args.get("insights", "none")
        final_snapshot = args.get("final_snapshot", True)
        protection = args.get("deletion_protection", True)
        own = self._keep_password(name, args, there, stands, child)
        # What a replica has as its source has it.
        alike: dict[str, Any] = {
            "instance_class": instance_class(args),
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
            db_name=None if begins else args.get("database_name", "app"),
            username=None if begins else USER,
            manage_master_user_password=None if own else True,
            password=own.secret_string.apply(_password) if own else None,
            snapshot_identifier=begins.get("snapshotIdentifier"),
            restore_to_point_in_time=_point_in_time(begins),
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
                # Its replacement has the same name, of which RDS takes no two.
                delete_before_replace=True,
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
            opts=pulumi.ResourceOptions(
                parent=self,
                ignore_changes=[each for each in ignored if each != SNAPSHOT],
                # RDS would make them databases of their own when it goes, and another of its name has none.
                replace_with=[instance],
            ),
        )

        self._subnets, self._instances = subnets, list[pulumi.Resource]()
        self._target = {"db_instance_identifier": instance.identifier}
        self.host = instance.address
        self.port = instance.port.apply(int)
        # RDS tells of a copy what it was made with once, and not what is in it.
        self.name = pulumi.Output.from_input(args.get("database_name", "app")) if begins else instance.db_name
        self.secret_arn = (
            own.secret_arn
            if own
            else instance.master_user_secrets.apply(lambda secrets: cast(str, secrets[0].secret_arn))
        )
        self.password_secret_arn = own.secret_arn if own else pulumi.Output.from_input("")
        self.security_group_id = group.id
        self.identifier = instance.identifier
        self.replica_identifiers = pulumi.Output.all(*(each.identifier for each in replicas)).apply(list)
        self.log_group = _log_group(instance.identifier) if exported else pulumi.Output.from_input("")
        self.reader_host = pulumi.Output.from_input("")
        self._replica_hosts = pulumi.Output.all(*(each.address for each in replicas)).apply(list)

    def _create_cluster(self, name: str, args: DatabaseArgs, there: state.State, stands: Mapping[str, Any]) -> None:
        child = pulumi.ResourceOptions(parent=self)
        begins = start(args, stands)
        version = postgres_version(args.get("engine_version", "17"), stands.get("engineVersionActual"))
        group = _security.group(f"{name}-group", args["vpc_id"], f"PostgreSQL {name}", child)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", subnet_ids=args["subnet_ids"], description=f"PostgreSQL {name}", opts=child
        )
        parameters, kept = self._follow_version(
            name, version, stands, args, self._create_cluster_parameters, "dbClusterParameterGroupName"
        )
        made = _aurora.create(
            name,
            args,
            there,
            user=USER,
            begins=begins,
            version=version,
            group=group,
            subnets=subnets,
            parameters=parameters,
            ignored=[*_ignored(stands), *kept],
            opts=child,
        )
        cluster = made.cluster
        self._subnets, self._instances = subnets, list[pulumi.Resource]([made.writer, *made.readers])
        self._target = {"db_cluster_identifier": cluster.cluster_identifier}
        self.host = cluster.endpoint
        self.port = cluster.port.apply(int)
        # As of an instance.
        self.name = pulumi.Output.from_input(args.get("database_name", "app")) if begins else cluster.database_name
        self.secret_arn = made.secret_arn
        self.password_secret_arn = pulumi.Output.from_input("")
        self.security_group_id = group.id
        self.identifier = cluster.cluster_identifier
        self.replica_identifiers = pulumi.Output.all(*(each.identifier for each in made.readers)).apply(list)
        # Without readers it would lead to the writer.
        self.reader_host = cluster.reader_endpoint if made.readers else pulumi.Output.from_input("")
        # Each of those is told how far behind it is; nothing on Aurora tells that of itself.
        self._replica_hosts = pulumi.Output.from_input(list[str]())
        self.log_group = made.log_group

    def _create_proxy(self, name: str, args: DatabaseArgs, percent: int) -> None:
        made = _proxy.create(
            name,
            args,
            percent=percent,
            # The master user's too, as whom servers go on that run while the app gets a role of its own.
            secret_arns=[self.access["secret_arn"], *([self.secret_arn] if args.get("app_user") else [])],
            port=self.port,
            subnets=self._subnets,
            database_group_id=self.security_group_id,
            target=self._target,
            instances=self._instances,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.proxy_host = made.host
        self.access["proxy_host"] = made.host
        self.access["proxy_reader_host"] = made.reader_host
        self.access["proxy_security_group_id"] = made.security_group_id
        self.access["proxy_percent"] = percent

    def _follow_version(
        self,
        name: str,
        version: str,
        stands: Mapping[str, Any],
        args: DatabaseArgs,
        create: Callable[[str, str, DatabaseArgs], Group],
        property_: str,
    ) -> tuple[Group, list[str]]:
        """The parameter group of a major version, and what to ignore while an older one runs on until the window."""
        major, running = postgres_major(version), stands.get("engineVersionActual")
        group = create(name, major, args)
        asked = postgres_major(stands.get("engineVersion", "")) == major
        if running and postgres_major(running) != major and (asked or not args.get("apply_immediately", False)):
            # Until the window, the old version runs with its own group, which RDS would refuse to delete.
            create(name, postgres_major(running), args)
            if asked:
                # RDS tells of the old group until then, and takes the new one only along with its version.
                return group, [property_]
        return group, []

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

    def _keep_app_login(self, name: str, args: DatabaseArgs) -> pulumi.Output[str] | None:
        """The secret with the login of the app's own role, which machines make; None without one."""
        if not (user := args.get("app_user")):
            return None
        login = pulumi.Output.json_dumps({"username": user, "password": _secrets.draw(self)})
        # The role is part of the name, as what is in the secret stays as it is.
        named = f"{name}-user-{user}"
        child = pulumi.ResourceOptions(parent=self)
        told = f"PostgreSQL login of the app in {name}"
        return _secrets.keep(named, told, pulumi.Output.secret(login), child).secret_arn

    def _create_log_group(
        self, name: str, identifier: pulumi.Input[str], args: DatabaseArgs, child: pulumi.ResourceOptions
    ) -> "aws.cloudwatch.LogGroup":
        return aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=_log_group(identifier),
            retention_in_days=args.get("log_retention_days", _logs.RETENTION_DAYS),
            opts=child,
        )

    def _create_parameters(self, name: str, major: str, args: DatabaseArgs) -> "aws.rds.ParameterGroup":
        return aws.rds.ParameterGroup(
            # The family is part of the name, as RDS can't change it in place.
            f"{name}-postgres{major}",
            family=f"postgres{major}",
            description=f"PostgreSQL {name}",
            parameters=[_parameter(each) for each in _planned_parameters(args)],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_cluster_parameters(self, name: str, major: str, args: DatabaseArgs) -> "aws.rds.ClusterParameterGroup":
        family = _aurora.family(major)
        return aws.rds.ClusterParameterGroup(
            f"{name}-{family}",
            family=family,
            description=f"PostgreSQL {name}",
            parameters=[cast(Any, _parameter(each)) for each in _planned_parameters(args)],
            opts=pulumi.ResourceOptions(parent=self),
        )


def _planned_parameters(args: DatabaseArgs) -> tuple[planning.Parameter, ...]:
    return planning.postgres_parameters(args.get("slow_statement_ms", 1000), args.get("parameters"))


def _ignored(stands: Mapping[str, Any]) -> list[str]:
    """Later runs draw another name of the last snapshot, and ignore it."""
    return [] if stands and not stands.get(SNAPSHOT) else [SNAPSHOT]


def _parameter(planned: planning.Parameter) -> "aws.rds.ParameterGroupParameterArgsDict":
    # Not the class, which says `immediate` where nothing is said: standing groups would change. RDS would refuse to
    # change at once what it takes with a reboot only.
    given: aws.rds.ParameterGroupParameterArgsDict = {"name": planned.name, "value": planned.value}
    return {**given, "apply_method": "pending-reboot"} if planned.waits else given


def _password(login: str | None) -> str:
    return json.loads(login or "{}")["password"]


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
