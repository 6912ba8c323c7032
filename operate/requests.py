"""Asking one app server for something: a tag asks, an object in the bucket answers.

As for a deploy in place, the machine looks at its own tags each second. So nothing listens on the network for it, and
who may ask is who may tag the stack's machines. user_data/app/files/expressway_app/requests.py is the other side.
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
from operate.releases import MISSING
from operate.stack import Stack, lasting

POLL_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 60.0
"""Without a word, after which a machine that has begun is taken for dead: it gives one every five."""

Listener = Callable[[str], None]
Pause = Callable[[float], object]


@dataclass(frozen=True)
class Kind:
    """Something that an app server can be asked for."""

    tag: str
    key: str
    """The answer's name in the machine's own part of the bucket, with `{}` for the request's id. One that ends with
    `.gz` is packed."""
    deed: str
    """In words: `take a profile`."""
    error: type[Exception]
    """Raised where it isn't done; its message says why, and how to mend it."""
    heard_seconds: float = 40.0
    """In which a machine has answered: AWS shows it its tags some seconds late."""
    again: str = ""
    """What to do when a machine that began it is silent, after a colon."""
    largest: int = 1024 * 1024
    """Bytes of an answer that are read, unpacked too."""


@dataclass(frozen=True)
class Answer:
    """What a machine told last of a request."""

    head: Mapping[str, Any]
    """How it is: `state` is done, failed, or what the kind has in between."""
    rest: str = ""
    """What came after that, if anything."""


def choose(stack: Stack, kind: Kind, wanted: str | None = None) -> str:
    """The app server to ask: the wanted one, or the first that is in service. The kind's error without one."""
    there = _members(stack, stack.app_group)
    serving = sorted(each for each, state in there.items() if state == IN_SERVICE)
    if wanted is None:
        if not serving:
            raise kind.error("no app server is in service: expressway status says what they are")
        return serving[0]
    if wanted not in there:
        if wanted in _members(stack, stack.edge_group):
            raise kind.error(f"{wanted} is an edge: only an app server can {kind.deed}")
        known = ", ".join(serving) or "none in service"
        raise kind.error(f"there is no app server {wanted}; there are: {known}")
    if there[wanted] != IN_SERVICE:
        raise kind.error(f"{wanted} is {there[wanted]}: only a machine in service can {kind.deed}")
    return wanted


def ask(
    stack: Stack,
    kind: Kind,
    machine: str,
    *words: str,
    silent_seconds: float = SILENT_SECONDS,
    said: Callable[[Mapping[str, Any]], str] = lambda _: "",
    listener: Listener = lambda _: None,
    pause: Pause = time.sleep,
) -> Answer:
    """Have a machine do it, `words` being all that it needs to know; its last answer. The kind's error; botocore's.

    The tag is taken off again in any case. `silent_seconds` may lie between two answers, of which `said` makes a line
    for people, or none.
    """
    request = f"{int(time.time())}x{secrets.token_hex(6)}"
    tag = {"Key": kind.tag, "Value": " ".join((request, *words))}
    ec2 = stack.client("ec2")
    ec2.create_tags(Resources=[machine], Tags=[tag])
    try:
        listener(f"asking {machine}")
        return _await(stack, kind, machine, request, silent_seconds, said, listener, pause)
    finally:
        # By its value: where somebody else has asked meanwhile, theirs stays.
        ec2.delete_tags(Resources=[machine], Tags=[tag])


def asked_at(request: str) -> int | None:
    """When a request was made, in seconds since the epoch; None where its id doesn't say."""
    began = request.partition("x")[0]
    return int(began) if began.isdigit() else None


def answer(stack: Stack, kind: Kind, machine: str, request: str) -> Answer | None:
    """What a machine told last of a request. None when nothing is there, or S3 doesn't say."""
    key = f"reports/app/{machine}/{kind.key.format(request)}"
    try:
        body = stack.client("s3").get_object(Bucket=stack.bucket, Key=key)["Body"].read(kind.largest)
    except ClientError as error:
        if code(error) not in MISSING and lasting(error):
            raise
        return None
    except BotoCoreError:
        return None
    try:
        if key.endswith(".gz"):
            # A machine's word is unpacked no further than it may go.
            body = zlib.decompressobj(wbits=31).decompress(body, kind.largest)
        line, _, rest = body.decode(errors="replace").partition("\n")
        head = json.loads(line)
    except (ValueError, zlib.error) as error:
        raise kind.error(f"{machine} answered with what can't be read: {error}") from error
    if not isinstance(head, dict):
        raise kind.error(f"{machine} answered with what can't be read: {line[:80]}")
    return Answer(head, rest)


def _await(
    stack: Stack,
    kind: Kind,
    machine: str,
    request: str,
    silent_seconds: float,
    said: Callable[[Mapping[str, Any]], str],
    listener: Listener,
    pause: Pause,
) -> Answer:
    at, line = None, ""
    deadline = time.monotonic() + kind.heard_seconds
    while time.monotonic() < deadline:
        found = answer(stack, kind, machine, request)
        if found is not None and found.head.get("at") != at:
            at, deadline = found.head.get("at"), time.monotonic() + silent_seconds
            if found.head.get("state") == "done":
                return found
            if found.head.get("state") == "failed":
                raise kind.error(f"{machine}: {found.head.get('reason') or 'it does not say why'}")
            if (new := said(found.head)) and new != line:
                line = new
                listener(line)
        pause(POLL_SECONDS)
    choose(stack, kind, machine)  # which says so where it has left meanwhile
    if at is not None:
        raise kind.error(f"{machine} has told nothing for {silent_seconds:.0f} s{kind.again}")
    raise kind.error(
        f"{machine} did not answer in {kind.heard_seconds:.0f} s: it was made before machines could {kind.deed}, and "
        "expressway deploy replaces it; or it is still at what somebody else asked for; or its "
        "expressway-deploys.service isn't well"
    )


def _members(stack: Stack, group: str) -> dict[str, str]:
    """The lifecycle state of a group's machines."""
    found = stack.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    return {
        each["InstanceId"]: each["LifecycleState"]
        for group in found["AutoScalingGroups"]
        for each in group["Instances"]
    }
