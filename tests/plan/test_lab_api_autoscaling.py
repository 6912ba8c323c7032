"""Auto Scaling in the lab's API, as boto3 sees it: places, sizes, launches, and what AWS refuses."""

import base64
import ipaddress
from collections import Counter
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, USER_DATA, Fleet, eventually, hook


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def test_instances_are_spread_over_the_zones(fleet: Fleet) -> None:
    group = fleet.create(3)
    zones = Counter(member["AvailabilityZone"] for member in fleet.members(group))
    assert sorted(zones.values()) == [1, 2], f"three instances in two zones, not {zones}"
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=4)
    zones = Counter(member["AvailabilityZone"] for member in fleet.members(group))
    assert sorted(zones.values()) == [2, 2], f"the fourth goes where there are fewest, not {zones}"


def test_a_group_that_lost_its_balance_gets_it_back_and_launches_first(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/auto-scaling-benefits.html
    group = fleet.create(2, hook(LAUNCHING), VPCZoneIdentifier=fleet.private[0])
    for instance in fleet.ids(group):
        fleet.complete(group, instance)
    before = fleet.ids(group)
    fleet.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["AZRebalance"])
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, VPCZoneIdentifier=",".join(fleet.private))
    assert fleet.ids(group) == before, "not while it is suspended"
    fleet.autoscaling.resume_processes(AutoScalingGroupName=group, ScalingProcesses=["AZRebalance"])
    assert fleet.states(group) == ["InService", "InService", "Pending:Wait"], "one above the desired capacity"
    fleet.complete(group, (fleet.ids(group) - before).pop())
    eventually(lambda: len(fleet.members(group)) == 2, "one too many stays")
    zones = {member["AvailabilityZone"] for member in fleet.members(group)}
    assert len(zones) == 2, f"both zones have one, not {zones}"


def test_scale_in_takes_from_the_fullest_zone_and_spares_protected_instances(fleet: Fleet) -> None:
    group = fleet.create(3)
    zones = Counter(member["AvailabilityZone"] for member in fleet.members(group))
    fullest = zones.most_common(1)[0][0]
    oldest = next(member for member in fleet.members(group) if member["AvailabilityZone"] == fullest)
    fleet.autoscaling.set_instance_protection(
        AutoScalingGroupName=group, InstanceIds=[oldest["InstanceId"]], ProtectedFromScaleIn=True
    )
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)
    assert oldest["InstanceId"] in fleet.ids(group), "a protected instance stays"
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    assert fleet.ids(group) == {oldest["InstanceId"]}, "even when all others have to go"


@pytest.mark.parametrize(("wanted", "word"), [(5, "above max value 4"), (0, "below min value 1")])
def test_a_desired_capacity_outside_the_bounds_is_refused(fleet: Fleet, wanted: int, word: str) -> None:
    group = fleet.create(1, MinSize=1)
    with pytest.raises(ClientError, match=word):
        fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=wanted)
    assert len(fleet.members(group)) == 1, "nothing was launched or terminated"


def test_a_group_with_impossible_sizes_is_refused(fleet: Fleet) -> None:
    with pytest.raises(ClientError, match="must be between"):
        fleet.create(9)
    with pytest.raises(ClientError, match="greater than or equal"):
        fleet.create(1, MinSize=3, MaxSize=2)


def test_a_second_group_of_the_same_name_is_refused(fleet: Fleet) -> None:
    group = fleet.create(0)
    with pytest.raises(ClientError, match="already exists"):
        fleet.create(0, AutoScalingGroupName=group)


def test_new_bounds_move_the_desired_capacity_with_them(fleet: Fleet) -> None:
    group = fleet.create(3)
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, MaxSize=2)
    assert fleet.describe(group)["DesiredCapacity"] == 2, "a lower maximum lowers it"
    assert len(fleet.members(group)) == 2, "and ends an instance"
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=4, MaxSize=4)
    assert len(fleet.members(group)) == 4, "a higher minimum starts some"


