"""Suspended processes and scheduled actions of the lab's Auto Scaling groups, as boto3 sees them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet, eventually

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def _suspend(fleet: Fleet, group: str, *processes: str) -> None:
    fleet.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=list(processes))


def _resume(fleet: Fleet, group: str, *processes: str) -> None:
    fleet.autoscaling.resume_processes(AutoScalingGroupName=group, ScalingProcesses=list(processes))


def test_nothing_is_terminated_while_terminate_is_suspended(fleet: Fleet) -> None:
    group = fleet.create(2)
    before = fleet.ids(group)
    _suspend(fleet, group, "Terminate")
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    fleet.autoscaling.set_instance_health(InstanceId=sorted(before)[0], HealthStatus="Unhealthy")
    fleet.autoscaling.start_instance_refresh(AutoScalingGroupName=group)
    assert fleet.ids(group) == before
    fleet.autoscaling.cancel_instance_refresh(AutoScalingGroupName=group)
    _resume(fleet, group, "Terminate")
    eventually(lambda: len(fleet.members(group)) == 1, "resumed, it is done")
    assert sorted(before)[0] not in fleet.ids(group)


def test_an_unhealthy_machine_stays_while_its_replacement_is_suspended(fleet: Fleet) -> None:
    group = fleet.create(1)
    sick = fleet.ids(group).pop()
    _suspend(fleet, group, "ReplaceUnhealthy")
    fleet.autoscaling.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy")
    assert (fleet.ids(group), fleet.members(group)[0]["HealthStatus"]) == ({sick}, "Unhealthy")
    _resume(fleet, group, "ReplaceUnhealthy")
    assert sick not in fleet.ids(group)


def test_ec2s_own_checks_are_not_looked_at_while_they_are_suspended(fleet: Fleet) -> None:
    group = fleet.create(1)
    lost = fleet.ids(group).pop()
    _suspend(fleet, group, "HealthCheck")
    fleet.ec2.stop_instances(InstanceIds=[lost])
    assert fleet.ids(group) == {lost}
    _resume(fleet, group, "HealthCheck")
    assert lost not in fleet.ids(group)


def test_a_machine_joins_no_target_group_while_that_is_suspended(fleet: Fleet, api: ApiServer) -> None:
    elb = api.client("elbv2")
    vpc = fleet.ec2.describe_subnets(SubnetIds=fleet.private)["Subnets"][0]["VpcId"]
    made = elb.create_target_group(Name=f"p-{fleet.unique}", Protocol="HTTP", Port=3000, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    group = fleet.create(0, TargetGroupARNs=[arn])
    _suspend(fleet, group, "AddToLoadBalancer")
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    _resume(fleet, group, "AddToLoadBalancer")
    assert fleet.states(group) == ["InService"]
    health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert health == [], "nor later: who resumes it has to register it"


def _schedule(fleet: Fleet, group: str, seconds: float, **sizes: int) -> datetime:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    fleet.autoscaling.put_scheduled_update_group_action(
        AutoScalingGroupName=group,
        ScheduledActionName="grow",
        StartTime=at,
        **sizes,
    )
    return at


def test_a_scheduled_action_changes_the_sizes_at_its_time_and_is_gone(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/scheduled-scaling.html
    group, other = fleet.create(0), fleet.create(0)
    at = _schedule(fleet, group, 4, MinSize=1, DesiredCapacity=2)
    _schedule(fleet, other, 3600, MinSize=1)
    found = fleet.members(group)
    assert found == [] or datetime.now(UTC) >= at, "not before its time"
    eventually(lambda: len(fleet.members(group)) == 2, "its time has come")
    assert fleet.describe(group)["MinSize"] == 1
    left = fleet.autoscaling.describe_scheduled_actions()["ScheduledUpdateGroupActions"]
    mine = [action["AutoScalingGroupName"] for action in left if action["AutoScalingGroupName"] in (group, other)]
    assert mine == [other], "an action of the same name is another group's"


def test_a_scheduled_action_passes_while_they_are_suspended(fleet: Fleet) -> None:
    group = fleet.create(0)
    _suspend(fleet, group, "ScheduledActions")
    _schedule(fleet, group, 4, DesiredCapacity=1)

    def scheduled() -> list[object]:
        found = fleet.autoscaling.describe_scheduled_actions(AutoScalingGroupName=group)
        return found["ScheduledUpdateGroupActions"]

    eventually(lambda: not scheduled(), "it is still there")
    assert fleet.members(group) == []


def test_a_schedule_that_aws_refuses_is_refused(fleet: Fleet) -> None:
    group = fleet.create(0)
    with pytest.raises(ClientError, match="in the past"):
        _schedule(fleet, group, -60, DesiredCapacity=1)
    with pytest.raises(ClientError, match="At least one of"):
        _schedule(fleet, group, 60)
    with pytest.raises(ClientError, match="invalid"):
        fleet.autoscaling.put_scheduled_update_group_action(
            AutoScalingGroupName=group, ScheduledActionName="daily", Recurrence="every day", DesiredCapacity=1
        )
