"""Which machines a stack runs on, as AWS says it."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from operate.database import cluster
from operate.fleet import IN_SERVICE
from operate.load.metrics import database_identifier, is_cluster, replication_group
from operate.load.model import Sizes
from operate.sizes import SERVERLESS
from operate.stack import Stack


def read(stack: Stack) -> Sizes | None:
    """Its types and sizes; None where AWS doesn't say, or whoever asks may not: a run goes on without."""
    try:
        return _read(stack.client, stack)
    except (ClientError, BotoCoreError, LookupError):
        return None


def rescaled(before: Sizes | None, after: Sizes | None) -> str | None:
    """What is to be said of a run in which the app servers became more or fewer; None where they didn't."""
    was, now = (each.app_servers if each else None for each in (before, after))
    if was is None or now is None or was == now:
        return None
    return (
        f"App servers in service: {was} when it began, and {now} when it ended. The knee is that of no one number of "
        f"them: --check {was} loads so many with scaling policies off."
    )


def _read(client: Callable[[str], Any], stack: Stack) -> Sizes:
    scaling = client("autoscaling")
    groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[stack.app_group, stack.edge_group])
    members = {each["AutoScalingGroupName"]: each["Instances"] for each in groups["AutoScalingGroups"]}
    types = {name: instances[0]["InstanceType"] for name, instances in members.items()}
    policies = scaling.describe_policies(AutoScalingGroupName=stack.app_group)["ScalingPolicies"]
    endpoint, cache = (str(stack.outputs.get(name) or "") for name in ("databaseEndpoint", "cacheEndpoint"))
    shards: list[str] = stack.outputs.get("databaseEndpoints") or []
    return Sizes(
        region=stack.region,
        app_type=types[stack.app_group],
        edge_type=types[stack.edge_group],
        target_cpu=next((target for each in policies if (target := _target(each)) is not None), None),
        app_servers=sum(each["LifecycleState"] == IN_SERVICE for each in members[stack.app_group]),
        database_shards=max(1, len(shards)),
        **(_cluster(stack, endpoint) if is_cluster(endpoint) else _database(client, database_identifier(endpoint))),
        **_cache(client, replication_group(cache)),
    )


def _target(policy: Mapping[str, Any]) -> float | None:
    told = policy.get("TargetTrackingConfiguration") or {}
    metric = (told.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType")
    return float(told["TargetValue"]) if metric == "ASGAverageCPUUtilization" else None


def _database(client: Callable[[str], Any], identifier: str | None) -> dict[str, Any]:
    if identifier is None:
        return {}
    found = client("rds").describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
    return {
        "database_class": found["DBInstanceClass"],
        "multi_az": bool(found.get("MultiAZ")),
        "storage_gb": int(found["AllocatedStorage"]),
    }


def _cluster(stack: Stack, endpoint: str) -> dict[str, Any]:
    """Of Aurora. Its storage grows by itself, and its readers are its standbys."""
    found = cluster.describe(stack, endpoint.split(".")[0])
    if found is None:
        raise LookupError(endpoint)
    there = cluster.instances(stack, found)
    own, units = there[0]["DBInstanceClass"], found.get("ServerlessV2ScalingConfiguration")
    return {
        "database_class": own,
        "aurora": True,
        "database_instances": len(there),
        "capacity": (float(units["MinCapacity"]), float(units["MaxCapacity"])) if own == SERVERLESS and units else None,
    }


def _cache(client: Callable[[str], Any], group: str | None) -> dict[str, Any]:
    if group is None:
        return {}
    found = client("elasticache").describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"][0]
    return {
        "cache_type": found["CacheNodeType"],
        "cache_nodes": len(found["MemberClusters"]),
        # A group that is no cluster has one of them as well.
        "cache_shards": len(found["NodeGroups"]) if found.get("ClusterEnabled") else None,
    }
