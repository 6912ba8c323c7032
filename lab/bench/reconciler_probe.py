"""The reconciler as `make bench-reconciler` runs it: in a process of its own, among its own modules."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from expressway_machine.aws import Clients
from reconciler import probes, retry
from reconciler.bucket import Reports
from reconciler.calls import Calls
from reconciler.groups import Groups, Target
from reconciler.loop import Reconciler
from reconciler.upstream import Balancer

from lab.bench.fleet_stand_in import PORT

RUNS = 10
GROUP, REGION = "fleet", "us-east-1"


async def _measure(directory: Path, machines: int, rest_seconds: float) -> dict[str, Any]:
    clients, calls = Clients(REGION), Calls()
    autoscaling, ec2, s3 = (calls.watch(clients.get(each)) for each in ("autoscaling", "ec2", "s3"))
    reconciler = Reconciler(
        Groups(autoscaling, ec2, [Target(GROUP, PORT, "/readyz", ())], "i-edge"),
        Balancer(directory / "balancer.sock"),
        Reports(s3, "edge"),
        "i-edge",
        {PORT: "/readyz"},
        directory / "reconciler.json",
        calls,
    )
    working = asyncio.create_task(reconciler.run(lambda: None))
    await _until(lambda: _listed(directory) == machines)
    began, used = time.monotonic(), time.process_time()
    await asyncio.sleep(rest_seconds)
    rest = 100 * (time.process_time() - used) / (time.monotonic() - began)
    counted = calls.a_minute()

    # From now on the API is asked only when there is an event.
    retry.INTERVAL = 3600.0
    await asyncio.sleep(3)
    changes: list[float] = []
    for number in range(1, 6):
        await asyncio.to_thread(
            autoscaling.set_desired_capacity, AutoScalingGroupName=GROUP, DesiredCapacity=machines + number
        )
        while await asyncio.to_thread(_in_service, autoscaling) < machines + number:
            await asyncio.sleep(0.2)
        began = time.monotonic()
        reconciler.wake()
        while _listed(directory) < machines + number:
            await asyncio.sleep(0.02)
        changes.append(time.monotonic() - began)
    working.cancel()

    # Probes have to wait, so that what is counted is one reconcile.
    probes.INTERVAL, probes.MOST_A_SECOND = 3600.0, 10**6
    await asyncio.sleep(6)
    asks: list[float] = []
    passes: list[float] = []
    for _ in range(RUNS):
        asks.append(await _cpu(reconciler.ask()))
        passes.append(await _cpu(reconciler.run_pass()))
        await asyncio.sleep(0.2)
    return {
        "ask": asks,
        "pass": passes,
        "reconcile": [ask + one for ask, one in zip(asks, passes, strict=True)],
        "change": changes,
        "rest_percent": rest,
        "calls": counted,
    }


def _in_service(autoscaling: Any) -> int:
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    return sum(each["LifecycleState"] == "InService" for each in group["Instances"])


async def _cpu(work: Any) -> float:
    used = time.process_time()
    await work
    return time.process_time() - used


def _listed(directory: Path) -> int:
    path = directory / "reconciler.json"
    return len(json.loads(path.read_text())["upstreams"]) if path.exists() else 0


async def _until(true: Any) -> None:
    deadline = time.monotonic() + 120
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("the list is not complete")
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
