"""Lifecycle hooks in the lab's API, as boto3 sees them."""

import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, TERMINATING, Fleet, eventually, hook


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def test_a_launched_instance_waits_for_its_hook_and_runs_meanwhile(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING))
    instance = fleet.ids(group).pop()
    assert fleet.states(group) == ["Pending:Wait"], "hooks given at creation hold already the first instance"
    shown = fleet.autoscaling.describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
    assert shown[0]["LifecycleState"] == "Pending:Wait", "both calls say so"
    assert fleet.instance(instance)["State"]["Name"] == "running", "it has to boot to get ready"
    fleet.complete(group, instance)
    assert fleet.states(group) == ["InService"]


def test_an_action_is_completed_once(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING))
    instance = fleet.ids(group).pop()
    fleet.complete(group, instance)
    with pytest.raises(ClientError, match="No active Lifecycle Action"):
        fleet.complete(group, instance)


def test_every_hook_has_to_be_completed(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING, name="one"), hook(LAUNCHING, name="two"))
    instance = fleet.ids(group).pop()
    fleet.complete(group, instance, name="two")
    assert fleet.states(group) == ["Pending:Wait"]
    fleet.complete(group, instance, name="one")
    assert fleet.states(group) == ["InService"]


def test_an_abandoned_launch_is_terminated_and_replaced_after_a_pause(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING))
    instance = fleet.ids(group).pop()
    fleet.complete(group, instance, "ABANDON")
    assert fleet.instance(instance)["State"]["Name"] == "terminated"
    assert fleet.members(group) == [], "a broken image must not be launched without end"
    launch = fleet.autoscaling.describe_scaling_activities(AutoScalingGroupName=group)["Activities"][-1]
    assert launch["StatusCode"] == "Cancelled", "the history says that the launch came to nothing"
    eventually(lambda: fleet.states(group) == ["Pending:Wait"], "no replacement came")


def test_a_launch_whose_time_is_up_gets_the_hooks_default(fleet: Fleet) -> None:
    abandons = fleet.create(1, hook(LAUNCHING, "ABANDON", seconds=1))
    continues = fleet.create(1, hook(LAUNCHING, "CONTINUE", seconds=1))
    given_up = fleet.ids(abandons).pop()
    eventually(lambda: fleet.states(continues) == ["InService"], "CONTINUE takes it into service")
    eventually(lambda: given_up not in fleet.ids(abandons), "ABANDON ends it")
    assert fleet.instance(given_up)["State"]["Name"] == "terminated"


def test_a_heartbeat_prolongs_the_wait(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING, "CONTINUE", seconds=5))
    instance = fleet.ids(group).pop()
    for _ in range(6):
        time.sleep(1)
        fleet.autoscaling.record_lifecycle_action_heartbeat(
            AutoScalingGroupName=group, LifecycleHookName="hook", InstanceId=instance
        )
    assert fleet.states(group) == ["Pending:Wait"], "six seconds are longer than one timeout"
    eventually(lambda: fleet.states(group) == ["InService"], "without heartbeats the wait ends")


@pytest.mark.parametrize("result", ["CONTINUE", "ABANDON"])
def test_an_instance_that_leaves_waits_for_its_hook(fleet: Fleet, result: str) -> None:
    group = fleet.create(1, hook(TERMINATING))
    instance = fleet.ids(group).pop()
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    assert fleet.states(group) == ["Terminating:Wait"]
    assert fleet.instance(instance)["State"]["Name"] == "running", "it drains meanwhile"
    fleet.complete(group, instance, result)
    assert fleet.members(group) == []
    assert fleet.instance(instance)["State"]["Name"] == "terminated", "either result ends it"


def test_an_instance_that_leaves_is_ended_when_its_time_is_up(fleet: Fleet) -> None:
    group = fleet.create(1, hook(TERMINATING, "CONTINUE", seconds=1))
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    eventually(lambda: fleet.members(group) == [], "nobody completed the action, and it is still there")


def test_an_unhealthy_instance_leaves_through_its_hook_while_another_comes(fleet: Fleet) -> None:
    group = fleet.create(1, hook(TERMINATING, "CONTINUE"))
    sick = fleet.ids(group).pop()
    fleet.autoscaling.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy")
    assert fleet.states(group) == ["InService", "Terminating:Wait"], "it does not count any more"
    fleet.complete(group, sick)
    assert fleet.states(group) == ["InService"]


def test_deleting_a_hook_ends_what_waits_for_it(fleet: Fleet) -> None:
    group = fleet.create(1, hook(TERMINATING))
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    fleet.autoscaling.delete_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName="hook")
    assert fleet.members(group) == []


def test_a_hook_put_later_holds_later_instances(fleet: Fleet) -> None:
    group = fleet.create(1)
    specification = hook(LAUNCHING, "CONTINUE", seconds=60) | {"NotificationMetadata": "tier=app"}
    fleet.autoscaling.put_lifecycle_hook(AutoScalingGroupName=group, **specification)
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)
    assert fleet.states(group) == ["InService", "Pending:Wait"]
    found = fleet.autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"][0]
    assert found["NotificationMetadata"] == "tier=app", "what was given comes back"
    assert "NotificationTargetARN" not in found, "and nothing that was not"
    assert found["GlobalTimeout"] == 6000, "a hundred heartbeats"


def test_a_forced_deletion_waits_for_no_hook(fleet: Fleet) -> None:
    group = fleet.create(1, hook(TERMINATING))
    instance = fleet.ids(group).pop()
    fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)
    assert fleet.instance(instance)["State"]["Name"] == "terminated"
    again = fleet.create(0, AutoScalingGroupName=group)
    hooks = fleet.autoscaling.describe_lifecycle_hooks(AutoScalingGroupName=again)["LifecycleHooks"]
    assert hooks == [], "the hooks go with the group"


def test_a_machine_is_in_its_target_groups_from_in_service_on_until_it_leaves(fleet: Fleet, api: ApiServer) -> None:
    elb = api.client("elbv2")
    vpc = fleet.ec2.describe_subnets(SubnetIds=fleet.private)["Subnets"][0]["VpcId"]
    made = elb.create_target_group(Name=f"t-{fleet.unique}", Protocol="HTTP", Port=3000, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]

    def targets() -> set[tuple[str, int]]:
        health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {(each["Target"]["Id"], each["Target"]["Port"]) for each in health}

    group = fleet.create(1, hook(LAUNCHING), hook(TERMINATING, name="leave"), TargetGroupARNs=[arn])
    instance = fleet.ids(group).pop()
    assert targets() == set(), "one that still waits for its hook gets no requests"
    fleet.complete(group, instance)
    assert targets() == {(instance, 3000)}
    fleet.autoscaling.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)
    assert fleet.states(group) == ["Terminating:Wait"]
    assert targets() == set(), "it drains before it goes"


def test_machines_in_service_join_a_target_group_that_comes_later(fleet: Fleet, api: ApiServer) -> None:
    elb = api.client("elbv2")
    vpc = fleet.ec2.describe_subnets(SubnetIds=fleet.private)["Subnets"][0]["VpcId"]
    made = elb.create_target_group(Name=f"l-{fleet.unique}", Protocol="HTTP", Port=3000, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    group = fleet.create(2)
    fleet.autoscaling.attach_load_balancer_target_groups(AutoScalingGroupName=group, TargetGroupARNs=[arn])
    health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert {each["Target"]["Id"] for each in health} == fleet.ids(group)
