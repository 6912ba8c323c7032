"""Which machines a stack runs on, out of what AWS says."""

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
