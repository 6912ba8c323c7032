"""CloudWatch's alarms: looked at as the periods of their metrics end, told to SNS topics. States: alarm_rules.py.

Sources: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from moto.cloudwatch.exceptions import InvalidParameterValue
from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.sns.models import sns_backends

from lab.api import alarm_rules, metrics
from lab.api.alarm_rules import Rule
from lab.api.metrics import Metric
from lab.api.patching import around

log = logging.getLogger(__name__)

HIGH_RESOLUTION: Final = (10, 30)
"""Periods, in seconds, after whose end an alarm is looked at; others are looked at every minute."""
MINUTE: Final = 60
LONGEST_SUBJECT: Final = 99


def install() -> None:
    """Change moto's CloudWatch. Once a process, before the first request."""
    around(CloudWatchBackend, "put_metric_alarm", _put)


def step(wall: float) -> None:
    """Look at the alarms whose period has ended since the last call; `wall` is the time of day."""
    until = wall - metrics.SETTLING
    # Read once for all alarms that are due: an hour of a stack is tens of thousands of data.
    read = cache(metrics.by_name)
    for backend, alarm in list(_alarms()):
        period = alarm.period if alarm.period in HIGH_RESOLUTION else MINUTE
        current = until // period
        before = alarm.__dict__.setdefault("looked_at", current)
        if current > before:
            alarm.looked_at = current
            data = read(backend.account_id, backend.region_name)
            _look(backend, alarm, data.get((alarm.namespace, alarm.metric_name), ()), until)


def _alarms() -> Iterator[tuple[Any, Any]]:
    for account in list(cloudwatch_backends.values()):
        for backend in list(account.values()):
            for alarm in list(backend.alarms.values()):
                if alarm.rule is None:  # a composite one is made of others
                    yield backend, alarm


def _put(original: Callable[..., Any], backend: Any, name: str, *given: Any, **named: Any) -> Any:
    """PutMetricAlarm: one that was there keeps its state, and a new one has no data yet."""
    before = backend.alarms.get(name)
    alarm = original(backend, name, *given, **named)
    if alarm.rule is None:
        try:
            _check(alarm)
        except InvalidParameterValue:
            backend.alarms.pop(name)
            if before is not None:
                backend.alarms[name] = before
            raise
    if before is None:
        alarm.state_value = "INSUFFICIENT_DATA"
    else:
        for kept in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
            setattr(alarm, kept, getattr(before, kept))
    return alarm


def _check(alarm: Any) -> None:
    """Refuse what AWS does, and by name what the lab can't tell the state of."""
    if alarm.metric_data_queries:
        raise InvalidParameterValue("The lab's alarms look at one metric, without metric math")
    if alarm.statistic and alarm.extended_statistic:
        raise InvalidParameterValue("An alarm has a Statistic or an ExtendedStatistic, not both")
    if alarm.extended_statistic:
        if not metrics.PERCENTILE.fullmatch(alarm.extended_statistic):
            raise InvalidParameterValue(
                f"The lab's extended statistics are percentiles such as p95, not {alarm.extended_statistic}"
            )
    elif alarm.statistic not in metrics.STATISTICS:
        raise InvalidParameterValue(f"Statistic must be one of {', '.join(metrics.STATISTICS)}: {alarm.statistic}")
    if alarm.evaluate_low_sample_count_percentile not in (None, "", "evaluate"):
        raise InvalidParameterValue("The lab's alarms look at percentiles of few samples, too: evaluate")
    if alarm.comparison_operator not in alarm_rules.COMPARISONS:
        raise InvalidParameterValue(f"The lab's alarms don't know the comparison {alarm.comparison_operator}")
    if alarm.treat_missing_data not in (None, "", *alarm_rules.MISSING):
        raise InvalidParameterValue(f"TreatMissingData must be one of {', '.join(alarm_rules.MISSING)}")
    if alarm.period not in HIGH_RESOLUTION and (alarm.period < MINUTE or alarm.period % MINUTE):
        raise InvalidParameterValue(f"Period must be 10, 30 or a multiple of 60, and is {alarm.period}")
    if not 1 <= (alarm.datapoints_to_alarm or 1) <= alarm.evaluation_periods:
        raise InvalidParameterValue("DatapointsToAlarm must be between 1 and EvaluationPeriods")


def _look(backend: Any, alarm: Any, data: Sequence[Any], until: float) -> None:
    rule = Rule(
        alarm.comparison_operator,
        float(alarm.threshold),
        alarm.evaluation_periods,
        alarm.datapoints_to_alarm or alarm.evaluation_periods,
        alarm.treat_missing_data or "missing",
    )
    dimensions = tuple(sorted((each.name, each.value) for each in alarm.dimensions))
    statistic = alarm.extended_statistic or alarm.statistic
    metric = Metric(alarm.namespace, alarm.metric_name, dimensions, statistic, alarm.period)
    values = metrics.values(data, metric, rule.periods + alarm_rules.FARTHER_BACK, until)
    state = alarm_rules.judge(rule, values)
    if state is None or state == alarm.state_value:
        return
    reason = _reason(rule, [value for value in values if value is not None][-rule.periods :])
    log.info("alarm %s: %s: %s", alarm.name, state, reason)
    before = alarm.state_value
    alarm.update_state(reason, json.dumps({"recentDatapoints": values}), state)
    if alarm.actions_enabled:
        _tell(backend, alarm, before)


def _reason(rule: Rule, values: list[float]) -> str:
    return (
        f"Threshold Crossed: {len(values)} datapoints {values} out of the last {rule.periods} were compared with the "
        f"threshold ({rule.threshold}, {rule.comparison}); {rule.needed} decide."
    )


def _tell(backend: Any, alarm: Any, before: str) -> None:
    """Publish the change to the topics of its new state. Other kinds of actions the lab doesn't take."""
    actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}.get(
        alarm.state_value, alarm.insufficient_data_actions
    )
    for arn in actions:
        if arn.split(":")[2] != "sns":
            log.warning("alarm %s: the lab takes no action %s", alarm.name, arn)
            continue
        subject = f'{alarm.state_value}: "{alarm.name}" in {backend.region_name}'
        try:
            sns_backends[backend.account_id][arn.split(":")[3]].publish(
                json.dumps(_message(backend, alarm, before)), arn=arn, subject=subject[:LONGEST_SUBJECT]
            )
        except Exception:
            # Whoever is to be told and isn't there must not stop the other alarms.
            log.exception("alarm %s: %s was not told", alarm.name, arn)


def _message(backend: Any, alarm: Any, before: str) -> dict[str, Any]:
    """As CloudWatch publishes it."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": backend.account_id,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
        "Region": backend.region_name,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "Trigger": {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            **(
                {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": alarm.extended_statistic}
                if alarm.extended_statistic
                else {"StatisticType": "Statistic", "Statistic": alarm.statistic.upper()}
            ),
            "Unit": alarm.unit,
            "Dimensions": [{"name": each.name, "value": each.value} for each in alarm.dimensions],
            "Period": alarm.period,
            "EvaluationPeriods": alarm.evaluation_periods,
            "DatapointsToAlarm": alarm.datapoints_to_alarm or alarm.evaluation_periods,
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": alarm.threshold,
            "TreatMissingData": alarm.treat_missing_data or "missing",
        },
    }
