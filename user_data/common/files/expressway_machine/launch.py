"""The launch lifecycle hook, which a machine completes itself where no edge of ours does."""

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

WAITING = ("Pending", "Pending:Wait")
"""States in which Auto Scaling waits for the hook, or is about to."""
CONTINUE, ABANDON = "CONTINUE", "ABANDON"


def complete(autoscaling: Any, instance_id: str, hook: str, patience: float = 180, pause: float = 1) -> None:
    """Tell Auto Scaling that this machine can take traffic. OSError when it can't be told in `patience` seconds.

    One that is in service already, as at a second run, has nothing to complete. The permission is younger than the
    machine, so a refusal may pass.
    """
    _tell(autoscaling, instance_id, hook, CONTINUE, patience, pause)


def abandon(autoscaling: Any, instance_id: str, hook: str, patience: float = 30, pause: float = 1) -> None:
    """Have Auto Scaling replace this machine, whose boot has failed, now and not when the hook's time is over.

    One that is in service already stays there. No error leaves here: the caller has one of its own to tell.
    """
    try:
        _tell(autoscaling, instance_id, hook, ABANDON, patience, pause)
    except OSError as error:
        print(f"expressway: {error}", flush=True)


def _tell(autoscaling: Any, instance_id: str, hook: str, result: str, patience: float, pause: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            if _done(autoscaling, instance_id, hook, result):
                return
            problem = "Auto Scaling doesn't know this machine, or isn't waiting for it yet"
        except (BotoCoreError, ClientError) as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise OSError(f"lifecycle hook {hook} can't be completed with {result}: {problem}")
        time.sleep(pause)
        pause = min(2 * pause, 10)


def _done(autoscaling: Any, instance_id: str, hook: str, result: str) -> bool:
    """Complete the hook if it is being waited for. Whether there is nothing left to do."""
    found = autoscaling.describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
    if not found:
        return False
    if found[0]["LifecycleState"] == "Pending:Wait":
        autoscaling.complete_lifecycle_action(
            AutoScalingGroupName=found[0]["AutoScalingGroupName"],
            LifecycleHookName=hook,
            InstanceId=instance_id,
            LifecycleActionResult=result,
        )
        print(f"expressway: lifecycle hook {hook} completed with {result}", flush=True)
        return True
    return found[0]["LifecycleState"] not in WAITING
