"""Instance refreshes in the lab's API, as boto3 sees them; how one goes on in time is in tests/unit."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, TERMINATING, Fleet, eventually, hook

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-overview.html
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_StartInstanceRefresh.html
FIRST = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200, "InstanceWarmup": 0}


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def _version(fleet: Fleet, instance_type: str = "t3.micro") -> str:
    """A second version of the fleet's template."""
    made = fleet.ec2.create_launch_template_version(
        LaunchTemplateId=fleet.template, SourceVersion="1", LaunchTemplateData={"InstanceType": instance_type}
    )
    return str(made["LaunchTemplateVersion"]["VersionNumber"])


def _desired(fleet: Fleet, version: str) -> dict[str, Any]:
    return {"LaunchTemplate": {"LaunchTemplateId": fleet.template, "Version": version}}


def _start(fleet: Fleet, group: str, version: str | None = None, **preferences: Any) -> str:
    desired = {"DesiredConfiguration": _desired(fleet, version)} if version else {}
    started = fleet.autoscaling.start_instance_refresh(
        AutoScalingGroupName=group, Preferences=FIRST | preferences, **desired
    )
    return started["InstanceRefreshId"]


def _refresh(fleet: Fleet, group: str) -> dict[str, Any]:
    return fleet.autoscaling.describe_instance_refreshes(AutoScalingGroupName=group)["InstanceRefreshes"][0]


def _versions(fleet: Fleet, group: str) -> list[str]:
    return sorted(member["LaunchTemplate"]["Version"] for member in fleet.members(group))


def _become(fleet: Fleet, group: str, status: str) -> None:
    eventually(lambda: _refresh(fleet, group)["Status"] == status, f"{_refresh(fleet, group)} is not {status}")


def test_a_refresh_launches_before_it_terminates_and_waits_for_the_hooks(fleet: Fleet) -> None:
    group = fleet.create(2, hook(LAUNCHING))
    for instance in fleet.ids(group):
        fleet.complete(group, instance)
    old, version = fleet.ids(group), _version(fleet)
    identifier = _start(fleet, group, version)
    assert fleet.states(group) == ["InService", "InService", "Pending:Wait", "Pending:Wait"]
    shown = _refresh(fleet, group)
    assert (shown["InstanceRefreshId"], shown["Status"]) == (identifier, "InProgress")
    assert (shown["PercentageComplete"], shown["InstancesToUpdate"]) == (0, 2)
    assert fleet.describe(group)["LaunchTemplate"]["Version"] == "1", "the group changes when the refresh succeeded"
    for instance in fleet.ids(group) - old:
        fleet.complete(group, instance)
    _become(fleet, group, "Successful")
    assert old.isdisjoint(fleet.ids(group))
    assert _versions(fleet, group) == [version, version]
    assert fleet.describe(group)["LaunchTemplate"]["Version"] == version
    assert _refresh(fleet, group)["PercentageComplete"] == 100
    assert _refresh(fleet, group)["EndTime"] >= _refresh(fleet, group)["StartTime"]


def test_at_the_defaults_one_machine_ends_before_its_successor_comes(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING))
    fleet.complete(group, fleet.ids(group).pop())
    fleet.autoscaling.start_instance_refresh(AutoScalingGroupName=group)
    eventually(lambda: fleet.states(group) == ["Pending:Wait"], "90 percent of one machine let it end first")
    preferences = _refresh(fleet, group)["Preferences"]
    assert (preferences["MinHealthyPercentage"], preferences["MaxHealthyPercentage"]) == (90, 100)
    assert preferences["SkipMatching"] is False


def test_a_refresh_takes_its_bounds_from_the_groups_maintenance_policy(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-maintenance-policy-overview-and-considerations.html
    policy = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150}
    group = fleet.create(2, hook(LAUNCHING), InstanceMaintenancePolicy=policy)
    assert fleet.describe(group)["InstanceMaintenancePolicy"] == policy
    for instance in fleet.ids(group):
        fleet.complete(group, instance)
    fleet.autoscaling.start_instance_refresh(AutoScalingGroupName=group)
    assert fleet.states(group) == ["InService", "InService", "Pending:Wait"], "half of two more"


def test_a_second_refresh_is_refused_while_one_is_under_way(fleet: Fleet) -> None:
    group = fleet.create(1, hook(LAUNCHING))
    fleet.complete(group, fleet.ids(group).pop())
    _start(fleet, group)
    with pytest.raises(ClientError, match="InstanceRefreshInProgress"):
        _start(fleet, group)


def test_a_refresh_that_skips_what_matches_replaces_the_others_only(fleet: Fleet) -> None:
    group, version = fleet.create(1), _version(fleet)
    old = fleet.ids(group)
    template = {"LaunchTemplateId": fleet.template, "Version": version}
    fleet.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, LaunchTemplate=template, DesiredCapacity=2)
    matching = fleet.ids(group) - old
    _start(fleet, group, SkipMatching=True)
    _become(fleet, group, "Successful")
    assert matching < fleet.ids(group), "what matches stays"
    assert old.isdisjoint(fleet.ids(group))
    before = fleet.ids(group)
    _start(fleet, group, SkipMatching=True)
    _become(fleet, group, "Successful")
    assert fleet.ids(group) == before, "and with nothing to do nothing is done"


