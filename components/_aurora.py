"""Aurora: a cluster, its writer and its readers, which stand in for an instance on RDS and its replicas."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_aws as aws

from . import _logs, planning, state

ENGINE = "aurora-postgresql"
_DIMENSION = "rds:cluster:ReadReplicaCount"
_FIRST_TIER, _TIER = 1, 2
"""The first reader takes over before the others, and has the writer's capacity where that follows the load; theirs
follows their own. https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.how-it-works.html"""


@dataclass(frozen=True)
class Made:
    """What there is to tell of a cluster."""

    cluster: "aws.rds.Cluster"
    writer: "aws.rds.ClusterInstance"
    readers: "list[aws.rds.ClusterInstance]"
    secret_arn: pulumi.Output[str]
    log_group: pulumi.Output[str]
    """Empty without logs."""


def family(major: str) -> str:
    """Of parameter groups."""
    return f"{ENGINE}{major}"


def create(
    name: str,
    args: Mapping[str, Any],
    there: state.State,
    *,
    user: str,
    begins: Mapping[str, Any],
    version: str,
    group: "aws.ec2.SecurityGroup",
    subnets: "aws.rds.SubnetGroup",
    parameters: "aws.rds.ClusterParameterGroup",
    ignored: list[str],
    opts: pulumi.ResourceOptions,
) -> Made:
    """The cluster, and the instances in it. `args` are Database's; `begins` is what it starts from."""
    stands = there.outputs(state.CLUSTER, f"{name}-cluster")
    exported, protection = args.get("export_logs", True), args.get("deletion_protection", True)
    # Known before the cluster is there, for its log group; and as random as a name that the engine draws.
    identifier = stands.get("clusterIdentifier") or subnets.name.apply(
        lambda drawn: drawn.replace(f"{name}-subnets", f"{name}-cluster")
    )
    logs: list[pulumi.Resource] = []
    # RDS makes the group itself where there is none. One that it has made can't be made again.
    if exported and (not stands or there.outputs(state.LOG_GROUP, f"{name}-logs")):
        retention = args.get("log_retention_days", _logs.RETENTION_DAYS)
        logs = [
            aws.cloudwatch.LogGroup(f"{name}-logs", name=_log_group(identifier), retention_in_days=retention, opts=opts)
        ]
    insights, capacity = args.get("insights", "none"), args.get("serverless")
    at_once = args.get("apply_immediately", False)
    window = args.get("maintenance_window")
    cluster = aws.rds.Cluster(
        f"{name}-cluster",
        cluster_identifier=identifier,
        engine=ENGINE,
        engine_version=version,
        # A new major version is set by whoever wants it, and shows in the preview.
        allow_major_version_upgrade=True,
        # What is in a copy already has both.
        database_name=None if begins else args.get("database_name", "app"),
        master_username=None if begins else user,
        manage_master_user_password=True,
        snapshot_identifier=begins.get("snapshotIdentifier"),
        restore_to_point_in_time=_point_in_time(begins),
        storage_encrypted=True,
        vpc_security_group_ids=[group.id],
        db_subnet_group_name=subnets.name,
        db_cluster_parameter_group_name=parameters.name,
        backup_retention_period=args.get("backup_days", 7),
        preferred_backup_window=args.get("backup_window"),
        preferred_maintenance_window=window,
        performance_insights_enabled=insights != "none",
        performance_insights_retention_period=planning.INSIGHTS_DAYS.get(insights),
        database_insights_mode=planning.insights_mode(insights, stands.get("databaseInsightsMode")),
        enabled_cloudwatch_logs_exports=["postgresql"] if exported else [],
        copy_tags_to_snapshot=True,
        serverlessv2_scaling_configuration=(
            {"min_capacity": capacity["min"], "max_capacity": capacity["max"]} if capacity else None
        ),
        deletion_protection=protection,
        skip_final_snapshot=not args.get("final_snapshot", True),
        # Drawn for each cluster, as snapshots outlive stacks and replacements.
        final_snapshot_identifier=f"{name}-final-{secrets.token_hex(4)}",
        apply_immediately=at_once,
        opts=pulumi.ResourceOptions(
            parent=opts.parent,
            # RDS would refuse to delete it only after Pulumi made its replacement; Pulumi refuses before.
            protect=protection,
            # Its replacement has the same name, of which RDS takes no two.
            delete_before_replace=True,
            ignore_changes=ignored,
            depends_on=logs,
        ),
    )

    def instance(role: str, place: int, tier: int, after: list[pulumi.Resource]) -> "aws.rds.ClusterInstance":
        return aws.rds.ClusterInstance(
            f"{name}-{role}",
            cluster_identifier=cluster.id,
            engine=cast(Any, ENGINE),
            instance_class=planning.database_class(planning.AURORA, args.get("instance_class"), bool(capacity)),
            availability_zone=_zone(args["subnet_ids"], place, opts),
            promotion_tier=tier,
            publicly_accessible=False,
            preferred_maintenance_window=window,
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            apply_immediately=at_once,
            opts=pulumi.ResourceOptions(
                parent=opts.parent,
                # Another subnet would otherwise have it made anew.
                ignore_changes=["availabilityZone"],
                depends_on=after,
            ),
        )

    # The first instance of a cluster becomes its writer.
    writer = instance("writer", 0, 0, [])
    readers = [
        instance(f"reader{number}", number, _FIRST_TIER if number == 1 else _TIER, [writer])
        for number in range(1, args.get("replicas", 0) + 1)
    ]
    if most := args.get("max_replicas"):
        _scale(name, cluster, readers, most, args.get("replica_cpu", planning.TARGET_REPLICA_CPU), opts)
    return Made(
        cluster,
        writer,
        readers,
        cluster.master_user_secrets.apply(lambda secrets: cast(str, secrets[0].secret_arn)),
        _log_group(cluster.cluster_identifier) if exported else pulumi.Output.from_input(""),
    )


