"""Load rises and falls, and nobody scales."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final

from lab.bench.load import Plan, Sample
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import ALARMS, PLAN, Running, Stand

TARGET_REQUESTS: Final = 80
"""A second and server; what the lab of the proof has as app.targetRequests."""
FEW: Final = Plan(rate=60, writes_percent=20, fresh_percent=10)
"""30 for each of two servers; with PLAN besides 180, which four share within the target."""
NORMAL_SECONDS: Final = 15.0
WARM_SECONDS: Final = 300.0
SERVES_SECONDS: Final = 60.0
FALL_SECONDS: Final = 600.0


@scenario(
    "tracking",
    "load rises and falls: target tracking scales 2 -> 4 -> 2 by itself",
    "0 failed; first new machine serves within 60 s of the crossing",
)
async def tracking(stand: Stand) -> Result:
    """By requests for each server; the policy on CPU load, which wants 15 minutes of calm first, has no say."""
    async with stand.load(FEW, lead=NORMAL_SECONDS) as few, _scaling(stand):
        first, rising = await _rise(stand, few)
        fall = await stand.until(lambda: _counts(stand, 2), "the group's way back to two", FALL_SECONDS)
        few.note("two serve")
    return Result(
        few.outcome,
        unmet(
            none_failed(few.outcome),
            (first <= SERVES_SECONDS, f"the first new machine served after {first:.1f} s"),
        ),
        {
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


@contextlib.asynccontextmanager
async def _scaling(stand: Stand) -> AsyncGenerator[None]:
    """The group's policies act, up to four machines, and that on CPU load ends none; afterwards as it was."""
    api, group = stand.aws("autoscaling"), str(stand.outputs["appGroupName"])
    policies = api.describe_policies(AutoScalingGroupName=group)["ScalingPolicies"]
    on_cpu = [each for each in policies if "PredefinedMetricSpecification" in each["TargetTrackingConfiguration"]]
    (found,) = api.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    # A machine in its warm-up counts for nothing yet, and that of a lab that has just come up takes two minutes.
    await stand.until(lambda: _warm(stand, group), "the warm-up of two machines", WARM_SECONDS)
    for each in on_cpu:
        _put(api, each, {**each["TargetTrackingConfiguration"], "DisableScaleIn": True})
    api.update_auto_scaling_group(AutoScalingGroupName=group, MaxSize=4)
    api.resume_processes(AutoScalingGroupName=group, ScalingProcesses=[ALARMS])
    try:
        yield
    finally:
        api.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=[ALARMS])
        api.update_auto_scaling_group(AutoScalingGroupName=group, MaxSize=found["MaxSize"])
        for each in on_cpu:
            _put(api, each, each["TargetTrackingConfiguration"])


async def _warm(stand: Stand, group: str) -> bool:
    """Whether the group's own CPU load is measured, which machines in their warm-up have no part in."""
    answer = stand.aws("cloudwatch").list_metrics(
        Namespace="AWS/EC2", Dimensions=[{"Name": "AutoScalingGroupName", "Value": group}]
    )
    return bool(answer["Metrics"])


def _put(api: Any, policy: dict[str, Any], configuration: dict[str, Any]) -> None:
    named = {name: policy[name] for name in ("AutoScalingGroupName", "PolicyName", "PolicyType")}
    api.put_scaling_policy(**named, TargetTrackingConfiguration=configuration)
