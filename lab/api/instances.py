"""What becomes of an instance that reboots, shuts down or crashes, of all of which moto knows nothing.

Sources: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-reboot.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance, InstanceBackend, StateReason

from lab.api import amis
from lab.api.patching import around, instead

STATUSES = ("ok", "impaired", "shut-down", "off")
"""What the lab says of an instance's machine. `shut-down`: from inside; `off`: as the API had told it to."""

ENDED = ("shutting-down", "terminated")
STOPPING = {"shutting-down": 32, "stopping": 64}
"""States in which the machine shuts down, with EC2's codes."""

_has_machines = False


@dataclass(frozen=True)
class InstanceState:
    """What the lab needs to know of an instance beside what EC2 describes."""

    id: str
    reboots: int
    status: str


class IncorrectInstanceStateError(EC2ClientError):
    """The instance is in no state for what is asked."""

    def __init__(self, instance: str, wanted: str) -> None:
        message = f"The instance '{instance}' is not in a state from which it can be {wanted}."
        super().__init__("IncorrectInstanceState", message)


def install() -> None:
    """Change moto's instances. Once a process, before the first request."""
    instead(Instance, "reboot", _reboot)
    around(InstanceBackend, "start_instances", _start)
    around(Instance, "stop", _stop)
    around(Instance, "terminate", _terminate)
    of_moto: Any = Instance.instance_status
    instead(Instance, "instance_status", property(lambda instance: _status(of_moto.fget(instance), instance)))


def with_machines() -> None:
    """From now on instances have machines: they are stopped or terminated when those have shut down."""
    global _has_machines
    _has_machines = True


def states() -> list[InstanceState]:
    """Every instance that has not ended."""
    return [
        InstanceState(instance.id, getattr(instance, "reboots", 0), "impaired" if impaired(instance) else "ok")
        for instance in _all()
        if instance.state not in ENDED
    ]


def impaired(instance: Any) -> bool:
    """Whether its status check fails."""
    return getattr(instance, "impaired", False)


def set_status(identifier: str, status: str) -> bool:
    """Whether there is such an instance. What shuts itself down is stopped or terminated, as its attribute says."""
    instance = next((each for each in _all() if each.id == identifier and each.state != "terminated"), None)
    if instance is None:
        return False
    if status == "off" or instance.state in STOPPING:
        return _is_off(instance) if status == "off" else True
    instance.impaired = status == "impaired"
    if status == "shut-down" and instance.instance_initiated_shutdown_behavior == "terminate":
        instance.ec2_backend.terminate_instances([identifier])
    elif status == "shut-down":
        instance.stop()
        if instance.state == "stopping":  # the machine is off already
            _is_off(instance)
        code = "Client.InstanceInitiatedShutdown"
        instance.state_reason = StateReason(f"{code}: Instance initiated shutdown", code)
    return True


def _all() -> Iterator[Any]:
    for account in list(ec2_backends.values()):
        for backend in list(account.values()):
            yield from backend.all_instances()


def _reboot(instance: Any) -> None:
    """moto takes a reboot of a stopped instance for a start. One that has ended is passed over."""
    if instance.state == "running":
        instance.reboots = getattr(instance, "reboots", 0) + 1
    elif instance.state not in ENDED:
        raise IncorrectInstanceStateError(instance.id, "rebooted")


def _start(original: Any, backend: Any, instance_ids: list[str]) -> Any:
    """moto starts what has ended."""
    for instance in backend.get_multi_instances_by_id(instance_ids):
        if instance.state in (*ENDED, *STOPPING):
            raise IncorrectInstanceStateError(instance.id, "started")
    return original(backend, instance_ids)


def _stop(original: Any, instance: Any) -> Any:
    """A stop ends a crash, too; moto stops what has ended."""
    if instance.state in ENDED:
        raise IncorrectInstanceStateError(instance.id, "stopped")
    instance.impaired = False
    if not _shuts_down(instance):
        return original(instance)
    before = copy.copy(instance._state)
    instance.finish = lambda: original(instance)
    _set_state(instance, "stopping")
    return before


def _terminate(original: Any, instance: Any) -> Any:
    """One that runs keeps its interface and its address until its machine has shut down."""
    if not _shuts_down(instance):
        return original(instance)
    before = copy.copy(instance._state)
    instance.finish = lambda: original(instance)
    _set_state(instance, "shutting-down")
    return before


def _shuts_down(instance: Any) -> bool:
    """Whether there may be a machine that has to shut down first, or does so already."""
    booted = not instance.ec2_backend.amis[instance.image_id].name.startswith(amis.API_ONLY)
    return _has_machines and booted and instance.state in ("pending", "running", *STOPPING)


def _is_off(instance: Any) -> bool:
    """The machine has shut down: the instance is stopped or terminated. Nothing for one that was told neither."""
    if instance.state not in STOPPING:
        return False
    finish, instance.finish = instance.finish, None
    finish()
    return True


def _set_state(instance: Any, name: str) -> None:
    instance._state.name, instance._state.code = name, STOPPING[name]


def _status(answer: dict[str, Any], instance: Any) -> dict[str, Any]:
    """Reachability, as EC2's status check finds it."""
    if not impaired(instance):
        return answer
    details = [each | {"Status": "failed"} for each in answer["Details"]]
    return answer | {"Status": "impaired", "Details": details}
