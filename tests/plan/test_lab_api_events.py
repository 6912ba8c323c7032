"""What Auto Scaling tells EventBridge, as it arrives in an SQS queue."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, TERMINATING, Fleet, hook
from tests.plan.lab_queue import Queue

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


class Ears:
    """A queue, and a rule that sends the groups' events to it."""

    def __init__(self, api: ApiServer, name: str) -> None:
        self.queue, self.events, self.name = Queue(api, name), api.client("events"), name
        pattern = {"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": [{"prefix": name}]}}
        self.rule = self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        self.events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": self.queue.arn}])

    def let_in(self, rule: str | None = None) -> None:
        """Let EventBridge send for `rule`, by default this one."""
        self.queue.let_in("events.amazonaws.com", rule or self.rule)

    def heard(self) -> list[dict[str, Any]]:
        """The events that have come since last time."""
        sqs, url, found = self.queue.sqs, self.queue.url, list[dict[str, Any]]()
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def ears(api: ApiServer, fleet: Fleet) -> Ears:
    made = Ears(api, fleet.unique)
    made.let_in()
    return made


def test_launches_and_terminations_are_told_as_aws_words_them(fleet: Fleet, ears: Ears) -> None:
    group = fleet.create(1, hook(LAUNCHING) | {"NotificationMetadata": "tier=app"}, hook(TERMINATING, name="leave"))
    instance = fleet.ids(group).pop()
    (waits,) = ears.heard()
    assert (waits["detail-type"], waits["source"]) == ("EC2 Instance-launch Lifecycle Action", "aws.autoscaling")
    assert set(waits) == {
        *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
    }
    token = waits["detail"].pop("LifecycleActionToken")
    assert waits["detail"] == {
        "AutoScalingGroupName": group,
        "LifecycleHookName": "hook",
        "EC2InstanceId": instance,
        "LifecycleTransition": LAUNCHING,
        "NotificationMetadata": "tier=app",
        "Origin": "EC2",
        "Destination": "AutoScalingGroup",
    }
    assert waits["resources"] == [fleet.describe(group)["AutoScalingGroupARN"]]
    fleet.autoscaling.complete_lifecycle_action(
        AutoScalingGroupName=group,
        LifecycleHookName="hook",
        LifecycleActionToken=token,
        LifecycleActionResult="CONTINUE",
    )
    (launched,) = ears.heard()
    assert launched["detail-type"] == "EC2 Instance Launch Successful"
    assert launched["detail"]["EC2InstanceId"] == instance
    assert launched["resources"][1].endswith(f":instance/{instance}")
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    (leaves,) = ears.heard()
    assert leaves["detail-type"] == "EC2 Instance-terminate Lifecycle Action"
    assert (leaves["detail"]["Origin"], leaves["detail"]["Destination"]) == ("AutoScalingGroup", "EC2")
    fleet.complete(group, instance, name="leave")
    assert [event["detail-type"] for event in ears.heard()] == ["EC2 Instance Terminate Successful"]


def test_a_launch_that_fails_or_is_abandoned_is_told(fleet: Fleet, ears: Ears) -> None:
    template = fleet.add_template(IamInstanceProfile={"Name": "nobody"})
    fleet.create(1, LaunchTemplate={"LaunchTemplateId": template, "Version": "1"})
    (failed,) = ears.heard()
    assert failed["detail-type"] == "EC2 Instance Launch Unsuccessful"
    assert "nobody" in failed["detail"]["StatusMessage"]
    group = fleet.create(1, hook(LAUNCHING))
    fleet.complete(group, fleet.ids(group).pop(), "ABANDON")
    assert "EC2 Instance Launch Unsuccessful" in [event["detail-type"] for event in ears.heard()]


def test_an_instance_refresh_is_told_from_its_start_to_its_end(fleet: Fleet, ears: Ears) -> None:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-refresh-eventbridge-events.html
    group = fleet.create(0)
    fleet.autoscaling.start_instance_refresh(AutoScalingGroupName=group)
    told = [event["detail-type"] for event in ears.heard()]
    assert told == [f"EC2 Auto Scaling Instance Refresh {word}" for word in ("Started", "Succeeded")]


def test_nothing_reaches_a_queue_that_does_not_let_the_rule_in_or_whose_rule_is_disabled(
    fleet: Fleet, ears: Ears
) -> None:
    ears.let_in(rule=f"{ears.rule}-other")
    group = fleet.create(1)
    assert ears.heard() == [], "the policy names another rule"
    ears.let_in()
    ears.events.disable_rule(Name=ears.name)
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)
    assert ears.heard() == [], "the rule is disabled"
    ears.events.enable_rule(Name=ears.name)
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    assert len(ears.heard()) == 1


def test_who_waits_for_a_message_has_it_at_once_and_holds_nobody_up(fleet: Fleet, ears: Ears) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ears.queue.sqs.receive_message, QueueUrl=ears.queue.url, WaitTimeSeconds=20)
        time.sleep(0.5)
        began = time.monotonic()
        fleet.create(1)
        answer = waiting.result(timeout=30)
    assert time.monotonic() - began < 10, "the calls of others waited, or the message did"
    assert len(answer["Messages"]) == 1
