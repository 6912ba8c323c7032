"""When a machine may go on: into its group once it gets requests, out of it once its requests are answered. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .belief import Belief
from .health import Health
from .model import Hook, Member, Server, Traffic

SETTLED_SECONDS = 1.0
"""Out of the list and without a request for so long: one of Nginx's workers may just have chosen it by the old list."""
DRAIN_SECONDS = 120.0
"""How long requests under way, or another edge that says nothing, hold up a machine that is to end."""
STAND_IN_SECONDS = 600.0
"""How long a machine that is to end is kept, while it answers and no other does."""


@dataclass(frozen=True)
class Memory:
    """What one pass tells the next. Losing it delays a departure, and does no harm."""

    idle_since: Mapping[str, float] = field(default_factory=dict[str, float])
    """Since when a machine has been out of the list and without requests."""
    leaving_since: Mapping[str, float] = field(default_factory=dict[str, float])
    """Since when it has waited for its end, as far as we have seen."""
    beaten_at: Mapping[str, float] = field(default_factory=dict[str, float])
    """When AWS was last told that it still has to wait."""


@dataclass(frozen=True)
class Step:
    """What to tell Auto Scaling about a machine."""

    member: Member
    hook: Hook


@dataclass(frozen=True)
class Departures:
    """What may go on, and what has to wait."""

    completions: tuple[Step, ...]
    heartbeats: tuple[Step, ...]
    out: frozenset[str]
    """Members that are out of the list, with no request under way."""
    memory: Memory


def decide(
    belief: Belief,
    servers: Collection[Server],
    traffic: Traffic,
    health: Mapping[str, Health],
    held: Collection[str],
    memory: Memory,
    now: float,
) -> Departures:
    """Decide on one pass. `servers` is the list that Nginx has by now; another edge may still use who is `held`."""
    in_nginx = {each.instance_id for each in servers}
    idle_since = {
        each.instance_id: memory.idle_since.get(each.instance_id, now)
        for each in belief.members
        if each.instance_id not in in_nginx and not traffic.in_flight(each.instance_id)
    }
    out = frozenset(each for each, since in idle_since.items() if now - since >= SETTLED_SECONDS)
    leaving = [each for each in belief.members if each.state == "Terminating:Wait" and each.waits_for]
    leaving_since = {each.instance_id: memory.leaving_since.get(each.instance_id, now) for each in leaving}

    completions, heartbeats, beaten_at = [], [], {}
    for each in belief.members:
        if each.state == "Pending:Wait" and each.instance_id in in_nginx and health.get(each.instance_id, Health()).ok:
            completions += [Step(each, hook) for hook in each.waits_for]
    for each in leaving:
        waited = now - leaving_since[each.instance_id]
        if each.instance_id in in_nginx:
            done = waited >= STAND_IN_SECONDS
        else:
            done = waited >= DRAIN_SECONDS or (each.instance_id in out and each.instance_id not in held)
        if done:
            completions += [Step(each, hook) for hook in each.waits_for]
            continue
        beaten = memory.beaten_at.get(each.instance_id, leaving_since[each.instance_id])
        due = [hook for hook in each.waits_for if now - beaten >= hook.heartbeat_timeout / 3]
        heartbeats += [Step(each, hook) for hook in due]
        beaten_at[each.instance_id] = now if due else beaten
    return Departures(tuple(completions), tuple(heartbeats), out, Memory(idle_since, leaving_since, beaten_at))
