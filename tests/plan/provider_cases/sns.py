"""SNS."""

from tests.plan.provider_cases import Case
from tests.plan.provider_world import World


def _topic(world: World) -> str:
    return world.aws("sns").create_topic(Name=world.unique("topic"))["TopicArn"]


def _queue(world: World) -> str:
    return f"arn:aws:sqs:{world.aws.region}:{world.aws.account()}:{world.queue().rpartition('/')[2]}"


CASES = (
    Case(
        "aws:sns/topic:Topic",
        make=lambda world: {"displayName": "Shop"},
        changes={"name": "another-name", "displayName": None, "kmsMasterKeyId": "alias/aws/sns"},
    ),
    Case(
        "aws:sns/topicSubscription:TopicSubscription",
        make=lambda world: {"topic": _topic(world), "protocol": "sqs", "endpoint": _queue(world)},
        changes={
            "topic": _topic,
            "protocol": "https",
            "endpoint": _queue,
            "rawMessageDelivery": True,
        },
    ),
)
