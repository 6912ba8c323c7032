"""CloudWatch: alarms on one metric, and dashboards."""

from typing import Any

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import as_known, aws_tags, unless_default

ALARM = "terraform-provider-aws internal/service/cloudwatch/metric_alarm.go, ForceNew"
DASHBOARD = "terraform-provider-aws internal/service/cloudwatch/dashboard.go, ForceNew"

NEEDED = {
    "comparisonOperator": "ComparisonOperator",
    "evaluationPeriods": "EvaluationPeriods",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "period": "Period",
    "threshold": "Threshold",
}
FURTHER = {
    "statistic": "Statistic",
    "extendedStatistic": "ExtendedStatistic",
    "datapointsToAlarm": "DatapointsToAlarm",
    "treatMissingData": "TreatMissingData",
    "alarmDescription": "AlarmDescription",
    "actionsEnabled": "ActionsEnabled",
    "unit": "Unit",
}
ARGUMENTS = {**NEEDED, **FURTHER}
"""Inputs that CloudWatch takes as they are, and its names for them."""
ACTIONS = {
    "alarmActions": "AlarmActions",
    "okActions": "OKActions",
    "insufficientDataActions": "InsufficientDataActions",
}
DEFAULTS = {"actionsEnabled": True, "treatMissingData": "missing"}


class MetricAlarm(Resource):
    """An alarm on one metric, without metric math."""

    pulumi_type = "aws:cloudwatch/metricAlarm:MetricAlarm"
    required = tuple(NEEDED)
    optional = (*FURTHER, *ACTIONS, "dimensions")
    autoname = Autoname(longest=255)
    tagged = True
    replaces_on = {"name": ALARM}
    defaults = DEFAULTS

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        aws("cloudwatch").put_metric_alarm(**_arguments(inputs), Tags=aws_tags(inputs["tagsAll"]))
        return Created(inputs["name"], {"arn": _arn(aws, inputs["name"])})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The alarm; an import names it by its name."""
        found = aws("cloudwatch").describe_alarms(AlarmNames=[identifier], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
        if not found:
            return None
        (alarm,) = found
        inputs: dict[str, Any] = {
            "name": alarm["AlarmName"],
            **{key: alarm.get(name) or None for key, name in ARGUMENTS.items()},
            **{key: alarm.get(name) or None for key, name in ACTIONS.items()},
            "threshold": alarm["Threshold"],
            "dimensions": {each["Name"]: each["Value"] for each in alarm["Dimensions"]} or None,
            "tags": tags.as_map(aws("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]),
        }
        inputs["actionsEnabled"] = bool(alarm["ActionsEnabled"])
        for key, default in DEFAULTS.items():
            inputs[key] = unless_default(inputs[key], default, state.get(key))
        return Found(alarm["AlarmName"], inputs, {"arn": alarm["AlarmArn"]})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again; its state stays."""
        aws("cloudwatch").put_metric_alarm(**_arguments(new))
        tags.set_alarm(aws, _arn(aws, identifier), old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("cloudwatch").delete_alarms(AlarmNames=[identifier])


class Dashboard(Resource):
    """A page of CloudWatch's console."""

    pulumi_type = "aws:cloudwatch/dashboard:Dashboard"
    required = ("dashboardName", "dashboardBody")
    replaces_on = {"dashboardName": DASHBOARD}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        _put_dashboard(aws, inputs)
        return Created(inputs["dashboardName"], {"dashboardArn": _dashboard_arn(aws, inputs["dashboardName"])})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The dashboard; an import names it by its name."""
        found = aws("cloudwatch").get_dashboard(DashboardName=identifier)
        body = as_known(found["DashboardBody"], state.get("dashboardBody"))
        inputs = {"dashboardName": identifier, "dashboardBody": body}
        return Found(identifier, inputs, {"dashboardArn": _dashboard_arn(aws, identifier)})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again."""
        _put_dashboard(aws, new)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("cloudwatch").delete_dashboards(DashboardNames=[identifier])


def _arguments(inputs: Properties) -> dict[str, Any]:
    return {
        "AlarmName": inputs["name"],
        **{name: inputs[key] for key, name in ARGUMENTS.items() if key in inputs},
        **{name: inputs[key] for key, name in ACTIONS.items() if key in inputs},
        "Dimensions": [{"Name": key, "Value": value} for key, value in inputs.get("dimensions", {}).items()],
    }


def _put_dashboard(aws: Aws, inputs: Properties) -> None:
    aws("cloudwatch").put_dashboard(DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"])


def _arn(aws: Aws, name: str) -> str:
    return f"arn:aws:cloudwatch:{aws.region}:{aws.account()}:alarm:{name}"


def _dashboard_arn(aws: Aws, name: str) -> str:
    return f"arn:aws:cloudwatch::{aws.account()}:dashboard/{name}"


RESOURCES: tuple[type[Resource], ...] = (MetricAlarm, Dashboard)
