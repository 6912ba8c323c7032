"""Which machines a stack runs on, out of what AWS says."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operate.load import deployed
from operate.load.model import Sizes
from operate.stack import Stack

OUTPUTS = {
    "databaseEndpoint": "shop.abc.us-east-1.rds.amazonaws.com:5432",
    "cacheEndpoint": "master.shop-redis.abc.use1.cache.amazonaws.com:6379",
}


class Api:
    """Answers of three services, in AWS's shape."""

    def __init__(self) -> None:
        self.denied = ""
        self.group: dict[str, Any] = {"ClusterEnabled": False}
        self.states = ["InService", "Pending", "InService"]
        self.clusters: dict[str, dict[str, Any]] = {}
        self.instances: dict[str, str] = {}
        """Of a cluster: classes by name."""
        self.exceptions = SimpleNamespace(DBClusterNotFoundFault=KeyError)
        self.policies: list[dict[str, Any]] = [
            {"PolicyType": "SimpleScaling"},
            {
                "TargetTrackingConfiguration": {
                    "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
                    "TargetValue": 55.0,
                }
            },
        ]

    def describe_auto_scaling_groups(self, AutoScalingGroupNames: list[str]) -> dict[str, Any]:  # noqa: N803, AWS's own
        kinds = {"app": "m7i.large", "edge": "t3.small"}
        groups = [
            {
                "AutoScalingGroupName": name,
                "Instances": [{"InstanceType": kinds[name], "LifecycleState": state} for state in self.states],
            }
            for name in AutoScalingGroupNames[::-1]
        ]
        return {"AutoScalingGroups": groups}

    def describe_policies(self, **_: Any) -> dict[str, Any]:
        if self.denied:
            raise ClientError({"Error": {"Code": self.denied, "Message": ""}}, "DescribePolicies")
        return {"ScalingPolicies": self.policies}

    def describe_db_instances(self, DBInstanceIdentifier: str) -> dict[str, Any]:  # noqa: N803
        assert DBInstanceIdentifier == "shop"
        return {"DBInstances": [{"DBInstanceClass": "db.m7g.large", "MultiAZ": True, "AllocatedStorage": 100}]}

    def describe_db_clusters(self, DBClusterIdentifier: str) -> dict[str, Any]:  # noqa: N803
        return {"DBClusters": [self.clusters[DBClusterIdentifier]]}

    def get_paginator(self, call: str) -> Any:
        assert call == "describe_db_instances"
        return self

    def paginate(self, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803
        assert Filters == [{"Name": "db-cluster-id", "Values": ["shop-cluster"]}]
        return [
            {"DBInstances": [{"DBInstanceIdentifier": name, "DBInstanceClass": kind, "AllocatedStorage": 1}]}
            for name, kind in self.instances.items()
        ]

    def describe_replication_groups(self, ReplicationGroupId: str) -> dict[str, Any]:  # noqa: N803
        assert ReplicationGroupId == "shop-redis"
        group = {"CacheNodeType": "cache.t4g.small", "MemberClusters": ["a", "b"], "NodeGroups": [{}]}
        return {"ReplicationGroups": [{**group, **self.group}]}


@pytest.fixture
def api() -> Api:
    return Api()


def stack(api: Api, outputs: dict[str, Any]) -> Stack:
    return Stack("b", "p", "app", "edge", "eu-west-1", "http://x", 24, "x64", lambda _: api, outputs)


def test_types_sizes_and_the_policys_target_are_read(api: Api) -> None:
    found = deployed.read(stack(api, OUTPUTS))
    assert found == Sizes(
        "eu-west-1", "m7i.large", "t3.small", 55.0, "db.m7g.large", True, 100, "cache.t4g.small", 2, 2
    )


def test_shards_are_counted_of_a_cluster_and_of_the_databases(api: Api) -> None:
    api.group = {"ClusterEnabled": True, "MemberClusters": [*"abcdef"], "NodeGroups": [{}, {}, {}]}
    endpoints = [OUTPUTS["databaseEndpoint"], "shop-2.abc.us-east-1.rds.amazonaws.com:5432"]
    found = deployed.read(stack(api, {**OUTPUTS, "databaseEndpoints": endpoints}))
    assert found is not None
    assert (found.cache_shards, found.cache_nodes, found.database_shards) == (3, 6, 2)
    api.group = {"ClusterEnabled": True}
    one = deployed.read(stack(api, OUTPUTS))
    assert one is not None
    assert (one.cache_shards, one.database_shards) == (1, 1), "a cluster of one shard is one"


AURORA = {"databaseEndpoint": "shop-cluster.cluster-abc.us-east-1.rds.amazonaws.com:5432"}


def cluster_of(api: Api, writer: str, readers: dict[str, str], **more: Any) -> None:
    api.instances = {**readers, "shop-writer": writer}
    members = [{"DBInstanceIdentifier": name, "IsClusterWriter": name == "shop-writer"} for name in api.instances]
    api.clusters = {"shop-cluster": {"DBClusterIdentifier": "shop-cluster", "DBClusterMembers": members, **more}}


def test_of_aurora_the_writers_class_is_read_and_how_many_instances_there_are(api: Api) -> None:
    cluster_of(api, "db.r7g.xlarge", {"shop-reader1": "db.r7g.large", "shop-reader2": "db.r7g.large"})
    found = deployed.read(stack(api, AURORA))
    assert found == Sizes(
        "eu-west-1", "m7i.large", "t3.small", 55.0, "db.r7g.xlarge", app_servers=2, aurora=True, database_instances=3
    )


def test_of_serverless_v2_the_capacity_is_read(api: Api) -> None:
    units = {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 8}}
    cluster_of(api, "db.serverless", {}, **units)
    found = deployed.read(stack(api, AURORA))
    assert found is not None
    assert (found.database_class, found.capacity, found.database_instances) == ("db.serverless", (0.5, 8.0), 1)
    cluster_of(api, "db.r7g.large", {"shop-reader1": "db.serverless"}, **units)
    mixed = deployed.read(stack(api, AURORA))
    assert mixed is not None
    assert mixed.capacity is None, "the writer's size is fixed"


def test_a_cluster_that_is_gone_or_empty_has_no_sizes(api: Api) -> None:
    assert deployed.read(stack(api, AURORA)) is None
    api.clusters = {"shop-cluster": {"DBClusterIdentifier": "shop-cluster", "DBClusterMembers": []}}
    assert deployed.read(stack(api, AURORA)) is None


def test_a_stack_without_a_policy_a_database_and_a_cache_has_none(api: Api) -> None:
    api.policies = api.policies[:1]
    assert deployed.read(stack(api, {})) == Sizes("eu-west-1", "m7i.large", "t3.small", app_servers=2)


def test_who_may_not_ask_has_a_run_all_the_same(api: Api) -> None:
    api.denied = "AccessDenied"
    assert deployed.read(stack(api, OUTPUTS)) is None


@pytest.mark.parametrize(
    ("states", "told"), [(["InService"], "1"), (["InService"] * 3, "3"), (["InService"] * 2, None)]
)
def test_a_fleet_that_scales_meanwhile_is_said(api: Api, states: list[str], told: str | None) -> None:
    before = deployed.read(stack(api, OUTPUTS))
    api.states = states
    said = deployed.rescaled(before, deployed.read(stack(api, OUTPUTS)))
    assert said == (
        told
        and f"App servers in service: 2 when it began, and {told} when it ended. The knee is that of no one number of "
        "them: --check 2 loads so many with scaling policies off."
    )
    assert deployed.rescaled(None, before) is None, "nobody may ask, or there is no stack"