def test_an_instance_is_what_its_launch_template_says(fleet: Fleet) -> None:
    instance = fleet.instance(fleet.ids(fleet.create(1)).pop())
    assert instance["State"]["Name"] == "running"
    assert instance["InstanceType"] == "t3.small"
    assert instance["IamInstanceProfile"]["Arn"] == fleet.profile, "the profile is set on the instance"
    options = instance["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1), "so are metadata options"
    groups = [group["GroupId"] for group in instance["NetworkInterfaces"][0]["Groups"]]
    assert groups == [fleet.security_group], "the interface names its security groups"
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["Name"] == "tier", "tags of the template"
    assert tags["tier"] == "app", "tags of the group that propagate"
    attribute = fleet.ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert base64.b64decode(attribute["UserData"]["Value"]).decode() == USER_DATA
    assert instance["PrivateDnsName"] == f"ip-{instance['PrivateIpAddress'].replace('.', '-')}.ec2.internal"


def test_an_instance_has_a_public_address_in_a_public_subnet_only(fleet: Fleet) -> None:
    private = fleet.instance(fleet.ids(fleet.create(1)).pop())
    assert "PublicIpAddress" not in private, "a private subnet gives no public address"
    public = fleet.instance(fleet.ids(fleet.create(1, VPCZoneIdentifier=fleet.public)).pop())
    address = ipaddress.ip_address(public["PublicIpAddress"])
    assert address in ipaddress.ip_network("198.51.100.0/24"), f"{address} is somebody's"


def test_an_instance_keeps_the_template_version_that_it_was_launched_from(fleet: Fleet) -> None:
    group = fleet.create(1)
    fleet.ec2.create_launch_template_version(
        LaunchTemplateId=fleet.template, LaunchTemplateData={"ImageId": "ami-0", "InstanceType": "t3.micro"}
    )
    fleet.ec2.modify_launch_template(LaunchTemplateId=fleet.template, DefaultVersion="2")
    assert fleet.members(group)[0]["LaunchTemplate"]["Version"] == "1", "not the template's default one"


def test_an_unhealthy_instance_is_replaced(fleet: Fleet) -> None:
    group = fleet.create(1)
    sick = fleet.ids(group).pop()
    fleet.autoscaling.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy")
    assert len(fleet.ids(group) - {sick}) == 1, "another one is there"
    assert fleet.instance(sick)["State"]["Name"] == "terminated"


@pytest.mark.parametrize("ending", ["terminate_instances", "stop_instances"])
def test_an_instance_that_ends_behind_the_groups_back_is_replaced(fleet: Fleet, ending: str) -> None:
    group = fleet.create(2)
    lost = fleet.ids(group).pop()
    getattr(fleet.ec2, ending)(InstanceIds=[lost])
    eventually(lambda: lost not in fleet.ids(group), f"{lost} is still in the group")
    assert len(fleet.ids(group)) == 2, "and another one came"


def test_terminating_an_instance_may_lower_the_capacity(fleet: Fleet) -> None:
    group = fleet.create(2, MinSize=1)
    first, second = fleet.ids(group)
    terminate = fleet.autoscaling.terminate_instance_in_auto_scaling_group
    terminate(InstanceId=first, ShouldDecrementDesiredCapacity=True)
    assert fleet.ids(group) == {second}, "it is not replaced"
    with pytest.raises(ClientError, match="min size"):
        terminate(InstanceId=second, ShouldDecrementDesiredCapacity=True)
    terminate(InstanceId=second, ShouldDecrementDesiredCapacity=False)
    assert len(fleet.ids(group) - {second}) == 1, "without lowering, it is replaced"


def test_a_suspended_launch_launches_nothing_until_resumed(fleet: Fleet) -> None:
    group = fleet.create(0)
    fleet.autoscaling.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=1)
    assert fleet.members(group) == []
    fleet.autoscaling.resume_processes(AutoScalingGroupName=group, ScalingProcesses=["Launch"])
    assert len(fleet.members(group)) == 1


def test_a_launch_that_fails_is_in_the_history_and_is_tried_again_after_a_pause(fleet: Fleet) -> None:
    template = fleet.add_template(IamInstanceProfile={"Name": "nobody"})
    group = fleet.create(2, LaunchTemplate={"LaunchTemplateId": template, "Version": "1"})
    activities = fleet.autoscaling.describe_scaling_activities(AutoScalingGroupName=group)["Activities"]
    assert [activity["StatusCode"] for activity in activities] == ["Failed"], "one try, not one for each instance"
    assert "nobody" in activities[0]["StatusMessage"], "and the reason"
    assert fleet.members(group) == []


