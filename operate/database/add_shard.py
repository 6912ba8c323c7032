"""Keys that move to a shard that was added: a tag asks an app server, which has the kit and the databases' addresses.

The databases themselves know how far a move has come, so any machine goes on with what another one began. The other
side is user_data/app/files/expressway_app/moves.py.
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError

from operate.database.instance import DatabaseError, Listener, Pause
from operate.doctor.account import code
from operate.fleet import IN_SERVICE
from operate.releases import MISSING
from operate.stack import Stack, lasting

TAG: Final = "expressway:move"
Action = Literal["move", "undo", "finish"]
HEARD_SECONDS: Final = 40.0
"""In which a machine has begun: AWS shows it its tags some seconds late."""
SILENT_SECONDS: Final = 60.0
"""Without a word, after which a machine is taken for dead: it gives one every five."""
POLL_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Moved:
    """What a call has done."""

    state: Literal["recorded", "moved", "undone", "finished"]
    shards_before: int
    """That have keys, before the move."""
    shards_after: int
    keys_moved: int
    """That are on the new shard."""
    keys_all: int
    """On all of them."""
    rows: int
    """That this call moved."""
    longest_wait_ms: int
    """That a key's statements waited, at most."""
    seconds: float
    machine: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def run(stack: Stack, action: Action, listener: Listener = lambda _: None, pause: Pause = time.sleep) -> Moved:
    """Have an app server do it, and return when it is done. DatabaseError; botocore's errors.

    The tag is taken off again in any case; a machine that has begun goes on without it.
    """
    machine = _choose(stack)
    request = f"{int(time.time())}x{secrets.token_hex(6)}"
    tag = {"Key": TAG, "Value": f"{request} {action}"}
    ec2 = stack.client("ec2")
    ec2.create_tags(Resources=[machine], Tags=[tag])
    try:
        result = _await(stack, machine, request, listener, pause)
    finally:
        # By its value: where somebody else has asked meanwhile, theirs stays.
        ec2.delete_tags(Resources=[machine], Tags=[tag])
    try:
        return Moved(
            state=result["state"],
            shards_before=int(result["from"]),
            shards_after=int(result["to"]),
            keys_moved=int(result["keys"]["moved"]),
            keys_all=int(result["keys"]["all"]),
            rows=int(result["rows"]),
            longest_wait_ms=int(result["longestWait"]),
            seconds=float(result["seconds"]),
            machine=machine,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatabaseError(f"{machine} answered with what can't be read: {result}") from error


def _choose(stack: Stack) -> str:
    """An app server in service. DatabaseError without one, and while any was started from an older template."""
    answer = stack.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[stack.app_group])
    groups = answer["AutoScalingGroups"]
    wanted = _version(groups[0]) if groups else None
    members = [each for group in groups for each in group["Instances"]]
    older = sorted(each["InstanceId"] for each in members if wanted and _version(each) not in (None, wanted))
    if older:
        raise DatabaseError(
            f"{', '.join(older)} started before the last pulumi up, so the app there may not know every shard: "
            "expressway deploy replaces them"
        )
    serving = sorted(each["InstanceId"] for each in members if each["LifecycleState"] == IN_SERVICE)
    if not serving:
        raise DatabaseError("no app server is in service: expressway status says what they are")
    return serving[0]


def _version(holder: Mapping[str, Any]) -> str | None:
    version = str((holder.get("LaunchTemplate") or {}).get("Version", ""))
    return version if version.isdigit() else None


def _await(stack: Stack, machine: str, request: str, listener: Listener, pause: Pause) -> Mapping[str, Any]:
    listener(f"asking {machine}")
    said, at = "", 0.0
    deadline = time.monotonic() + HEARD_SECONDS
    while time.monotonic() < deadline:
        told = _answer(stack, machine, request)
        if told is not None and told.get("at") != at:
            at, deadline = told.get("at"), time.monotonic() + SILENT_SECONDS
            if told.get("state") == "failed":
                raise DatabaseError(f"{machine}: {told.get('reason') or 'it does not say why'}")
            if told.get("state") == "done":
                return told.get("result") or {}
            if (line := _line(told.get("progress") or {})) and line != said:
                said = line
                listener(line)
        pause(POLL_SECONDS)
    if at:
        raise DatabaseError(
            f"{machine} has told nothing for {SILENT_SECONDS:.0f} s: run it again, and another call goes on"
        )
    raise DatabaseError(
        f"{machine} did not hear of it in {HEARD_SECONDS:.0f} s: it was made before machines could move keys, and "
        "expressway deploy replaces it; or its expressway-deploys.service isn't well"
    )


def _line(progress: Mapping[str, Any]) -> str:
    """One step, as people read it."""
    doing = str(progress.get("doing") or "")
    if "done" in progress:
        return f"{doing}: {progress['done']} of {progress.get('of')} buckets, {progress.get('rows')} rows"
    return f"{doing}, {progress['seconds']:g} s" if isinstance(progress.get("seconds"), (int, float)) else doing


def _answer(stack: Stack, machine: str, request: str) -> Mapping[str, Any] | None:
    """What a machine told last of a request. None when nothing is there, or S3 doesn't say."""
    try:
        found = stack.client("s3").get_object(Bucket=stack.bucket, Key=f"reports/app/{machine}/move-{request}.json")
        told = json.loads(found["Body"].read())
    except ClientError as error:
        if code(error) not in MISSING and lasting(error):
            raise
        return None
    except (BotoCoreError, ValueError):
        return None
    return told if isinstance(told, dict) else None
