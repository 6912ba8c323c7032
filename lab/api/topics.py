"""SNS in the lab tells queues, and nobody outside: what would go to people or to other hosts is logged.

Source: https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
"""

import json
import logging
from typing import Any, Final

from moto.sns.models import Subscription
from moto.sqs.models import sqs_backends

from lab.api import events
from lab.api.patching import around

log = logging.getLogger(__name__)

SNS: Final = "sns.amazonaws.com"
RAW: Final = "RawMessageDelivery"


def install() -> None:
    """Change moto's SNS. Once a process, before the first request."""
    around(Subscription, "publish", _publish)


def _publish(original: Any, subscription: Any, message: str, *given: Any, **named: Any) -> None:
    """Nothing reaches a queue whose policy does not let the topic in."""
    told = f"{subscription.protocol} {subscription.endpoint}"
    if subscription.protocol != "sqs":
        log.info("the lab does not tell %s: %s", told, message)
        return
    *_, region, account, name = subscription.endpoint.split(":")
    queue = sqs_backends[account][region].queues.get(name)
    policy = getattr(queue, "policy", None) if queue else None
    if not policy or not events.allows(
        policy if isinstance(policy, dict) else json.loads(policy), subscription.topic_arn, SNS
    ):
        log.warning("the topic %s may not send to %s: the queue's policy does not say so", subscription.topic_arn, told)
        return
    if subscription.attributes.get(RAW) == "false":
        del subscription.attributes[RAW]  # moto takes any text for true
    original(subscription, message, *given, **named)
