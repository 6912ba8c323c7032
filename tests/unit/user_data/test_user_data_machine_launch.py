"""A machine that completes its own launch lifecycle hook."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from expressway_machine import launch


class AutoScaling:
    """Auto Scaling as one machine sees it: a state for each time that it is asked, the last one for good."""

    def __init__(self, *states: str | None, refusals: int = 0) -> None:
        self._states = list(states)
        self._refusals = refusals
        self.completed: list[dict[str, str]] = []

    def describe_auto_scaling_instances(self, **_: object) -> dict[str, Any]:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        found = {"InstanceId": "i-1", "AutoScalingGroupName": "shop-app", "LifecycleState": state}
        return {"AutoScalingInstances": [found] if state else []}

    def complete_lifecycle_action(self, **arguments: str) -> None:
        if self._refusals:
            self._refusals -= 1
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "Complete")
        self.completed.append(arguments)


def complete(autoscaling: AutoScaling, patience: float = 5) -> None:
    launch.complete(autoscaling, "i-1", "launch", patience=patience, pause=0.001)


COMPLETION = {
    "AutoScalingGroupName": "shop-app",
    "LifecycleHookName": "launch",
    "InstanceId": "i-1",
    "LifecycleActionResult": "CONTINUE",
}


def test_a_machine_that_is_ready_lets_its_launch_go_on() -> None:
    autoscaling = AutoScaling("Pending:Wait")
    complete(autoscaling)
    assert autoscaling.completed == [COMPLETION], "in its own group, and once"


@pytest.mark.parametrize("before", ["Pending", None])
def test_it_waits_until_auto_scaling_waits(before: str | None) -> None:
    autoscaling = AutoScaling(before, before, "Pending:Wait")
    complete(autoscaling)
    assert autoscaling.completed == [COMPLETION]


@pytest.mark.parametrize("state", ["Pending:Proceed", "InService", "Standby", "Terminating:Wait"])
def test_a_second_run_completes_nothing(state: str) -> None:
    autoscaling = AutoScaling(state)
    complete(autoscaling)
    assert autoscaling.completed == []


def test_a_permission_that_comes_after_the_machine_is_waited_for() -> None:
    autoscaling = AutoScaling("Pending:Wait", refusals=3)
    complete(autoscaling)
    assert autoscaling.completed == [COMPLETION]


@pytest.mark.parametrize(
    ("autoscaling", "said"),
    [
        (
            AutoScaling("Pending:Wait", refusals=10**9),
            "lifecycle hook launch can't be completed with CONTINUE: .*not authorized",
        ),
        (
            AutoScaling(None),
            "lifecycle hook launch can't be completed with CONTINUE: Auto Scaling doesn't know this machine",
        ),
    ],
)
def test_what_cannot_be_completed_fails_the_boot_with_its_reason(autoscaling: AutoScaling, said: str) -> None:
    with pytest.raises(OSError, match=said):
        complete(autoscaling, patience=0.05)


def test_a_machine_whose_boot_failed_is_given_up_at_once() -> None:
    autoscaling = AutoScaling("Pending", "Pending:Wait")
    launch.abandon(autoscaling, "i-1", "launch", patience=5, pause=0.001)
    assert autoscaling.completed == [COMPLETION | {"LifecycleActionResult": "ABANDON"}]


def test_a_machine_in_service_is_not_given_up_by_a_second_run_that_fails() -> None:
    autoscaling = AutoScaling("InService")
    launch.abandon(autoscaling, "i-1", "launch", patience=5, pause=0.001)
    assert autoscaling.completed == []


def test_a_boots_own_failure_is_not_hidden_by_one_in_giving_up(capsys: pytest.CaptureFixture[str]) -> None:
    launch.abandon(AutoScaling("Pending:Wait", refusals=10**9), "i-1", "launch", patience=0.05, pause=0.001)
    assert "launch can't be completed with ABANDON: " in capsys.readouterr().out
