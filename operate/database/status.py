"""The stack's database as RDS and CloudWatch have it: its instances and how they are, and changes that wait."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from operate import measured, sizes
from operate.database import cluster, restore
from operate.database.instance import DatabaseError, Instance, clustered, find
from operate.database.window import Window
from operate.load.metrics import RDS
from operate.stack import Stack

GIB: Final = 2**30
_METRICS: Final = {
    "CPUUtilization": "Average",
    "DatabaseConnections": "Average",
    "FreeStorageSpace": "Minimum",
    "ReplicaLag": "Maximum",
}
"""RDS's, and their statistic. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html"""
_OF_AURORA: Final = {"CPUUtilization": "Average", "DatabaseConnections": "Average", "AuroraReplicaLag": "Maximum"}
"""Those of its instances. https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html"""
_VOLUME: Final = "VolumeBytesUsed"
"""The cluster's."""


@dataclass(frozen=True)
class Member:
    """The primary, or a replica; with Aurora the writer, or a reader.

    What CloudWatch has not told in the last minutes is None.
    """

    id: str
    role: str
    """primary or replica, with Aurora writer or reader."""
    instance_class: str
    zone: str
    standby_zone: str | None
    """None without a standby."""
    status: str
    storage_gb: int | None
    """GiB that it has; None with Aurora, whose storage is the cluster's and grows by itself."""
    storage_used_gb: float | None = None
    cpu: float | None = None
    """Percent."""
    connections: int | None = None
    connections_most: int | None = None
    """max_connections, at the most; None where it isn't known."""
    lag: float | None = None
    """Seconds that a replica is behind."""
    parameters: str = ""
    """in-sync, or what RDS is at, as `Status.parameters`; each instance has its own."""


@dataclass(frozen=True)
class Maintenance:
    """What RDS has to do to the primary, and when."""

    action: str
    description: str
    after: datetime | None
    """When it is done at the latest window; None where nobody has asked for it."""


@dataclass(frozen=True)
class Status:
    """A database at one moment."""

    id: str
    engine: str
    version: str
    endpoint: str
    multi_az: bool
    storage_most_gb: int | None
    """GiB up to which it grows by itself; None where it doesn't."""
    backup_days: int
    backup_window: str
    earliest: datetime | None
    """Since when it can be restored to any second; None where RDS doesn't say."""
    latest: datetime | None
    maintenance_window: str
    parameter_group: str
    parameters: str
    """in-sync, or what RDS is at."""
    pending: Mapping[str, Any]
    """Changes that wait, as RDS names them."""
    maintenance: tuple[Maintenance, ...]
    members: tuple[Member, ...]
    """The primary first."""
    aurora: bool = False
    """Whether it is a cluster, with readers as standbys."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        told = asdict(self)
        for each in (told, *told["maintenance"]):
            each.update({name: value.isoformat() for name, value in each.items() if isinstance(value, datetime)})
        return told


def look(stack: Stack) -> Status:
    """How the database is. DatabaseError without one; botocore's errors."""
    if clustered(stack):
        return _look_at_cluster(stack)
    database = find(stack)
    replicas = _replicas(stack, database)
    names = [each["DBInstanceIdentifier"] for each in (database, *replicas)]
    told = measured.ask(stack, RDS, "DBInstanceIdentifier", names, _METRICS)
    group = _group(database)
    most = _given_connections(stack, group.get("DBParameterGroupName", ""))
    times = restore.window(stack, database) if database.get("BackupRetentionPeriod") else Window(None, None)
    endpoint = database.get("Endpoint", {})
    return Status(
        id=database["DBInstanceIdentifier"],
        engine=database["Engine"],
        version=database["EngineVersion"],
        endpoint=f"{endpoint['Address']}:{endpoint['Port']}" if endpoint else "",
        multi_az=database.get("MultiAZ", False),
        storage_most_gb=database.get("MaxAllocatedStorage"),
        backup_days=database.get("BackupRetentionPeriod", 0),
        backup_window=database.get("PreferredBackupWindow", ""),
        earliest=times.earliest,
        latest=times.latest,
        maintenance_window=database.get("PreferredMaintenanceWindow", ""),
        parameter_group=group.get("DBParameterGroupName", ""),
        parameters=group.get("ParameterApplyStatus", ""),
        pending=_pending(database.get("PendingModifiedValues", {})),
        maintenance=_maintenance(stack, database["DBInstanceArn"]),
        members=tuple(
            _member(each, role, told.get(each["DBInstanceIdentifier"], {}), most)
            for each, role in [(database, "primary"), *((each, "replica") for each in replicas)]
        ),
    )