def test_the_history_tells_launches_and_terminations_newest_first(fleet: Fleet) -> None:
    group = fleet.create(1)
    instance = fleet.ids(group).pop()
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    activities = fleet.autoscaling.describe_scaling_activities(AutoScalingGroupName=group)["Activities"]
    assert [(activity["Description"], activity["StatusCode"]) for activity in activities] == [
        (f"Terminating EC2 instance: {instance}", "Successful"),
        (f"Launching a new EC2 instance: {instance}", "Successful"),
    ]
    assert all(activity["EndTime"] >= activity["StartTime"] for activity in activities)


def test_a_group_with_instances_is_deleted_by_force_only(fleet: Fleet) -> None:
    group = fleet.create(1)
    instance = fleet.ids(group).pop()
    with pytest.raises(ClientError, match="still in the group"):
        fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group)
    fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)
    assert fleet.instance(instance)["State"]["Name"] == "terminated"
    found = fleet.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    assert found["AutoScalingGroups"] == []


def test_a_scaling_policy_has_an_arn(fleet: Fleet) -> None:
    group = fleet.create(0)
    policy = fleet.autoscaling.put_scaling_policy(
        AutoScalingGroupName=group,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            "TargetValue": 60,
        },
    )
    assert f"autoScalingGroupName/{group}" in policy["PolicyARN"]


def test_a_scaling_policy_has_its_name_in_its_group_only(fleet: Fleet) -> None:
    groups = [fleet.create(0), fleet.create(0)]
    for size, group in enumerate(groups, 1):
        fleet.autoscaling.put_scaling_policy(
            AutoScalingGroupName=group, PolicyName="size", AdjustmentType="ExactCapacity", ScalingAdjustment=size
        )
    fleet.autoscaling.execute_policy(AutoScalingGroupName=groups[1], PolicyName="size")
    assert [len(fleet.members(group)) for group in groups] == [0, 2]
    fleet.autoscaling.delete_policy(AutoScalingGroupName=groups[1], PolicyName="size")
    left = fleet.autoscaling.describe_policies(PolicyNames=["size"])["ScalingPolicies"]
    assert [policy["AutoScalingGroupName"] for policy in left] == [groups[0]], "the other group keeps its own"
    with pytest.raises(ClientError, match="not found"):
        fleet.autoscaling.delete_policy(AutoScalingGroupName=groups[1], PolicyName="size")


def test_a_warm_up_is_kept_until_it_is_taken_away(fleet: Fleet) -> None:
    group = fleet.create(0, DefaultInstanceWarmup=30)
    assert fleet.describe(group)["DefaultInstanceWarmup"] == 30
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, DefaultInstanceWarmup=60)
    assert fleet.describe(group)["DefaultInstanceWarmup"] == 60
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, DefaultInstanceWarmup=-1)
    assert "DefaultInstanceWarmup" not in fleet.describe(group)


def test_an_instance_maintenance_policy_is_kept_until_it_is_taken_away(fleet: Fleet) -> None:
    def policy(low: int, high: int) -> dict[str, int]:
        return {"MinHealthyPercentage": low, "MaxHealthyPercentage": high}

    group = fleet.create(0, InstanceMaintenancePolicy=policy(100, 200))
    assert fleet.describe(group)["InstanceMaintenancePolicy"] == policy(100, 200)
    for low, high in ((50, 200), (100, 99), (-1, 200)):
        with pytest.raises(ClientError, match="difference between them at most 100"):
            fleet.autoscaling.update_auto_scaling_group(
                AutoScalingGroupName=group, MaxSize=2, InstanceMaintenancePolicy=policy(low, high)
            )
    with pytest.raises(ClientError, match="must be specified together"):
        fleet.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=group, InstanceMaintenancePolicy={"MaxHealthyPercentage": 200}
        )
    kept = fleet.describe(group)
    assert (kept["InstanceMaintenancePolicy"], kept["MaxSize"]) == (policy(100, 200), 4), "a refusal changes nothing"
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, InstanceMaintenancePolicy=policy(-1, -1))
    assert "InstanceMaintenancePolicy" not in fleet.describe(group)


@pytest.mark.parametrize(
    ("given", "kept"), [({}, 0), ({"HealthCheckGracePeriod": 0}, 0), ({"HealthCheckGracePeriod": 9}, 9)]
)
def test_a_group_has_the_grace_period_that_it_was_given_and_else_none(
    given: dict[str, int], kept: int, fleet: Fleet
) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html
    assert fleet.describe(fleet.create(0, **given))["HealthCheckGracePeriod"] == kept
