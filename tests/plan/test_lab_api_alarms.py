"""Alarms of the lab's API, from a metric that somebody publishes to the queue of a topic that is told."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import eventually
from tests.plan.lab_queue import Queue

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
_numbers = count(1)


class Watched:
    """A metric, an alarm on it, and the queue of the topic that is told."""

    def __init__(self, api: ApiServer) -> None:
        self.name = f"watched-{next(_numbers)}"
        self.cloudwatch, self.sns = api.client("cloudwatch"), api.client("sns")
        self.topic = self.sns.create_topic(Name=self.name)["TopicArn"]
        self.queue = Queue(api, self.name)
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self.queue.arn)

    def let_in(self) -> None:
        """Let the topic send to the queue."""
        self.queue.let_in("sns.amazonaws.com", self.topic)

    def put(self, **other: Any) -> None:
        """Two of three periods of 10 s with more than 5 errors."""
        alarm: dict[str, Any] = {
            "AlarmName": self.name,
            "AlarmDescription": "Look at the log.",
            "Namespace": "Shop",
            "MetricName": "Errors",
            "Dimensions": [{"Name": "Site", "Value": self.name}],
            "Statistic": "Sum",
            "Period": 10,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 2,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 5,
            "AlarmActions": [self.topic],
            "OKActions": [self.topic],
        }
        given = {key: value for key, value in {**alarm, **other}.items() if value is not None}
        self.cloudwatch.put_metric_alarm(**given)

    def publish(self, errors: float) -> None:
        """So many errors in each period of the last minute, and of the one to come."""
        begin = int(time.time()) // 10 * 10
        data = [
            {
                "MetricName": "Errors",
                "Dimensions": [{"Name": "Site", "Value": self.name}],
                "Timestamp": datetime.fromtimestamp(at, UTC),
                "Value": errors,
                "StorageResolution": 1,
            }
            for at in range(begin - 60, begin + 60, 10)
        ]
        self.cloudwatch.put_metric_data(Namespace="Shop", MetricData=data)

    @property
    def state(self) -> str:
        (found,) = self.cloudwatch.describe_alarms(AlarmNames=[self.name])["MetricAlarms"]
        return found["StateValue"]

    def heard(self) -> list[dict[str, Any]]:
        """What the queue has been told so far."""
        found = self.queue.sqs.receive_message(QueueUrl=self.queue.url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(json.loads(each["Body"])["Message"]) for each in found.get("Messages", [])]


@pytest.fixture
def watched(api: ApiServer) -> Iterator[Watched]:
    made = Watched(api)
    yield made
    made.cloudwatch.delete_alarms(AlarmNames=[made.name])


def test_a_fault_raises_the_alarm_tells_the_topic_once_and_its_end_takes_it_back(watched: Watched) -> None:
    watched.let_in()
    watched.put()
    assert watched.state == "INSUFFICIENT_DATA", "as AWS begins"
    watched.publish(4)
    eventually(lambda: watched.state == "OK", "four are not more than five")
    watched.publish(2)  # six in each period
    eventually(lambda: watched.state == "ALARM", "it was not raised")
    watched.put(AlarmDescription="Look at the log, and at the releases.")
    assert watched.state == "ALARM", "a changed alarm keeps its state"
    eventually(lambda: len(watched.heard()) == 2, "its topic was not told")
    fine, raised = sorted(watched.heard(), key=lambda each: each["StateChangeTime"])
    assert (fine["OldStateValue"], fine["NewStateValue"]) == ("INSUFFICIENT_DATA", "OK")
    assert (raised["OldStateValue"], raised["NewStateValue"]) == ("OK", "ALARM")
    assert raised["AlarmName"] == watched.name
    assert raised["AlarmDescription"] == "Look at the log."
    assert raised["Trigger"]["Threshold"] == 5
    time.sleep(11)
    assert len(watched.heard()) == 2, "a state that lasts is told once"


def test_a_queue_that_does_not_let_the_topic_in_and_switched_off_actions_are_not_told(
    api: ApiServer, watched: Watched
) -> None:
    silent = Watched(api)
    silent.let_in()
    silent.put(ActionsEnabled=False, AlarmActions=[silent.topic])
    watched.put(AlarmActions=["arn:aws:sns:us-east-1:123456789012:gone", watched.topic])
    for each in (silent, watched):
        each.publish(50)
    for each in (silent, watched):
        eventually(lambda each=each: each.state == "ALARM", "a topic that is gone stops no alarm")
    time.sleep(1)
    assert silent.heard() == watched.heard() == []
    silent.cloudwatch.delete_alarms(AlarmNames=[silent.name])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Period": 20}, "10, 30 or a multiple of 60"),
        ({"TreatMissingData": "bad"}, "TreatMissingData"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "comparison"),
        ({"DatapointsToAlarm": 4}, "DatapointsToAlarm"),
        ({"Statistic": None, "ExtendedStatistic": "tm95"}, "tm95"),
        ({"Statistic": None, "ExtendedStatistic": "p101"}, "p101"),
        ({"ExtendedStatistic": "p95"}, "not both"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "evaluate"),
    ],
)
def test_what_aws_refuses_or_the_lab_cannot_tell_is_refused_and_the_alarm_stays_as_it_was(
    watched: Watched, given: dict[str, Any], message: str
) -> None:
    watched.put()
    with pytest.raises(ClientError, match=message):
        watched.put(**{"AlarmDescription": "another", **given})
    (found,) = watched.cloudwatch.describe_alarms(AlarmNames=[watched.name])["MetricAlarms"]
    assert found["AlarmDescription"] == "Look at the log."