def _look_at_cluster(stack: Stack) -> Status:
    found = cluster.find(stack)
    identifier, there = found["DBClusterIdentifier"], cluster.instances(stack, found)
    if not there:
        raise DatabaseError(f"{identifier} is {found['Status']} and has no instance: run pulumi up")
    names = [each["DBInstanceIdentifier"] for each in there]
    told = measured.ask(stack, RDS, "DBInstanceIdentifier", names, _OF_AURORA)
    volume = measured.ask(stack, RDS, "DBClusterIdentifier", [identifier], {_VOLUME: "Maximum"}).get(identifier, {})
    used = measured.newest(volume, _VOLUME)
    group = found.get("DBClusterParameterGroup", "")
    most = _given_connections(stack, group, of="cluster")
    writer = cluster.writer(found)
    waiting = [each.get("DBClusterParameterGroupStatus", "in-sync") for each in found.get("DBClusterMembers", [])]
    return Status(
        id=identifier,
        engine=found["Engine"],
        version=found["EngineVersion"],
        endpoint=cluster.endpoint(found),
        multi_az=len(there) > 1,
        storage_most_gb=None,
        backup_days=found.get("BackupRetentionPeriod", 0),
        backup_window=found.get("PreferredBackupWindow", ""),
        earliest=found.get("EarliestRestorableTime"),
        latest=found.get("LatestRestorableTime"),
        maintenance_window=found.get("PreferredMaintenanceWindow", ""),
        parameter_group=group,
        parameters=next((each for each in waiting if each != "in-sync"), "in-sync"),
        pending=_pending(found.get("PendingModifiedValues", {})),
        maintenance=_maintenance(stack, found["DBClusterArn"]),
        members=tuple(
            _of_aurora(
                each, each["DBInstanceIdentifier"] == writer, told.get(each["DBInstanceIdentifier"], {}), most, used
            )
            for each in there
        ),
        aurora=True,
    )


def _of_aurora(found: Instance, writes: bool, values: measured.Values, most: int | None, used: float | None) -> Member:
    connections, lag = (measured.newest(values, name) for name in ("DatabaseConnections", "AuroraReplicaLag"))
    return Member(
        id=found["DBInstanceIdentifier"],
        role="writer" if writes else "reader",
        instance_class=found["DBInstanceClass"],
        zone=found.get("AvailabilityZone", ""),
        standby_zone=None,
        status=found["DBInstanceStatus"],
        storage_gb=None,
        storage_used_gb=round(used / GIB, 1) if writes and used is not None else None,
        cpu=measured.newest(values, "CPUUtilization"),
        connections=None if connections is None else round(connections),
        connections_most=most or sizes.connections(found["DBInstanceClass"]),
        # Told in milliseconds.
        lag=None if writes or lag is None else lag / 1000,
    )


def _replicas(stack: Stack, database: Instance) -> Sequence[Instance]:
    """Those in the same region; of another one, RDS tells the ARN."""
    wanted = [each for each in database.get("ReadReplicaDBInstanceIdentifiers", []) if not each.startswith("arn:")]
    if not wanted:
        return []
    found = stack.client("rds").describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": wanted}])
    return sorted(found["DBInstances"], key=lambda each: each["DBInstanceIdentifier"])


def _member(found: Instance, role: str, values: measured.Values, most: int | None) -> Member:
    free, connections = (measured.newest(values, name) for name in ("FreeStorageSpace", "DatabaseConnections"))
    return Member(
        id=found["DBInstanceIdentifier"],
        role=role,
        instance_class=found["DBInstanceClass"],
        zone=found.get("AvailabilityZone", ""),
        standby_zone=found.get("SecondaryAvailabilityZone") if found.get("MultiAZ") else None,
        status=found["DBInstanceStatus"],
        storage_gb=found["AllocatedStorage"],
        storage_used_gb=None if free is None else round(found["AllocatedStorage"] - free / GIB, 1),
        cpu=measured.newest(values, "CPUUtilization"),
        connections=None if connections is None else round(connections),
        connections_most=most or sizes.connections(found["DBInstanceClass"]),
        lag=measured.newest(values, "ReplicaLag") if role == "replica" else None,
        parameters=_group(found).get("ParameterApplyStatus", ""),
    )


def _group(found: Instance) -> Mapping[str, str]:
    """An instance's parameter group: it has one."""
    return next(iter(found.get("DBParameterGroups", [])), {})


def _given_connections(stack: Stack, group: str, of: Literal["instance", "cluster"] = "instance") -> int | None:
    """The number that the parameter group has for max_connections; None where it is left to RDS."""
    if of == "cluster":
        pages, name = stack.client("rds").get_paginator("describe_db_cluster_parameters"), "DBClusterParameterGroupName"
    else:
        pages, name = stack.client("rds").get_paginator("describe_db_parameters"), "DBParameterGroupName"
    for page in pages.paginate(Source="user", **{name: group}) if group else ():
        for each in page["Parameters"]:
            if each["ParameterName"] == "max_connections" and each.get("ParameterValue", "").isdecimal():
                return int(each["ParameterValue"])
    return None


def _maintenance(stack: Stack, arn: str) -> tuple[Maintenance, ...]:
    found = stack.client("rds").describe_pending_maintenance_actions(ResourceIdentifier=arn)
    return tuple(
        Maintenance(
            each["Action"],
            each.get("Description", ""),
            each.get("CurrentApplyDate") or each.get("AutoAppliedAfterDate") or each.get("ForcedApplyDate"),
        )
        for resource in found["PendingMaintenanceActions"]
        for each in resource.get("PendingMaintenanceActionDetails", [])
    )


def _pending(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what AWS says of nothing. AWS stars out a password."""
    return {name: value for name, value in values.items() if value not in (None, [], {}, "")}
