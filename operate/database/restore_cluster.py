"""A copy of an Aurora cluster beside it: another cluster, and one instance in it that takes writes.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-pitr.html
"""

from datetime import datetime
from typing import Any, Final

from operate.database import cluster, snapshots
from operate.database.instance import (
    AVAILABLE,
    BEGUN_SECONDS,
    DatabaseError,
    Instance,
    Listener,
    Pause,
    RequestError,
    describe,
    major,
    wait,
)
from operate.database.window import Window
from operate.stack import Stack

SUFFIX: Final = "-writer"
"""Of the instance's name, after the cluster's."""
LONGEST: Final = 63 - len(SUFFIX)
SECONDS: Final = 6 * 3600.0
PASSWORD_SECONDS: Final = 1800.0


def make(
    stack: Stack, name: str, at: datetime | None, snapshot: str | None, listener: Listener, pause: Pause
) -> tuple[str, cluster.Cluster]:
    """Make the cluster `name` of a time, of a snapshot, or of the latest time, and wait; what it is of, and it.

    It has the network, security groups, parameters and capacity of the stack's, and an instance of its writer's class.
    RequestError for what can't be, DatabaseError; botocore's errors.
    """
    if len(name) > LONGEST:
        raise RequestError(f"{name!r} is too long: with Aurora up to {LONGEST} characters, as {SUFFIX} comes after it")
    found = cluster.find(stack)
    there = next(iter(cluster.instances(stack, found)), None)
    if there is None:
        raise DatabaseError(f"{found['DBClusterIdentifier']} has no instance, whose class the copy's would have")
    writer = f"{name}{SUFFIX}"
    if cluster.describe(stack, name) is not None or describe(stack, writer) is not None:
        raise RequestError(f"there is a cluster {name} already, and nothing is restored over one: give another name")
    rds, given = stack.client("rds"), _given(found)
    if snapshot is not None:
        _check_snapshot(stack, snapshot, found)
        rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier=name, SnapshotIdentifier=snapshot, Engine=found["Engine"], **given
        )
    else:
        source = found["DBClusterIdentifier"]
        rds.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier=name, SourceDBClusterIdentifier=source, **_of_time(at, found), **given
        )
    of = snapshot or found["DBClusterIdentifier"]
    listener(f"{name} is being made of {of}")
    wait(stack, name, lambda now, _: cluster.is_available(now), SECONDS, listener, pause, cluster.CLUSTER)
    rds.create_db_instance(
        DBInstanceIdentifier=writer,
        DBClusterIdentifier=name,
        Engine=found["Engine"],
        DBInstanceClass=there["DBInstanceClass"],
        PubliclyAccessible=False,
        Tags=given["Tags"],
    )
    listener(f"{writer} is being made in it")
    wait(stack, writer, _is_available, SECONDS, listener, pause)
    return of, _with_password(stack, name, listener, pause)


def _is_available(found: Instance, _: float) -> bool:
    return found["DBInstanceStatus"] == AVAILABLE


def _with_password(stack: Stack, name: str, listener: Listener, pause: Pause) -> cluster.Cluster:
    """Have RDS make it a password: whoever knew the one of that time may know it no more."""
    made = cluster.describe(stack, name)
    if made is not None and made.get("MasterUserSecret"):
        return made
    listener(f"{name} gets a password of its own, which RDS keeps")
    stack.client("rds").modify_db_cluster(
        DBClusterIdentifier=name, ManageMasterUserPassword=True, ApplyImmediately=True
    )
    begun = False

    def over(now: cluster.Cluster, waited: float) -> bool:
        nonlocal begun
        begun = begun or not cluster.is_available(now)
        settled = cluster.is_available(now) and (begun or waited >= BEGUN_SECONDS)
        return settled and bool(now.get("MasterUserSecret"))

    return wait(stack, name, over, PASSWORD_SECONDS, listener, pause, cluster.CLUSTER)


def _given(found: cluster.Cluster) -> dict[str, Any]:
    """What RDS would choose otherwise than the stack has it. The storage's key is the source's in any case."""
    given: dict[str, Any] = {
        "DBSubnetGroupName": found["DBSubnetGroup"],
        "VpcSecurityGroupIds": [each["VpcSecurityGroupId"] for each in found["VpcSecurityGroups"]],
        "DBClusterParameterGroupName": found["DBClusterParameterGroup"],
        "CopyTagsToSnapshot": True,
        # Those of `aws:` are AWS's own to give.
        "Tags": [each for each in found.get("TagList", []) if not each["Key"].startswith("aws:")],
    }
    if capacity := found.get("ServerlessV2ScalingConfiguration"):
        wanted = ("MinCapacity", "MaxCapacity", "SecondsUntilAutoPause")
        given["ServerlessV2ScalingConfiguration"] = {key: capacity[key] for key in wanted if key in capacity}
    return given


def _check_snapshot(stack: Stack, snapshot: str, found: cluster.Cluster) -> None:
    known = snapshots.restorable(stack, snapshot, found)
    if major(known) != major(found):
        raise RequestError(
            f"{snapshot} is of PostgreSQL {major(known)}, whose parameters are others than those of {major(found)}, "
            "which the stack has: aws rds restore-db-cluster-from-snapshot, with --db-cluster-parameter-group-name "
            f"default.{found['Engine']}{major(known)}"
        )


def _of_time(at: datetime | None, found: cluster.Cluster) -> dict[str, Any]:
    if at is None:
        return {"UseLatestRestorableTime": True}
    times = Window(found.get("EarliestRestorableTime"), found.get("LatestRestorableTime"))
    times.require(found["DBClusterIdentifier"], at)
    return {"RestoreToTime": at}
