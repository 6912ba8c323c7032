"""CloudWatch, SNS and SQS as the lab changes them, in this process and by a clock of the test's own."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.cloudwatch.models import CloudWatchBackend, Statistics
from moto.cloudwatch.responses import CloudWatchResponse
from moto.sns.models import Subscription
from moto.sqs.models import sqs_backends

from components.planning import DIMENSIONS, Alarm
from lab.api import alarms, metrics, topics

BEGIN = 1_800_000_000.0
"""Seconds since the epoch, at a whole five minutes."""
PERIOD = 10
TOLD = 1.0
"""Seconds after a period's end that machines have told of it."""

Values = dict[tuple[str, str, str], float]
"""A metric's value by what it is of, namespace and name."""


@contextmanager
def lab_services() -> Generator[None]:
    """moto in this process, with the lab's changes until the end."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for owner, name in (
            (CloudWatchBackend, "put_metric_alarm"),
            (CloudWatchBackend, "put_metric_data"),
            (Statistics, "get_statistics_for_type"),
            (CloudWatchResponse, "get_metric_statistics"),
            (Subscription, "publish"),
        ):
            patch.setattr(owner, name, getattr(owner, name))
        for module in (metrics, alarms, topics):
            module.install()
        yield


class Clock:
    """Alarms, a queue that their topic tells, and metrics that come each ten seconds. Time goes on by `run` alone."""

    def __init__(self, planned: tuple[Alarm, ...]) -> None:
        options: dict[str, Any] = {
            "region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"
        }  # fmt: skip
        self._cloudwatch, sns, self._sqs = (boto3.client(each, **options) for each in ("cloudwatch", "sns", "sqs"))
        self.now = BEGIN
        topic = sns.create_topic(Name="alarms")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName="alarms")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        allow = {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": attributes["QueueArn"], "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self._sqs.set_queue_attributes(QueueUrl=self._queue, Attributes={"Policy": policy})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
        for each in planned:
            self._put(each, topic)

    def run(self, seconds: float, values: Values) -> list[tuple[float, dict[str, Any]]]:
        """Let the time go on with these values; what the queue got, each message with its time."""
        heard: list[tuple[float, dict[str, Any]]] = []
        until = self.now + seconds
        while self.now < until:
            self.now += 1
            if self.now % PERIOD == TOLD:
                self._tell(self.now - TOLD - PERIOD, values)
            alarms.step(self.now)
            heard += [(self.now, each) for each in self._received()]
        return heard

    def _put(self, alarm: Alarm, topic: str) -> None:
        self._cloudwatch.put_metric_alarm(
            AlarmName=alarm.key,
            AlarmDescription=alarm.text,
            Namespace=alarm.namespace,
            MetricName=alarm.metric,
            Dimensions=[{"Name": alarm.dimension, "Value": alarm.of}],
            **{"ExtendedStatistic" if alarm.percentile else "Statistic": alarm.statistic},
            ComparisonOperator="GreaterThanThreshold" if alarm.comparison == "above" else "LessThanThreshold",
            Threshold=alarm.threshold,
            Period=alarm.period,
            EvaluationPeriods=alarm.periods,
            DatapointsToAlarm=alarm.needed,
            TreatMissingData=alarm.missing,
            AlarmActions=[topic],
            OKActions=[topic],
        )

    def _tell(self, began: float, values: Mapping[tuple[str, str, str], float]) -> None:
        by_namespace: dict[str, list[dict[str, Any]]] = {}
        for (of, namespace, metric), value in values.items():
            by_namespace.setdefault(namespace, []).append(
                {
                    "MetricName": metric,
                    "Dimensions": [{"Name": DIMENSIONS[namespace], "Value": of}],
                    "Timestamp": datetime.fromtimestamp(began, UTC),
                    # Many values of each, as of requests: nine in ten are a tenth of it, which a mean would show.
                    **(
                        {"Values": [value / 10, value], "Counts": [90, 10]}
                        if metric == "ResponseTime"
                        else {"Value": value}
                    ),
                    "StorageResolution": 1,
                }
            )
        for namespace, data in by_namespace.items():
            self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)

    def _received(self) -> list[dict[str, Any]]:
        if not sqs_backends["123456789012"]["us-east-1"].queues["alarms"].messages:
            return []  # a call each second would take most of the test's time
        found = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=0)
        messages = found.get("Messages", [])
        for each in messages:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return [json.loads(json.loads(each["Body"])["Message"]) for each in messages]
