"""Asking a machine for a profile of the app's busiest worker there.

user_data/app/files/expressway_app/profiles.py is the other side.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from operate import requests
from operate.profile import tree
from operate.profile.model import Profile
from operate.requests import Listener, Pause
from operate.stack import Stack

LEAST_SECONDS, MOST_SECONDS = 1, 60
LATE_SECONDS: Final = 40.0
"""That a profile may be late: it is taken out of the worker, packed and stored."""


class ProfileError(Exception):
    """There is no profile; the message says why, and how to mend it."""


KIND: Final = requests.Kind(
    tag="expressway:profile",
    key="profile-{}.gz",
    deed="take a profile",
    error=ProfileError,
    # More than a machine takes from a worker.
    largest=32 * 1024 * 1024,
)


@dataclass(frozen=True)
class Taken:
    """A profile, and what it was made of."""

    profile: Profile
    text: str
    """V8's own, which is what a file of the name *.cpuprofile holds."""


def choose(stack: Stack, wanted: str | None) -> str:
    """The app server to ask: the wanted one, or the first that is in service. ProfileError without one."""
    return requests.choose(stack, KIND, wanted)


def take(
    stack: Stack,
    machine: str,
    seconds: int,
    listener: Listener = lambda _: None,
    pause: Pause = time.sleep,
) -> Taken:
    """Have a machine profile its busiest worker for so many seconds. ProfileError; botocore's errors.

    The tag is taken off again in any case.
    """
    _alone(stack, machine)
    told = requests.ask(
        *(stack, KIND, machine, str(seconds)),
        silent_seconds=seconds + LATE_SECONDS,
        said=lambda _: f"profiling a worker of {machine} for {seconds} s",
        listener=listener,
        pause=pause,
    )
    worker: Mapping[str, Any] = told.head.get("worker") or {}
    process = f"{worker.get('name')} {worker.get('id')}, process {worker.get('pid')}"
    try:
        error = json.loads(told.rest).get("error")
        if error:
            raise ProfileError(f"{machine}: {process} could not be profiled: {error}")
        raw = json.dumps(json.loads(told.rest)["profile"])
        return Taken(tree.read(raw, str(told.head.get("app")), machine, process), raw)
    except (ValueError, KeyError, AttributeError, TypeError, tree.ProfileFormatError) as error:
        raise ProfileError(f"{machine}: {process} answered, and not with a profile: {error}") from error


def _alone(stack: Stack, machine: str) -> None:
    """ProfileError while somebody else's profile of a machine is taken."""
    found = stack.client("ec2").describe_tags(
        Filters=[{"Name": "resource-id", "Values": [machine]}, {"Name": "key", "Values": [KIND.tag]}]
    )["Tags"]
    for tag in found:
        request, _, seconds = tag["Value"].partition(" ")
        began = requests.asked_at(request)
        if began is None or not seconds.isdigit():
            continue
        left = began + KIND.heard_seconds + int(seconds) + LATE_SECONDS - time.time()
        answer = requests.answer(stack, KIND, machine, request)
        if left > 0 and (answer is None or answer.head.get("state") not in ("done", "failed")):
            raise ProfileError(f"{machine} is being profiled by somebody else, for {left:.0f} s more at most")
