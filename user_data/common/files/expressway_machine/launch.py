"""The launch lifecycle hook, which this machine completes itself where no edge of ours does."""

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

WAITING = ("Pending", "Pending:Wait")
"""States in which Auto Scaling waits for the hook, or is about to."""


def complete(autoscaling: Any, instance_id: str, hook: str, patience: float = 180, pause: float = 1) -> None:
    """Tell Auto Scaling that this machine can take traffic. OSError when it can't be told in `patience` seconds.

    One that is in service already, as at a second run, has nothing to complete. The permission is younger than the
    machine, so a refusal may pass.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            if _done(autoscaling, instance_id, hook):
                return
            problem = "Auto Scaling doesn't know this machine, or isn't waiting for it yet"
        except (BotoCoreError, ClientError) as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise OSError(f"lifecycle hook {hook} can't be completed: {problem}")
        time.sleep(pause)
        pause = min(2 * pause, 10)


def _done(autoscaling: Any, instance_id: str, hook: str) -> bool:
    """Complete the hook if it is being waited for. Whether there is nothing left to do."""
    found = autoscaling.describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
    if not found:
        return False
    if found[0]["LifecycleState"] == "Pending:Wait":
        autoscaling.complete_lifecycle_action(
            AutoScalingGroupName=found[0]["AutoScalingGroupName"],
            LifecycleHookName=hook,
            InstanceId=instance_id,
            LifecycleActionResult="CONTINUE",
        )
        print(f"expressway: lifecycle hook {hook} completed", flush=True)
        return True
    return found[0]["LifecycleState"] not in WAITING
