"""What the reconciler tells of itself: to programs on this machine, and through the bucket to operators. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from .belief import Belief
from .health import Health
from .model import UNKNOWN, Member, Server, Traffic

SETTLED_SECONDS, FRESH_SECONDS = 10.0, 2.0
"""Between two reports; the shorter one while somebody may be waiting for what happens."""
FRESH_FOR = 300.0
"""Seconds after a machine came, or its drain was over: a deploy compares it with the others."""
LEAST_SECONDS = 0.5
"""Between two reports of any kind. One costs 0.000005 USD: 1.30 USD a month, for a fleet at rest."""
_COUNTERS: dict[str, Any] = {
    "in_flight": 0,
    "requests": 0,
    "connect_failures": 0,
    "statuses": {},
    "seconds": 0.0,
    "buckets": {},
}
_JOINING = ("Pending", "Pending:Wait", "Pending:Proceed")


def members(
    belief: Belief,
    servers: Collection[Server],
    traffic: Traffic,
    health: Mapping[str, Health],
    reasons: Mapping[str, str],
    out: Collection[str],
) -> list[dict[str, Any]]:
    """Each machine's part of it."""
    in_nginx = {each.instance_id for each in servers}
    known = {each.instance_id for each in belief.members}
    strangers = [
        Member(each.instance_id, UNKNOWN, each.address, each.port) for each in servers if each.instance_id not in known
    ]
    return [
        {
            "id": each.instance_id,
            "state": _state(each, in_nginx, health.get(each.instance_id, Health()), out),
            "reason": reasons.get(each.instance_id),
            **{key: traffic.counters.get(each.instance_id, {}).get(key, value) for key, value in _COUNTERS.items()},
        }
        for each in (*belief.members, *strangers)
    ]


def _state(member: Member, in_nginx: Collection[str], health: Health, out: Collection[str]) -> str:
    if member.instance_id in in_nginx:
        return "serving"
    if not health.has_been_up and not member.drain and member.state in (*_JOINING, "InService"):
        return "joining"
    return "out" if member.instance_id in out else "draining"


def outline(parts: Collection[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """What makes a change that is to be reported at once."""
    return tuple(sorted((each["id"], each["state"]) for each in parts))


def due(since_last: float | None, changed: bool, fresh: bool) -> bool:
    """Whether it is time to report, so long after the last one."""
    if since_last is None:
        return True
    if changed:
        return since_last >= LEAST_SECONDS
    # A hair early, as passes come by a clock of their own.
    return since_last >= (FRESH_SECONDS if fresh else SETTLED_SECONDS) - 0.1
