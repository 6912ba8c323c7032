"""Warm pools in the lab's API, as boto3 sees them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, Fleet, hook

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def _pool(fleet: Fleet, group: str) -> list[dict[str, Any]]:
    return fleet.autoscaling.describe_warm_pool(AutoScalingGroupName=group)["Instances"]


def test_a_machine_of_the_pool_waits_stopped_and_comes_into_service_when_the_group_grows(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING))
    fleet.complete(group, fleet.ids(group).pop())
    fleet.autoscaling.put_warm_pool(AutoScalingGroupName=group, MaxGroupPreparedCapacity=2)
    (warm,) = _pool(fleet, group)
    assert warm["LifecycleState"] == "Warmed:Pending:Wait", "it has to get ready first"
    assert len(fleet.members(group)) == 1, "the group lists its own"
    fleet.complete(group, warm["InstanceId"])
    assert _pool(fleet, group)[0]["LifecycleState"] == "Warmed:Stopped"
    assert fleet.instance(warm["InstanceId"])["State"]["Name"] == "stopped"
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)
    assert warm["InstanceId"] in fleet.ids(group)
    assert fleet.states(group) == ["InService", "Pending:Wait"], "it goes through the hook again"
    assert fleet.instance(warm["InstanceId"])["State"]["Name"] == "running"
    fleet.complete(group, warm["InstanceId"])
    assert fleet.states(group) == ["InService", "InService"]
    assert _pool(fleet, group) == [], "what is prepared is in service"


def test_a_running_pool_shrinks_as_the_group_grows_and_ends_with_its_deletion(fleet: Fleet) -> None:
    group = fleet.create(0)
    fleet.autoscaling.put_warm_pool(AutoScalingGroupName=group, PoolState="Running", MinSize=1)
    assert [each["LifecycleState"] for each in _pool(fleet, group)] == ["Warmed:Running"] * 4, "up to the maximum"
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=4)
    assert len(_pool(fleet, group)) == 1, "its own minimum"
    left = _pool(fleet, group)[0]["InstanceId"]
    fleet.autoscaling.delete_warm_pool(AutoScalingGroupName=group)
    assert _pool(fleet, group) == []
    assert fleet.instance(left)["State"]["Name"] == "terminated"
    assert len(fleet.members(group)) == 4
