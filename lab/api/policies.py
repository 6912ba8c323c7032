"""Target tracking: what groups' policies aim at, looked at as each period ends. How many machines is in tracking.py.

Sources: https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html,
https://docs.aws.amazon.com/autoscaling/ec2/userguide/policy-creating-high-resolution-metrics.html,
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TargetTrackingConfiguration.html
"""

import logging
from typing import Any, Final

from moto.autoscaling.exceptions import ValidationError

from lab.api import groups, metrics, tracking
from lab.api.metrics import Metric

log = logging.getLogger(__name__)

TRACKING: Final = "TargetTrackingScaling"
CPU: Final = "ASGAverageCPUUtilization"
PERIOD: Final = 60
"""Seconds of a period where a policy names none: as on AWS with detailed monitoring."""
PERIODS: Final = (10, 30, 60)


def check(configuration: dict[str, Any] | None) -> None:
    """Refuse what AWS does, and by name what the lab has no metric for."""
    if not configuration:
        raise ValidationError("TargetTrackingConfiguration is required for policy type TargetTrackingScaling")
    if float(configuration.get("TargetValue", 0)) <= 0:
        raise ValidationError("TargetValue must be greater than 0")
    predefined = configuration.get("PredefinedMetricSpecification")
    customized = configuration.get("CustomizedMetricSpecification")
    if bool(predefined) == bool(customized):
        raise ValidationError(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is needed"
        )
    if predefined and predefined.get("PredefinedMetricType") != CPU:
        raise ValidationError(
            f"The lab has no metric {predefined.get('PredefinedMetricType')}; it has {CPU} and published ones"
        )
    if customized:
        _check_customized(customized)


def _check_customized(given: dict[str, Any]) -> None:
    queries = given.get("Metrics") or []
    if queries and (len(queries) > 1 or "MetricStat" not in queries[0]):
        raise ValidationError("The lab tracks one metric without metric math: give Metrics one entry with a MetricStat")
    metric = _customized(given)
    if not metric.namespace or not metric.name:
        raise ValidationError("CustomizedMetricSpecification needs a MetricName and a Namespace")
    if metric.statistic not in metrics.STATISTICS:
        raise ValidationError(f"The lab has the statistics {', '.join(metrics.STATISTICS)}, and not {metric.statistic}")
    if metric.period not in PERIODS:
        raise ValidationError(f"Period must be 10, 30 or 60, and is {metric.period}")


def run(group: Any, now: float, wall: float) -> bool:
    """Look at the periods that have ended since the last call; returns whether the group's size has changed.

    `now` is the groups' clock, `wall` the time of day.
    """
    until = wall - metrics.SETTLING
    active = [policy for policy in _policies(group) if _due(group, policy.name, _metric(group, policy).period, until)]
    if not active or groups.suspended(group, "AlarmNotification"):
        return False
    size = _size(group, now)
    votes: list[tuple[tracking.Policy, tracking.Vote]] = []
    for policy in _policies(group):
        aim = _aim(policy)
        seen = metrics.points(group.account_id, group.region, _metric(group, policy), tracking.LOW_PERIODS, until)
        votes.append((aim, tracking.vote(aim, seen, size)))
    chosen = tracking.decide(votes, size)
    if chosen is None:
        return False
    alarm = f"TargetTracking-{group.name}-{chosen.alarm}"
    change = f"changing the desired capacity from {size.desired} to {chosen.wanted}"
    log.info("%s: alarm %s of policy %s is %s", group.name, alarm, chosen.policy, change)
    group.desired_capacity = chosen.wanted
    group.reason = (
        chosen.wanted,
        f"a monitor alarm {alarm} in state ALARM triggered policy {chosen.policy} {change}.",
    )
    return True


def _policies(group: Any) -> list[Any]:
    kept = group.autoscaling_backend.policies.values()
    return [
        policy
        for policy in kept
        if policy.auto_scaling_group_name == group.name
        and policy.policy_type == TRACKING
        and getattr(policy, "enabled", True)
    ]


def _due(group: Any, name: str, period: int, until: float) -> bool:
    """Whether a period has ended since the last time; never at the first."""
    looked = group.__dict__.setdefault("periods_looked_at", {})
    current = until // period
    before, looked[name] = looked.get(name, current), current
    return current > before


def _aim(policy: Any) -> tracking.Policy:
    given = vars(policy.target_tracking_configuration)
    disabled = str(given.get("DisableScaleIn", False)).lower() == "true"
    return tracking.Policy(policy.name, float(given["TargetValue"]), not disabled)


def _metric(group: Any, policy: Any) -> Metric:
    customized = vars(policy.target_tracking_configuration).get("CustomizedMetricSpecification")
    if customized:
        return _customized(customized)
    dimensions = (("AutoScalingGroupName", group.name),)
    return Metric(metrics.NAMESPACE, metrics.CPU, dimensions, "Average", PERIOD)


def _customized(given: dict[str, Any]) -> Metric:
    """From its one query, or from the fields that name a metric without one."""
    queries = given.get("Metrics")
    stat = queries[0]["MetricStat"] if queries else {}
    named = stat.get("Metric", {}) if queries else given
    return Metric(
        named.get("Namespace", ""),
        named.get("MetricName", ""),
        tuple(sorted((each["Name"], each["Value"]) for each in named.get("Dimensions", []))),
        stat.get("Stat", "") if queries else given.get("Statistic", ""),
        int(stat.get("Period", PERIOD) if queries else given.get("Period", PERIOD)),
    )


def _size(group: Any, now: float) -> tracking.Size:
    counting = [member for member in group.instance_states if member.counts]
    warm = sum(member.ready(now, groups.warm_up(group)) for member in counting)
    return tracking.Size(
        group.desired_capacity,
        group.min_size,
        group.max_size,
        warm,
        max(len(counting), group.desired_capacity) - warm,
    )
