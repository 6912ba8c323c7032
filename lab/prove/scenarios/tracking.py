"""Load rises and falls, and nobody scales."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from lab.bench.load import Outcome, Plan, Sample
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import PLAN, Running, Stand, StandError

FEW: Final = Plan(rate=30, writes_percent=20, fresh_percent=10)
PERIOD: Final = 10
LOOK_SECONDS: Final = 33.0
"""Long enough for two whole periods of nothing but this load, and until CloudWatch has them."""
SERVES_SECONDS: Final = 60.0
FALL_SECONDS: Final = 600.0
SHARE: Final = 1.9
"""How many times the target the load is that two machines get: four are needed for it."""


@scenario(
    "tracking",
    "load rises and falls: target tracking scales 2 -> 4 -> 2",
    "0 failed; first new machine serves within 60 s of the crossing",
)
async def tracking(stand: Stand) -> Result:
    """The target is set by the load that this host makes, for hosts differ: CPU, in periods of 10 s."""
    group = str(stand.outputs["appGroupName"])
    machines = [one.id for one in stand.machines("app")]
    async with stand.load() as many:
        await asyncio.sleep(LOOK_SECONDS)
        high = _cpu(stand, machines)
    async with stand.load(FEW) as few:
        await asyncio.sleep(LOOK_SECONDS)
        low = _cpu(stand, machines)
        # Those that warm up have no part in it yet.
        await stand.until(lambda: _measured(stand, group), f"the load of {group} in CloudWatch")
        target = round(high / SHARE, 2)
        if low >= 0.9 * target:
            raise StandError(f"{FEW.rate}/s take {low:.1f} % of the CPUs and {PLAN.rate}/s {high:.1f} %: too alike")
        async with _tracked(stand, group, target):
            first, rising = await _rise(stand, few)
            fall = await stand.until(lambda: _counts(stand, 2), "the group's way back to two", FALL_SECONDS)
            few.note("two serve")
    return Result(
        few.outcome,
        unmet(
            none_failed(Outcome([*many.outcome.samples, *few.outcome.samples])),
            (first <= SERVES_SECONDS, f"the first new machine served after {first:.1f} s"),
        ),
        {
            "cpu_target_percent": target,
            "cpu_few_percent": round(low, 1),
            "cpu_many_percent": round(high, 1),
            "first_serves_seconds": round(first, 1),
            "four_serve_seconds": round(rising, 1),
            "two_again_seconds": round(fall, 1),
        },
        tuple(few.events),
    )


async def _rise(stand: Stand, few: Running) -> tuple[float, float]:
    """Seconds from the load's rise, which crosses the target at once, until a third machine served, and a fourth."""
    begun = few.note(f"{PLAN.rate}/s more")
    async with stand.load(lead=0) as many:
        first = await stand.until(lambda: _counts(stand, 3, or_more=True), "a third server in Nginx", pause=0.1)
        few.note("a third serves")
        rising = first + await stand.until(lambda: _counts(stand, 4), "a fourth server in Nginx")
        few.note("four serve: the load falls")
    few.outcome.samples += [Sample(each.at + begun, *each[1:]) for each in many.outcome.samples]
    return first, rising


async def _counts(stand: Stand, count: int, *, or_more: bool = False) -> bool:
    serving = len(await stand.serving())
    return serving >= count if or_more else serving == count


def _cpu(stand: Stand, machines: Sequence[str]) -> float:
    """The load of these machines in percent, on average over the last two periods."""
    points = [point for one in machines for point in _points(stand, "InstanceId", one)[-2:]]
    if not points:
        raise StandError(f"CloudWatch has no CPUUtilization of {', '.join(machines)}")
    return sum(points) / len(points)


async def _measured(stand: Stand, group: str) -> bool:
    return bool(_points(stand, "AutoScalingGroupName", group))


def _points(stand: Stand, dimension: str, value: str) -> list[float]:
    """The load in the periods of the last minute, the oldest first."""
    # Whole periods: a shorter one would mix two.
    end = int(time.time()) // PERIOD * PERIOD
    answer = stand.aws("cloudwatch").get_metric_statistics(
        **_metric(dimension, value),
        StartTime=datetime.fromtimestamp(end - 60, UTC),
        EndTime=datetime.fromtimestamp(end, UTC),
        Period=PERIOD,
        Statistics=["Average"],
    )
    return [point["Average"] for point in sorted(answer["Datapoints"], key=lambda each: each["Timestamp"])]


@contextlib.asynccontextmanager
async def _tracked(stand: Stand, group: str, target: float) -> AsyncGenerator[None]:
    """The group's policy tracks this target in short periods, up to four machines; afterwards as it was."""
    api = stand.aws("autoscaling")
    policy = api.describe_policies(AutoScalingGroupName=group)["ScalingPolicies"][0]
    high = api.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]["MaxSize"]
    query = {
        "Id": "cpu",
        "MetricStat": {"Metric": _metric("AutoScalingGroupName", group), "Stat": "Average", "Period": PERIOD},
    }
    _track(api, policy, {"CustomizedMetricSpecification": {"Metrics": [query]}, "TargetValue": target})
    api.update_auto_scaling_group(AutoScalingGroupName=group, MaxSize=4)
    try:
        yield
    finally:
        api.update_auto_scaling_group(AutoScalingGroupName=group, MaxSize=high)
        _track(api, policy, policy["TargetTrackingConfiguration"])


def _track(api: Any, policy: dict[str, Any], configuration: dict[str, Any]) -> None:
    named = {name: policy[name] for name in ("AutoScalingGroupName", "PolicyName", "PolicyType")}
    api.put_scaling_policy(**named, TargetTrackingConfiguration=configuration)


def _metric(dimension: str, value: str) -> dict[str, Any]:
    dimensions = [{"Name": dimension, "Value": value}]
    return {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization", "Dimensions": dimensions}