def test_a_refresh_waits_at_a_checkpoint(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-adding-checkpoints-instance-refresh.html
    group = fleet.create(2)
    old = fleet.ids(group)
    _start(fleet, group, CheckpointPercentages=[50, 100], CheckpointDelay=3)
    eventually(lambda: _refresh(fleet, group).get("StatusReason") is not None, "it does not wait")
    shown = _refresh(fleet, group)
    assert (shown["Status"], shown["PercentageComplete"], shown["InstancesToUpdate"]) == ("InProgress", 50, 1)
    assert len(old & fleet.ids(group)) == 1
    _become(fleet, group, "Successful")
    assert old.isdisjoint(fleet.ids(group))


def test_a_cancelled_refresh_leaves_what_it_has_done(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/cancel-instance-refresh.html
    group, version = fleet.create(2), _version(fleet)
    _start(fleet, group, version, CheckpointPercentages=[50, 100])
    eventually(lambda: _refresh(fleet, group)["PercentageComplete"] == 50, "it does not get to one half")
    cancelled = fleet.autoscaling.cancel_instance_refresh(AutoScalingGroupName=group)
    assert cancelled["InstanceRefreshId"] == _refresh(fleet, group)["InstanceRefreshId"]
    _become(fleet, group, "Cancelled")
    assert _versions(fleet, group) == ["1", version]
    assert fleet.describe(group)["LaunchTemplate"]["Version"] == "1", "the group keeps its configuration"
    with pytest.raises(ClientError, match="ActiveInstanceRefreshNotFound"):
        fleet.autoscaling.cancel_instance_refresh(AutoScalingGroupName=group)


def test_a_rollback_brings_the_groups_own_configuration_back(fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-rollback.html
    group, version = fleet.create(2), _version(fleet)
    _start(fleet, group, version, CheckpointPercentages=[50, 100])
    eventually(lambda: _versions(fleet, group) == ["1", version], "it does not get to one half")
    kept = next(each["InstanceId"] for each in fleet.members(group) if each["LaunchTemplate"]["Version"] == "1")
    eventually(lambda: _refresh(fleet, group)["PercentageComplete"] == 50, "it does not see it")
    fleet.autoscaling.rollback_instance_refresh(AutoScalingGroupName=group)
    _become(fleet, group, "RollbackSuccessful")
    assert _versions(fleet, group) == ["1", "1"]
    assert kept in fleet.ids(group), "what had not been replaced stays"
    details = _refresh(fleet, group)["RollbackDetails"]
    assert (details["PercentageCompleteOnRollback"], details["InstancesToUpdateOnRollback"]) == (50, 1)


def test_a_refresh_without_a_configuration_of_its_own_cannot_be_rolled_back(fleet: Fleet) -> None:
    group = fleet.create(2)
    _start(fleet, group, CheckpointPercentages=[50, 100])
    with pytest.raises(ClientError, match="IrreversibleInstanceRefresh"):
        fleet.autoscaling.rollback_instance_refresh(AutoScalingGroupName=group)


def test_an_alarm_rolls_a_refresh_back_by_itself(fleet: Fleet, api: ApiServer) -> None:
    alarms, name = api.client("cloudwatch"), f"errors-{fleet.unique}"
    alarms.put_metric_alarm(
        AlarmName=name,
        Namespace="test",
        MetricName="errors",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        Threshold=1,
    )
    group, version = fleet.create(2), _version(fleet)
    specification = {"AutoRollback": True, "AlarmSpecification": {"Alarms": [name]}}
    _start(fleet, group, version, CheckpointPercentages=[50, 100], **specification)
    eventually(lambda: _versions(fleet, group) == ["1", version], "it does not get to one half")
    alarms.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    _become(fleet, group, "RollbackSuccessful")
    assert name in _refresh(fleet, group)["RollbackDetails"]["RollbackReason"]


def test_new_machines_have_the_configuration_of_the_refresh_under_way(fleet: Fleet) -> None:
    group, version = fleet.create(2), _version(fleet)
    _start(fleet, group, version, CheckpointPercentages=[50, 100])
    eventually(lambda: _versions(fleet, group) == ["1", version], "it does not get to one half")
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    assert _versions(fleet, group) == ["1", version, version]


@pytest.mark.parametrize(
    ("preferences", "word"),
    [
        ({"MaxHealthyPercentage": 150}, "together with MinHealthyPercentage"),
        ({"MinHealthyPercentage": 50, "MaxHealthyPercentage": 200}, "cannot exceed 100"),
        ({"CheckpointPercentages": [50, 20]}, "ascend"),
        ({"AutoRollback": True}, "AutoRollback"),
    ],
)
def test_preferences_that_aws_refuses_are_refused(fleet: Fleet, preferences: dict[str, Any], word: str) -> None:
    group = fleet.create(0)
    with pytest.raises(ClientError, match=word):
        fleet.autoscaling.start_instance_refresh(AutoScalingGroupName=group, Preferences=preferences)
    assert fleet.autoscaling.describe_instance_refreshes(AutoScalingGroupName=group)["InstanceRefreshes"] == []


def test_a_refresh_is_complete_when_the_old_machine_has_drained(fleet: Fleet) -> None:
    group = fleet.create(1, hook(TERMINATING))
    old = fleet.ids(group).pop()
    _start(fleet, group)
    eventually(lambda: "Terminating:Wait" in fleet.states(group), "the old one does not leave")
    time.sleep(1.5)
    assert _refresh(fleet, group)["Status"] == "InProgress"
    fleet.complete(group, old)
    _become(fleet, group, "Successful")
