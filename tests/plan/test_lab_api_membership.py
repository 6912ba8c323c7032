"""Standby, attaching, detaching, protection and health in the lab's API, as boto3 sees them."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import PLAIN_X86, ApiServer
from tests.plan.lab_fleet import TERMINATING, Fleet, eventually, hook


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def _target_group(fleet: Fleet, api: ApiServer) -> str:
    vpc = fleet.ec2.describe_subnets(SubnetIds=fleet.private)["Subnets"][0]["VpcId"]
    made = api.client("elbv2").create_target_group(Name=f"m-{fleet.unique}", Protocol="HTTP", Port=3000, VpcId=vpc)
    return made["TargetGroups"][0]["TargetGroupArn"]


def test_a_machine_in_standby_runs_and_gets_no_requests_until_it_comes_back(fleet: Fleet, api: ApiServer) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
    arn = _target_group(fleet, api)

    def targets() -> set[str]:
        health = api.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {each["Target"]["Id"] for each in health}

    group = fleet.create(2, TargetGroupARNs=[arn])
    one = fleet.ids(group).pop()
    entered = fleet.autoscaling.enter_standby(
        AutoScalingGroupName=group, InstanceIds=[one], ShouldDecrementDesiredCapacity=True
    )
    assert "Standby" in entered["Activities"][0]["Description"]
    assert fleet.states(group) == ["InService", "Standby"], "nothing is launched in its place"
    assert fleet.describe(group)["DesiredCapacity"] == 1
    assert fleet.instance(one)["State"]["Name"] == "running"
    assert targets() == fleet.ids(group) - {one}
    fleet.autoscaling.exit_standby(AutoScalingGroupName=group, InstanceIds=[one])
    assert fleet.states(group) == ["InService", "InService"]
    assert fleet.describe(group)["DesiredCapacity"] == 2
    assert targets() == fleet.ids(group)


def test_a_machine_in_standby_is_replaced_where_the_capacity_stays(fleet: Fleet) -> None:
    group = fleet.create(1)
    one = fleet.ids(group).pop()
    fleet.autoscaling.enter_standby(AutoScalingGroupName=group, InstanceIds=[one], ShouldDecrementDesiredCapacity=False)
    assert fleet.states(group) == ["InService", "Standby"]
    fleet.autoscaling.set_instance_health(InstanceId=one, HealthStatus="Unhealthy")
    assert fleet.states(group) == ["InService", "Standby"], "nobody looks at its health"


def test_standby_is_refused_below_the_minimum_and_above_the_maximum(fleet: Fleet) -> None:
    group = fleet.create(1, MinSize=1, MaxSize=1)
    one = fleet.ids(group).pop()
    with pytest.raises(ClientError, match="minimum"):
        fleet.autoscaling.enter_standby(
            AutoScalingGroupName=group, InstanceIds=[one], ShouldDecrementDesiredCapacity=True
        )
    with pytest.raises(ClientError, match="not in Standby"):
        fleet.autoscaling.exit_standby(AutoScalingGroupName=group, InstanceIds=[one])
    fleet.autoscaling.enter_standby(AutoScalingGroupName=group, InstanceIds=[one], ShouldDecrementDesiredCapacity=False)
    with pytest.raises(ClientError, match="above max value 1"):
        fleet.autoscaling.exit_standby(AutoScalingGroupName=group, InstanceIds=[one])
    assert fleet.states(group) == ["InService", "Standby"], "and nothing has changed"


def test_an_instance_is_attached_and_detached(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-detach-attach-instances.html
    made = fleet.ec2.run_instances(
        ImageId=PLAIN_X86.id, InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=fleet.private[1]
    )
    instance = made["Instances"][0]["InstanceId"]
    group, other = fleet.create(1), fleet.create(0)
    fleet.autoscaling.attach_instances(AutoScalingGroupName=group, InstanceIds=[instance])
    assert instance in fleet.ids(group)
    assert (fleet.describe(group)["DesiredCapacity"], fleet.states(group)) == (2, ["InService", "InService"])
    with pytest.raises(ClientError, match="already part"):
        fleet.autoscaling.attach_instances(AutoScalingGroupName=other, InstanceIds=[instance])
    fleet.autoscaling.detach_instances(
        AutoScalingGroupName=group, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
    )
    assert instance not in fleet.ids(group)
    assert len(fleet.members(group)) == 1, "it is not replaced"
    assert fleet.instance(instance)["State"]["Name"] == "running", "and goes on"
    assert "aws:autoscaling:groupName" not in {tag["Key"] for tag in fleet.instance(instance).get("Tags", [])}
    fleet.autoscaling.attach_instances(AutoScalingGroupName=other, InstanceIds=[instance])
    assert fleet.ids(other) == {instance}, "another group may have it now"


def test_a_detached_instance_is_replaced_where_the_capacity_stays(fleet: Fleet) -> None:
    group = fleet.create(1)
    one = fleet.ids(group).pop()
    fleet.autoscaling.detach_instances(
        AutoScalingGroupName=group, InstanceIds=[one], ShouldDecrementDesiredCapacity=False
    )
    assert len(fleet.ids(group) - {one}) == 1


def test_a_machine_in_its_grace_period_is_not_made_unhealthy_but_on_demand(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetInstanceHealth.html
    group = fleet.create(1, HealthCheckGracePeriod=300)
    one = fleet.ids(group).pop()
    fleet.autoscaling.set_instance_health(InstanceId=one, HealthStatus="Unhealthy")
    assert fleet.ids(group) == {one}, "within the grace period nothing happens"
    assert fleet.members(group)[0]["HealthStatus"] == "Healthy"
    fleet.autoscaling.set_instance_health(InstanceId=one, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    assert one not in fleet.ids(group)


def test_an_unhealthy_machine_goes_after_its_successor_where_the_policy_says_so(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-maintenance-policy.html
    policy = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
    group = fleet.create(1, hook(TERMINATING), InstanceMaintenancePolicy=policy)
    sick = fleet.ids(group).pop()
    fleet.autoscaling.put_lifecycle_hook(
        AutoScalingGroupName=group, LifecycleHookName="launch", LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING"
    )
    fleet.autoscaling.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy")
    assert fleet.states(group) == ["InService", "Pending:Wait"], "it serves on until another one is ready"
    new = (fleet.ids(group) - {sick}).pop()
    fleet.complete(group, new, name="launch")
    eventually(lambda: fleet.states(group) == ["InService", "Terminating:Wait"], "then it leaves")


def test_protection_is_set_for_members_only(fleet: Fleet) -> None:
    group = fleet.create(1)
    with pytest.raises(ClientError, match="not part of Auto Scaling group"):
        fleet.autoscaling.set_instance_protection(
            AutoScalingGroupName=group, InstanceIds=["i-0123456789abcdef0"], ProtectedFromScaleIn=True
        )
