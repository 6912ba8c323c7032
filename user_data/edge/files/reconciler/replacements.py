"""Whom to report to Auto Scaling as unhealthy, so that it is replaced. Pure.

A sick edge must not kill a healthy fleet: at most one machine a minute, a quarter of the fleet at a time, and none at
all unless at least half of the fleet answers. So the only machine of a fleet is never reported.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from .belief import Belief
from .health import Health
from .model import Server

FAILING_SECONDS = 60.0
INTERVAL_SECONDS = 60.0
GRACE_SECONDS = 300.0
"""In service and never seen well: as long as a boot may take."""
SHARE = 4
"""One of so many, and one at least, may be on its way out at a time."""


@dataclass(frozen=True)
class Memory:
    """What one pass tells the next. Losing it costs patience, and does no harm."""

    in_service_since: Mapping[str, float] = field(default_factory=dict[str, float])
    reported: Mapping[str, float] = field(default_factory=dict[str, float])
    """When each machine that is still in its group was reported."""
    last: float | None = None
    """When any was."""
    served: frozenset[str] = frozenset()
    """Those that had been well when this program began: they need no time to boot."""


def at_first(servers: Collection[Server], told: Collection[str]) -> Memory:
    """What is known by Nginx's list, which outlives this program, and by what the one before it has `told`.

    Who fails is out of the list a minute before it is reported.
    """
    return Memory(served=frozenset(each.instance_id for each in servers) | {*told})


def served(memory: Memory, health: Mapping[str, Health]) -> frozenset[str]:
    """Those that have been well at any time, as far as is known."""
    return memory.served | {each for each, found in health.items() if found.has_been_up}


def decide(belief: Belief, health: Mapping[str, Health], memory: Memory, now: float) -> tuple[str | None, Memory]:
    """The machine to report now, if there is one; the memory counts it as reported."""
    fleet = [each for each in belief.members if each.state == "InService"]
    ids = {each.instance_id for each in belief.members}
    since = {each.instance_id: memory.in_service_since.get(each.instance_id, now) for each in fleet}
    reported = {each: at for each, at in memory.reported.items() if each in ids}
    kept = Memory(since, reported, memory.last, memory.served & ids)

    def found(instance_id: str) -> Health:
        return health.get(instance_id, Health())

    well = sum(found(each.instance_id).up is True for each in fleet)
    if well == 0 or 2 * well < len(fleet):
        return None, kept
    if len(reported) >= max(1, len(fleet) // SHARE):
        return None, kept
    if memory.last is not None and now - memory.last < INTERVAL_SECONDS:
        return None, kept
    known = served(kept, health)
    sick: list[tuple[float, str]] = []
    for each in fleet:
        one = found(each.instance_id)
        graced = each.instance_id in known or now - since[each.instance_id] >= GRACE_SECONDS
        if each.drain or each.instance_id in reported or one.up is not False or one.failing_since is None:
            continue
        if graced and now - one.failing_since >= FAILING_SECONDS:
            sick.append((one.failing_since, each.instance_id))
    if not sick:
        return None, kept
    _, worst = min(sick)
    return worst, replace(kept, reported={**reported, worst: now}, last=now)
