"""CloudWatch."""

import json

from tests.plan.provider_cases import Case, Together
from tests.plan.provider_world import World


def _topics(world: World) -> list[str]:
    return [world.aws("sns").create_topic(Name=world.unique("topic"))["TopicArn"]]


def _body(title: str) -> str:
    return json.dumps({"widgets": [{"type": "text", "properties": {"markdown": title}}]})


CASES = (
    Case(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        make=lambda world: {
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 3,
            "metricName": "CPUUtilization",
            "namespace": "AWS/EC2",
            "period": 60,
            "statistic": "Average",
            "threshold": 90,
            "dimensions": {"AutoScalingGroupName": "shop"},
            "alarmActions": _topics(world),
            "alarmDescription": "Add machines.",
        },
        changes={
            "name": "another-name",
            "comparisonOperator": "LessThanThreshold",
            "evaluationPeriods": 5,
            "metricName": "NetworkIn",
            "namespace": "Shop",
            "period": 10,
            "statistic": "Maximum",
            "extendedStatistic": Together({"statistic": None, "extendedStatistic": "p95"}),
            "threshold": 0,
            "datapointsToAlarm": 2,
            "treatMissingData": "breaching",
            "alarmDescription": None,
            "actionsEnabled": False,
            "unit": "Percent",
            "alarmActions": None,
            "okActions": _topics,
            "insufficientDataActions": _topics,
            "dimensions": {"InstanceId": "i-1"},
        },
    ),
    Case(
        "aws:cloudwatch/dashboard:Dashboard",
        make=lambda world: {"dashboardName": world.unique("shop"), "dashboardBody": _body("one")},
        changes={"dashboardName": lambda world: world.unique("other"), "dashboardBody": _body("two")},
    ),
)
