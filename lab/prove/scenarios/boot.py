"""Machines and apps that start."""

import asyncio
import json
import re
import statistics
import time
from collections import Counter
from typing import Any

import psutil

from lab.machines import observation
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Stand

EXITS = 20
OUT_SECONDS = 10.0
FIRST_REQUEST_SECONDS = 1.0
SAMPLES = 5
REPLACING = "ReplaceUnhealthy"

_EXIT = re.compile(r"App \[(.+:\d+)\] will restart in \d+ms")
_SERVER = "/srv/releases/current/app/server.js"
_BREAK = (
    f"cp {_SERVER} /root/server.js && echo 'process.exit(1);' > {_SERVER} && "
    "pkill -9 -u expressway-app -f /app/server.js"
)
_MEND = f"cp /root/server.js {_SERVER}"


@scenario(
    "exits-at-boot",
    "an app that exits at boot 20 times, then is fixed",
    "out of the upstream within 10 s, back without a human",
)
async def exits_at_boot(stand: Stand) -> Result:
    """On one machine, while the other serves. The group would replace it after a minute: that is suspended."""
    victim = stand.machines("app")[0].id
    api, group = stand.aws("autoscaling"), stand.outputs["appGroupName"]
    api.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=[REPLACING])
    try:
        return await _exits(stand, victim)
    finally:
        api.set_instance_health(InstanceId=victim, HealthStatus="Healthy")
        api.resume_processes(AutoScalingGroupName=group, ScalingProcesses=[REPLACING])


async def _exits(stand: Stand, victim: str) -> Result:
    async with stand.load() as running:
        running.note("its app exits at each start")
        began = time.time()
        await stand.inside(victim, "sh", "-c", _BREAK)

        async def out() -> bool:
            return victim not in await stand.serving()

        async def often() -> bool:
            return await _exits_since(stand, victim, began) >= EXITS

        async def back() -> bool:
            return victim in await stand.serving()

        gone = await stand.until(out, "it out of the upstream", 60)
        running.note("out of the upstream")
        waited = await stand.until(often, f"{EXITS} exits", 400, pause=2)
        running.note(f"{EXITS} exits; mended")
        await stand.inside(victim, "sh", "-c", _MEND)
        returned = await stand.until(back, "it back in the upstream")
        running.note("back")
    return Result(
        running.outcome,
        unmet(none_failed(running.outcome, "GET"), (gone <= OUT_SECONDS, f"out after {gone:.1f} s")),
        {"out_seconds": round(gone, 1), "exits_seconds": round(waited), "back_seconds": round(returned, 1)},
        tuple(running.events),
    )


@scenario(
    "first-request",
    "ready machine -> its first request",
    "1 s or less (median of 5)",
)
async def first_request(stand: Stand) -> Result:
    """A third machine comes, five times; by phase."""
    phases: list[dict[str, float]] = []
    async with stand.load() as running:
        for _ in range(SAMPLES):
            running.note("a third machine")
            phases.append(await _first_request(stand))
            await stand.expressway("scale", "2", "--json")
    median = {name: round(statistics.median(each[name] for each in phases), 2) for name in phases[0]}
    waited = statistics.median(each["seen"] + each["first_request"] for each in phases)
    return Result(
        running.outcome,
        unmet(
            none_failed(running.outcome), (waited <= FIRST_REQUEST_SECONDS, f"{waited:.2f} s from ready to the first")
        ),
        {f"{name}_seconds": seconds for name, seconds in median.items()} | {"ready_to_first_request_seconds": waited},
        tuple(running.events),
    )


async def _first_request(stand: Stand) -> dict[str, float]:
    """Seconds of each phase of a machine, from the order to its first request."""
    before = {one.id for one in stand.machines("app")}
    ordered = time.time()
    scaling = asyncio.create_task(stand.expressway("scale", "3", "--json"))
    new: list[observation.MachineStatus] = []

    async def launched() -> bool:
        new[:] = [one for one in stand.machines("app") if one.id not in before]
        return bool(new)

    seen = requested = 0.0
    await stand.until(launched, "a third machine", pause=0.05)
    while not requested:
        server = next((each for each in await stand.servers() if each["id"] == new[0].id), None)
        now = time.time()
        seen = seen or (now if server else 0.0)
        requested = now if server and server["requests"] else 0.0
        await asyncio.sleep(0.05)
    await scaling
    stages = json.loads(await stand.inside(new[0].id, "cat", "/run/cloud-init/status.json"))["v1"]
    ready = _report(stand, new[0].id)["at"]
    # cloud-init counts from the start of the kernel, which is the host's.
    final = psutil.boot_time() + float(stages["modules-final"]["start"])
    return {
        "launch": new[0].started_at - ordered,
        "boot": final - new[0].started_at,
        "install": ready - final,
        "seen": seen - ready,
        "first_request": requested - seen,
    }


def _report(stand: Stand, machine: str) -> dict[str, Any]:
    """What the machine itself says of its app."""
    key = f"reports/app/{machine}.json"
    body = stand.aws("s3").get_object(Bucket=stand.outputs["artifactBucket"], Key=key)["Body"].read()
    return json.loads(body)


async def _exits_since(stand: Stand, machine: str, began: float) -> int:
    """How often the worker ended by itself that did so most often, by what PM2 says of it in the journal."""
    said = await stand.inside(
        machine, "journalctl", "_SYSTEMD_UNIT=expressway-app.service", f"--since=@{began:.6f}", "--output=cat"
    )
    return max(Counter(_EXIT.findall(said)).values(), default=0)
