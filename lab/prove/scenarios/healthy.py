"""Nothing happens, for an hour."""

import asyncio
from typing import Any

from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Running, Stand

HOUR_SECONDS = 3600.0
LOOK_SECONDS = 5.0
"""Alarms are looked at each ten seconds, so none is raised for less."""
SETTLED_SECONDS = 300.0
"""A new stack's first metrics come within a minute, and AWS counts those of its own by minutes."""


async def hour(stand: Stand, seconds: float = HOUR_SECONDS) -> Result:
    """The scenario, or so many seconds of it."""
    cloudwatch = stand.aws("cloudwatch")
    watched = await _states(cloudwatch)
    await stand.until(lambda: _quiet(cloudwatch), "a stack without alarms", SETTLED_SECONDS, LOOK_SECONDS)
    raised: set[str] = set()
    async with stand.load() as running:
        while running.load.elapsed() < seconds:
            for name in sorted(await _raised(cloudwatch) - raised):
                raised.add(name)
                running.note(name)
            await asyncio.sleep(LOOK_SECONDS)
    return _judged(running, len(watched), raised)


def _judged(running: Running, watched: int, raised: set[str]) -> Result:
    return Result(
        running.outcome,
        unmet(
            none_failed(running.outcome),
            (watched > 0, "the stack has no alarms"),
            (not raised, f"raised: {', '.join(sorted(raised))}"),
        ),
        {"alarms": watched, "raised": len(raised)},
        tuple(running.events),
    )


async def _quiet(cloudwatch: Any) -> bool:
    return not await _raised(cloudwatch)


async def _raised(cloudwatch: Any) -> set[str]:
    return {name for name, state in (await _states(cloudwatch)).items() if state == "ALARM"}


async def _states(cloudwatch: Any) -> dict[str, str]:
    """The state of each alarm, but for those by which target tracking scales: they are raised in a well stack, too."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=["MetricAlarm"])
    found = [alarm for page in pages for alarm in page["MetricAlarms"]]
    return {one["AlarmName"]: one["StateValue"] for one in found if not one["AlarmName"].startswith("TargetTracking-")}


@scenario("healthy", "an hour under load in which nothing happens", "0 failed; none of the stack's alarms is raised")
async def healthy(stand: Stand) -> Result:
    """With every alarm of a stack that tells somebody; those of target tracking aside, which scale."""
    return await hour(stand)
