"""The stack's database where that is a cluster of Aurora: it, its instances, and how it is waited for."""

from collections.abc import Mapping
from typing import Any, Final

from operate.database import instance
from operate.database.instance import AVAILABLE, Instance, Kind
from operate.stack import Stack

Cluster = Mapping[str, Any]
"""As DescribeDBClusters has it."""


def describe(stack: Stack, identifier: str) -> Cluster | None:
    """A cluster by its identifier; None when there is none. botocore's errors."""
    rds = stack.client("rds")
    try:
        return rds.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0]
    except rds.exceptions.DBClusterNotFoundFault:
        return None


CLUSTER: Final = Kind("Aurora cluster", describe, "DBClusterIdentifier", "Status", "db-cluster")


def find(stack: Stack) -> Cluster:
    """The stack's cluster. DatabaseError without one; botocore's errors."""
    return instance.find(stack, CLUSTER)


def find_available(stack: Stack) -> Cluster:
    """The same, which nothing is done to at the moment. DatabaseError while RDS does, as it refuses most then."""
    return instance.find_available(stack, CLUSTER)


def is_available(found: Cluster) -> bool:
    """Whether nothing is done to it."""
    return found["Status"] == AVAILABLE


def writer(found: Cluster) -> str | None:
    """The identifier of the instance that takes writes; None while none does."""
    members = found.get("DBClusterMembers", [])
    return next((each["DBInstanceIdentifier"] for each in members if each["IsClusterWriter"]), None)


def instances(stack: Stack, found: Cluster) -> list[Instance]:
    """Its instances: the writer, then the readers in the order in which they take over. botocore's errors."""
    places = {
        each["DBInstanceIdentifier"]: (not each["IsClusterWriter"], each.get("PromotionTier", 1))
        for each in found.get("DBClusterMembers", [])
    }
    if not places:
        return []
    pages = stack.client("rds").get_paginator("describe_db_instances")
    wanted = [{"Name": "db-cluster-id", "Values": [found["DBClusterIdentifier"]]}]
    there = [each for page in pages.paginate(Filters=wanted) for each in page["DBInstances"]]
    return sorted(
        (each for each in there if each["DBInstanceIdentifier"] in places),
        key=lambda each: (places[each["DBInstanceIdentifier"]], each["DBInstanceIdentifier"]),
    )


def endpoint(found: Cluster) -> str:
    """Host and port; empty while there is none."""
    return f"{found['Endpoint']}:{found['Port']}" if found.get("Endpoint") else ""
