"""The prediction against the stack itself: other numbers of app servers, and those that were there again afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from load_runs import computing

from operate.fleet import Group
from operate.load import check
from operate.load.capacity import measured, predict
from operate.load.check import Checked, CheckError, at_each, bounds, put_back, widest
from operate.load.model import Run
from operate.stack import Stack

GROUP = Group("app", 2, 1, 3, None, ())
POLICIES = "AlarmNotification"


@dataclass
class Scaling:
    """An Auto Scaling group's part of the API."""

    desired: int = 2
    suspended: set[str] = field(default_factory=set[str])
    deaf: int = 0
    """So many next calls aren't answered."""
    asked: list[int] = field(default_factory=list[int])

    def describe_auto_scaling_groups(self, **_: Any) -> dict[str, Any]:
        return {"AutoScalingGroups": [{"SuspendedProcesses": [{"ProcessName": each} for each in self.suspended]}]}

    def suspend_processes(self, ScalingProcesses: list[str], **_: Any) -> None:  # noqa: N803, AWS's own name
        self.suspended |= set(ScalingProcesses)

    def resume_processes(self, ScalingProcesses: list[str], **_: Any) -> None:  # noqa: N803
        self.suspended -= set(ScalingProcesses)

    def set_desired_capacity(self, DesiredCapacity: int, **_: Any) -> None:  # noqa: N803
        if self.deaf:
            self.deaf -= 1
            raise EndpointConnectionError(endpoint_url="https://autoscaling")
        self.desired = DesiredCapacity
        self.asked.append(DesiredCapacity)


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Scaling:
    """What the stack's group is asked for; it had two servers."""
    fleet = SimpleNamespace(app=GROUP)
    monkeypatch.setattr(check, "Observer", lambda _: SimpleNamespace(look=lambda: fleet))
    return Scaling()


def stack(scaling: Scaling) -> Stack:
    return Stack("b", "p", "app", "edge", "us-east-1", "http://x", 24, "x64", lambda _: scaling)


def compare(scaling: Scaling, load: Callable[[int], Run], counts: tuple[int, ...] = (1, 3)) -> list[Checked]:
    """As the command does it."""
    done: list[Checked] = []
    with put_back(stack(scaling), pause=0):
        for each in at_each(measured(computing()), counts, lambda n: scaling.set_desired_capacity(n), load):
            done.append(each)
    return done


def test_each_number_of_servers_is_loaded_and_compared(scaling: Scaling) -> None:
    at: list[tuple[int, int, set[str]]] = []

    def load(rate: int) -> Run:
        at.append((scaling.desired, rate, set(scaling.suspended)))
        return computing(scaling.desired, rates=(50, 100, 150, 180, 200, 400, 500, 540, 600))

    done = compare(scaling, load)
    assert [each.servers for each in done] == [1, 3]
    # From 0.6 of what is predicted on, and without policies that would add servers under load.
    assert at == [(1, 107, {POLICIES}), (3, 322, {POLICIES})]
    assert [each.measured for each in done] == [pytest.approx((180 * 200) ** 0.5), pytest.approx((540 * 600) ** 0.5)]
    assert done[0].error == pytest.approx(100 * (178.9 / 189.7 - 1), abs=0.1)
    assert widest(done) == pytest.approx(max(abs(each.error or 0) for each in done))
    assert (scaling.desired, scaling.suspended) == (2, set()), "as it was"


@pytest.mark.parametrize("what", [KeyboardInterrupt, RuntimeError, EndpointConnectionError(endpoint_url="x")])
def test_whatever_ends_it_the_servers_that_were_there_are_wanted_again(scaling: Scaling, what: Any) -> None:
    def load(_: int) -> Run:
        raise what

    with pytest.raises(what if isinstance(what, type) else type(what)):
        compare(scaling, load)
    assert scaling.asked == [1, 2]
    assert scaling.suspended == set()


def test_a_load_that_was_interrupted_ends_the_comparison(scaling: Scaling) -> None:
    """The load itself takes the Ctrl-C, to report what it has; no further number is tried."""
    with pytest.raises(KeyboardInterrupt):
        compare(scaling, lambda _: replace(computing(), interrupted=True))
    assert scaling.asked == [1, 2]


def test_an_api_that_does_not_answer_is_asked_again(scaling: Scaling) -> None:
    def load(_: int) -> Run:
        scaling.deaf = check.TRIES - 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(scaling, load)
    assert (scaling.desired, scaling.suspended) == (2, set())


def test_a_second_ctrl_c_does_not_leave_the_fleet_changed(scaling: Scaling, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = check.resize

    def resize(*given: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(*given)

    def load(_: int) -> Run:
        monkeypatch.setattr(check, "resize", resize)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(scaling, load)
    assert (scaling.desired, scaling.suspended) == (2, set())


def test_policies_that_somebody_has_switched_off_stay_off(scaling: Scaling) -> None:
    scaling.suspended = {POLICIES}
    compare(scaling, lambda _: computing())
    assert scaling.suspended == {POLICIES}


def test_a_number_that_the_group_does_not_take_is_refused() -> None:
    bounds(GROUP, (1, 2, 3))
    with pytest.raises(CheckError, match=r"takes 1 to 3 machines, not 4: raise expressway:app\.maxSize"):
        bounds(GROUP, (1, 4))
    with pytest.raises(CheckError, match=r"not 1: lower expressway:app\.minSize"):
        bounds(replace(GROUP, minimum=2), (1,))


def test_without_a_knee_there_is_no_error() -> None:
    one = Checked(1, predict(measured(computing()), 1).rps, "app", None, "none")
    assert one.error is None
    assert widest([one]) is None
    assert one.as_json()["error_percent"] is None
    assert replace(one, predicted=120.0, measured=100.0).as_json()["error_percent"] == 20.0