def _point_in_time(start: Mapping[str, Any]) -> "aws.rds.ClusterRestoreToPointInTimeArgs | None":
    point: Mapping[str, Any] | None = start.get("restoreToPointInTime")
    if point is None:
        return None
    return aws.rds.ClusterRestoreToPointInTimeArgs(
        source_cluster_identifier=point.get("sourceClusterIdentifier"),
        restore_type=point.get("restoreType"),
        restore_to_time=point.get("restoreToTime"),
        use_latest_restorable_time=point.get("useLatestRestorableTime"),
    )


def _scale(
    name: str,
    cluster: "aws.rds.Cluster",
    readers: "list[aws.rds.ClusterInstance]",
    most: int,
    cpu: int,
    opts: pulumi.ResourceOptions,
) -> None:
    """Readers beyond those of the program are Application Auto Scaling's to add, and to take away again."""
    target = aws.appautoscaling.Target(
        f"{name}-readers",
        service_namespace="rds",
        resource_id=pulumi.Output.concat("cluster:", cluster.cluster_identifier),
        scalable_dimension=_DIMENSION,
        min_capacity=len(readers),
        max_capacity=most,
        opts=pulumi.ResourceOptions(parent=opts.parent, depends_on=readers),
    )
    aws.appautoscaling.Policy(
        f"{name}-readers-cpu",
        policy_type="TargetTrackingScaling",
        service_namespace=target.service_namespace,
        resource_id=target.resource_id,
        scalable_dimension=target.scalable_dimension,
        target_tracking_scaling_policy_configuration={
            "predefined_metric_specification": {"predefined_metric_type": "RDSReaderAverageCPUUtilization"},
            "target_value": cpu,
        },
        opts=opts,
    )


def _zone(subnet_ids: pulumi.Input[list[str]], place: int, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """The zone of the subnet at a place, where one follows another: AWS would choose by chance."""
    subnet = pulumi.Output.from_input(subnet_ids).apply(lambda ids: ids[place % len(ids)])
    found = aws.ec2.get_subnet_output(id=subnet, opts=pulumi.InvokeOutputOptions(parent=opts.parent))
    return found.availability_zone


def _log_group(identifier: pulumi.Input[str]) -> pulumi.Output[str]:
    """Where RDS tells the log of a cluster's instances.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.CloudWatch.html
    """
    return pulumi.Output.concat("/aws/rds/cluster/", identifier, "/postgresql")
