"""Keys that move to a shard that was added: an app server is asked, which has the kit and the databases' addresses.

The databases themselves know how far a move has come, so any machine goes on with what another one began. The other
side is user_data/app/files/expressway_app/moves.py.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from operate import requests
from operate.database.instance import DatabaseError, Listener, Pause
from operate.stack import Stack

Action = Literal["move", "undo", "finish"]
KIND: Final = requests.Kind(
    tag="expressway:move",
    key="move-{}.json",
    deed="move keys",
    error=DatabaseError,
    again=": run it again, and another call goes on",
)


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
    _refuse_older(stack)
    machine = requests.choose(stack, KIND)
    told = requests.ask(
        *(stack, KIND, machine, action),
        said=lambda head: _line(head.get("progress") or {}),
        listener=listener,
        pause=pause,
    )
    result = told.head.get("result") or {}
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


def _refuse_older(stack: Stack) -> None:
    """DatabaseError while any app server was started from an older template."""
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


def _version(holder: Mapping[str, Any]) -> str | None:
    version = str((holder.get("LaunchTemplate") or {}).get("Version", ""))
    return version if version.isdigit() else None


def _line(progress: Mapping[str, Any]) -> str:
    """One step, as people read it."""
    doing = str(progress.get("doing") or "")
    if "done" in progress:
        return f"{doing}: {progress['done']} of {progress.get('of')} buckets, {progress.get('rows')} rows"
    return f"{doing}, {progress['seconds']:g} s" if isinstance(progress.get("seconds"), (int, float)) else doing
