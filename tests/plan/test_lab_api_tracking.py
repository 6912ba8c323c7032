"""Target tracking in the lab's API, from the load that the controller tells to the machines that are launched."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet, eventually

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/policy-creating-high-resolution-metrics.html


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def tracking(group: str, target: float = 50, **stat: Any) -> dict[str, Any]:
    """A policy on the group's CPU in periods of 10 s."""
    metric = {
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
    }
    query = {"Id": "cpu", "MetricStat": {"Metric": metric, "Stat": "Average", "Period": 10, **stat}}
    return {
        "AutoScalingGroupName": group,
        "PolicyName": "cpu",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingConfiguration": {"CustomizedMetricSpecification": {"Metrics": [query]}, "TargetValue": target},
    }


def tell(api: ApiServer, load: dict[str, float]) -> None:
    """The load was this all the time, and is for the next half minute."""
    begin = int(time.time()) // 10 * 10
    for at in range(begin - 200, begin + 30, 10):
        api.control("cpu", "PUT", {"percent": load, "at": at})


def test_load_above_the_target_launches_machines_says_why_and_scales_in_when_it_is_gone(
    api: ApiServer, fleet: Fleet
) -> None:
    busy = fleet.create(2, DefaultInstanceWarmup=0, MinSize=2)
    idle = fleet.create(3, DefaultInstanceWarmup=0, MinSize=2)
    still = fleet.create(2, DefaultInstanceWarmup=0, MinSize=2)
    fleet.autoscaling.suspend_processes(AutoScalingGroupName=still, ScalingProcesses=["AlarmNotification"])
    for group in (busy, idle, still):
        fleet.autoscaling.put_scaling_policy(**tracking(group))
    tell(
        api,
        dict.fromkeys(fleet.ids(busy), 70.0)
        | dict.fromkeys(fleet.ids(idle), 4.0)
        | dict.fromkeys(fleet.ids(still), 90),
    )
    eventually(lambda: fleet.describe(busy)["DesiredCapacity"] == 3, "2 x 70 / 50 = 2.8")
    eventually(lambda: fleet.describe(idle)["DesiredCapacity"] == 2, "nothing to do")
    eventually(lambda: len(fleet.members(busy)) == 3, "no machine was launched")
    assert fleet.describe(still)["DesiredCapacity"] == 2, "AlarmNotification is suspended"
    causes = [
        activity["Cause"]
        for group in (busy, idle)
        for activity in fleet.autoscaling.describe_scaling_activities(AutoScalingGroupName=group)["Activities"][:1]
    ]
    assert "AlarmHigh in state ALARM triggered policy cpu changing the desired capacity from 2 to 3" in causes[0]
    assert "AlarmLow in state ALARM triggered policy cpu changing the desired capacity from 3 to 2" in causes[1]


def test_the_load_is_there_for_any_client(api: ApiServer, fleet: Fleet) -> None:
    group = fleet.create(2, DefaultInstanceWarmup=0)
    one, other = sorted(fleet.ids(group))
    tell(api, {one: 20.0, other: 40.0, "i-of-no-group": 99.0})

    def average(name: str, value: str) -> list[float]:
        now = datetime.now(UTC)
        answer = api.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/EC2",
            MetricName="CPUUtilization",
            Dimensions=[{"Name": name, "Value": value}],
            StartTime=now - timedelta(seconds=60),
            EndTime=now,
            Period=60,
            Statistics=["Average"],
        )
        return [point["Average"] for point in answer["Datapoints"]]

    assert average("InstanceId", one) == [20.0]
    assert average("AutoScalingGroupName", group) == [30.0]


def test_a_machine_that_warms_up_adds_nothing_to_its_groups_load(api: ApiServer, fleet: Fleet) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-default-instance-warmup.html
    group = fleet.create(1, DefaultInstanceWarmup=600)
    tell(api, dict.fromkeys(fleet.ids(group), 100.0))
    found = api.client("cloudwatch").list_metrics(
        Namespace="AWS/EC2", Dimensions=[{"Name": "AutoScalingGroupName", "Value": group}]
    )
    assert "CPUUtilization" not in {each["MetricName"] for each in found["Metrics"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Period": 20}, "Period must be 10, 30 or 60"),
        ({"Stat": "p99"}, "p99"),
    ],
)
def test_what_the_lab_can_not_measure_is_refused_by_name(fleet: Fleet, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        fleet.autoscaling.put_scaling_policy(**tracking(fleet.create(0), **change))


def test_a_metric_that_the_lab_has_not_is_refused_by_name(fleet: Fleet) -> None:
    given = tracking(fleet.create(0))
    predefined = {"PredefinedMetricType": "ASGAverageNetworkIn"}
    given["TargetTrackingConfiguration"] = {"PredefinedMetricSpecification": predefined, "TargetValue": 5}
    with pytest.raises(ClientError, match="no metric ASGAverageNetworkIn"):
        fleet.autoscaling.put_scaling_policy(**given)


def test_many_values_at_once_are_kept_as_their_statistics(api: ApiServer) -> None:
    cloudwatch, now = api.client("cloudwatch"), datetime.now(UTC)
    common = {"MetricName": "ResponseTime", "Timestamp": now, "Unit": "Milliseconds", "StorageResolution": 1}
    cloudwatch.put_metric_data(
        Namespace="Many",
        MetricData=[
            {**common, "Values": [5.0, 10.0, 250.0], "Counts": [98_000.0, 1_999.0, 1.0]},
            {**common, "Values": [20.0]},
        ],
    )
    (found,) = cloudwatch.get_metric_statistics(
        Namespace="Many",
        MetricName="ResponseTime",
        StartTime=now - timedelta(seconds=60),
        EndTime=now + timedelta(seconds=60),
        Period=600,
        Statistics=["Sum", "Minimum", "Maximum", "SampleCount", "Average"],
    )["Datapoints"]
    assert (found["Minimum"], found["Maximum"], found["SampleCount"]) == (5.0, 250.0, 100_001.0)
    assert found["Sum"] == 98_000 * 5 + 1_999 * 10 + 250 + 20
    assert found["Average"] == pytest.approx(found["Sum"] / found["SampleCount"])


def test_a_policy_follows_a_metric_of_many_values(api: ApiServer, fleet: Fleet) -> None:
    group = fleet.create(2, DefaultInstanceWarmup=0, MinSize=2)
    begin = int(time.time()) // 10 * 10
    data = [
        {
            "MetricName": "InFlight",
            "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
            "Timestamp": datetime.fromtimestamp(at, UTC),
            "Values": [60.0, 80.0],
            "Counts": [1.0, 1.0],
        }
        for at in range(begin - 60, begin + 30, 10)
    ]
    api.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=data)
    policy = tracking(group)
    query = policy["TargetTrackingConfiguration"]["CustomizedMetricSpecification"]["Metrics"][0]
    query["MetricStat"]["Metric"] |= {"Namespace": "Shop", "MetricName": "InFlight"}
    fleet.autoscaling.put_scaling_policy(**policy)
    eventually(lambda: fleet.describe(group)["DesiredCapacity"] == 3, "2 x 70 / 50 = 2.8")
