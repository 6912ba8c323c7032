"""EventBridge."""

import json

from tests.plan.provider_cases import Case

ACTIONS = {"source": ["aws.autoscaling"], "detail-type": ["EC2 Instance-launch Lifecycle Action"]}

CASES = (
    Case(
        "aws:cloudwatch/eventRule:EventRule",
        make=lambda world: {"eventPattern": json.dumps(ACTIONS), "description": "what it is"},
        changes={
            "name": "another-name",
            "eventPattern": json.dumps({"source": ["aws.ec2"]}),
            "description": None,
            "state": "DISABLED",
        },
    ),
    Case(
        "aws:cloudwatch/eventTarget:EventTarget",
        make=lambda world: {"rule": world.event_rule(), "arn": world.queue_arn()},
        changes={
            "rule": lambda world: world.event_rule(),
            "targetId": "another-target",
            "arn": lambda world: world.queue_arn(),
        },
        import_id=lambda _identifier, inputs: f"{inputs['rule']}/{inputs['targetId']}",
    ),
)
