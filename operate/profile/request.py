"""Asking a machine for a profile of the app's busiest worker there: a tag asks, an object in the bucket answers.

As for a deploy in place, the machine looks at its own tags each second. So nothing listens on the network for it, and
who may ask is who may tag the stack's machines. user_data/app/files/expressway_app/profiles.py is the other side.
"""

import json
import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from operate.doctor.account import code
from operate.fleet import IN_SERVICE
from operate.profile import tree
from operate.profile.model import Profile
from operate.releases import MISSING
from operate.stack import Stack, lasting

TAG: Final = "expressway:profile"
LEAST_SECONDS, MOST_SECONDS = 1, 60
HEARD_SECONDS: Final = 40.0
"""In which a machine has begun: AWS shows it its tags some seconds late, and it looks for the busiest worker first."""
LATE_SECONDS: Final = 40.0
"""That a profile may be late: it is taken out of the worker, packed and stored."""
LARGEST: Final = 32 * 1024 * 1024
"""Bytes of an answer, unpacked: more than a machine takes from a worker."""
POLL_SECONDS: Final = 1.0

Listener = Callable[[str], None]


class ProfileError(Exception):
    """There is no profile; the message says why, and how to mend it."""


@dataclass(frozen=True)
class Taken:
    """A profile, and what it was made of."""

    profile: Profile
    text: str
    """V8's own, which is what a file of the name *.cpuprofile holds."""


def choose(stack: Stack, wanted: str | None) -> str:
    """The app server to ask: the wanted one, or the first that is in service. ProfileError without one."""
    answer = stack.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[stack.app_group, stack.edge_group]
    )
    members = {each["AutoScalingGroupName"]: each["Instances"] for each in answer["AutoScalingGroups"]}
    there = {each["InstanceId"]: each["LifecycleState"] for each in members.get(stack.app_group, [])}
    serving = sorted(each for each, state in there.items() if state == IN_SERVICE)
    if wanted is None:
        if not serving:
            raise ProfileError("no app server is in service: expressway status says what they are")
        return serving[0]
    if wanted in there and there[wanted] != IN_SERVICE:
        raise ProfileError(f"{wanted} is {there[wanted]}: only a machine in service is profiled")
    if wanted not in there:
        if any(each["InstanceId"] == wanted for each in members.get(stack.edge_group, [])):
            raise ProfileError(f"{wanted} is an edge: only an app server has workers to profile")
        known = ", ".join(serving) or "none in service"
        raise ProfileError(f"there is no app server {wanted}; there are: {known}")
    return wanted


def take(
    stack: Stack,
    machine: str,
    seconds: int,
    listener: Listener = lambda _: None,
    pause: Callable[[float], object] = time.sleep,
) -> Taken:
    """Have a machine profile its busiest worker for so many seconds. ProfileError; botocore's errors.

    The tag is taken off again in any case.
    """
    ec2 = stack.client("ec2")
    _alone(stack, machine)
    request = f"{int(time.time())}x{secrets.token_hex(6)}"
    ec2.create_tags(Resources=[machine], Tags=[{"Key": TAG, "Value": f"{request} {seconds}"}])
    try:
        head, text = _await(stack, machine, request, seconds, listener, pause)
    finally:
        # By its value: where somebody else has asked meanwhile, theirs stays.
        ec2.delete_tags(Resources=[machine], Tags=[{"Key": TAG, "Value": f"{request} {seconds}"}])
    worker: Mapping[str, Any] = head.get("worker") or {}
    process = f"{worker.get('name')} {worker.get('id')}, process {worker.get('pid')}"
    try:
        error = json.loads(text).get("error")
        if error:
            raise ProfileError(f"{machine}: {process} could not be profiled: {error}")
        raw = json.dumps(json.loads(text)["profile"])
        return Taken(tree.read(raw, str(head.get("app")), machine, process), raw)
    except (ValueError, KeyError, AttributeError, TypeError, tree.ProfileFormatError) as error:
        raise ProfileError(f"{machine}: {process} answered, and not with a profile: {error}") from error


def _alone(stack: Stack, machine: str) -> None:
    """ProfileError while somebody else's profile of a machine is taken."""
    found = stack.client("ec2").describe_tags(
        Filters=[{"Name": "resource-id", "Values": [machine]}, {"Name": "key", "Values": [TAG]}]
    )["Tags"]
    for tag in found:
        request, _, seconds = tag["Value"].partition(" ")
        began = request.partition("x")[0]
        if not (began.isdigit() and seconds.isdigit()):
            continue
        left = int(began) + HEARD_SECONDS + int(seconds) + LATE_SECONDS - time.time()
        answer = _answer(stack, machine, request)
        if left > 0 and (answer is None or answer[0].get("state") not in ("done", "failed")):
            raise ProfileError(f"{machine} is being profiled by somebody else, for {left:.0f} s more at most")


def _await(
    stack: Stack, machine: str, request: str, seconds: int, listener: Listener, pause: Callable[[float], object]
) -> tuple[Mapping[str, Any], str]:
    heard = False
    deadline = time.monotonic() + HEARD_SECONDS
    listener(f"asking {machine}")
    while time.monotonic() < deadline:
        answer = _answer(stack, machine, request)
        if answer is not None:
            head, text = answer
            if head.get("state") == "done":
                return head, text
            if head.get("state") == "failed":
                raise ProfileError(f"{machine}: {head.get('reason') or 'it does not say why'}")
            if not heard:
                heard = True
                deadline = time.monotonic() + seconds + LATE_SECONDS
                listener(f"profiling a worker of {machine} for {seconds} s")
        pause(POLL_SECONDS)
    choose(stack, machine)  # which says so where it has left meanwhile
    if heard:
        raise ProfileError(f"{machine} began the profile, and has told nothing since")
    raise ProfileError(
        f"{machine} did not hear of it in {HEARD_SECONDS:.0f} s: it was made before machines could be profiled, and "
        "expressway deploy replaces it; or it is at a profile that somebody gave up, for a minute at most; or its "
        "expressway-deploys.service isn't well"
    )


def _answer(stack: Stack, machine: str, request: str) -> tuple[Mapping[str, Any], str] | None:
    """What a machine told of a request: how it went, and the profile. None when nothing is there, or S3 doesn't say."""
    try:
        found = stack.client("s3").get_object(Bucket=stack.bucket, Key=f"reports/app/{machine}/profile-{request}.gz")
        packed = found["Body"].read(LARGEST)
    except ClientError as error:
        if code(error) not in MISSING and lasting(error):
            raise
        return None
    except BotoCoreError:
        return None
    try:
        # A machine's word is unpacked no further than it may go.
        text = zlib.decompressobj(wbits=31).decompress(packed, LARGEST).decode(errors="replace")
        head, _, profile = text.partition("\n")
        told = json.loads(head)
    except (ValueError, zlib.error) as error:
        raise ProfileError(f"{machine} answered with what can't be read: {error}") from error
    return (told if isinstance(told, dict) else {}), profile
