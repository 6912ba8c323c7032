"""Who gets requests. Pure: no clock, no network, no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .belief import Belief
from .health import Health
from .model import MISSING, UNKNOWN, Member, Server

NEW = Health()


@dataclass(frozen=True)
class Plan:
    """The list that Nginx ought to have, and why."""

    servers: tuple[Server, ...]
    reasons: Mapping[str, str]
    """Why a machine is not in the list, or still in it, by instance id; of those that need a reason."""


def plan(belief: Belief, current: Sequence[Server], health: Mapping[str, Health]) -> Plan:
    """Decide on one list.

    `current` is what Nginx has, `health` what probes say of members and of Nginx's servers. All changes are one list:
    nothing goes before what replaces it is there. The rules, in the order of their weight:

    1. While anything answers, the list isn't empty: who ought to leave stays until another can take its place, unless
       there ought to be no machine at all.
    2. Who may serve and answers is in; new ones at their first answer.
    3. Who fails comes out, but at least half of those that ought to serve stay in: if most of them seem to fail, it may
       as well be this machine, or a dependency that they share.
    4. Who is to be drained comes out, down to the same half.
    """
    in_nginx = {each.instance_id: each for each in current}
    members = {each.instance_id: each for each in belief.members}
    reasons: dict[str, str] = {}

    def good(instance_id: str) -> bool:
        """Whether it answers; of who was not probed yet, that it did when it came into the list."""
        up = health.get(instance_id, NEW).up
        return instance_id in in_nginx if up is None else up

    serving = [each for each in belief.members if each.address and _may_serve(each)]
    ought = [each for each in serving if each.state not in ("Pending:Wait", MISSING)]
    at_least = (len(ought) + 1) // 2
    well = [each for each in serving if good(each.instance_id)]
    chosen = {each.instance_id: _server(each) for each in well if not each.drain}
    chosen |= _not_drained(well, in_nginx, len(chosen), at_least, reasons)
    if not chosen:
        chosen = {each.instance_id: _server(each) for each in well}
        reasons |= dict.fromkeys(chosen, "to be drained, but no other answers")
    if not chosen and belief.wanted != 0:
        chosen = {instance_id: server for instance_id, server in in_nginx.items() if good(instance_id)}
        reasons |= {each: f"{_state(members, each)}, but no other answers" for each in chosen}
    failing = [each for each in ought if each.instance_id in in_nginx and each.instance_id not in chosen]
    for each in sorted(
        (each for each in failing if not each.drain and not good(each.instance_id)),
        key=lambda each: _how_bad(each, health),
    ):
        found = health[each.instance_id]
        if len(chosen) < at_least:
            chosen[each.instance_id] = _server(each)
            reasons[each.instance_id] = f"fails ({found.detail}), but too few others answer"
    for each in belief.members:
        if each.instance_id not in chosen:
            reasons.setdefault(each.instance_id, _why_out(each, health.get(each.instance_id, NEW)))
    return Plan(tuple(sorted(chosen.values())), reasons)


def changes(current: Sequence[Server], decided: Plan) -> list[str]:
    """What is to be logged."""
    added = [f"{each.instance_id} ({each.address}) added: ready" for each in decided.servers if each not in current]
    gone = [each for each in current if each not in decided.servers]
    return added + [
        f"{each.instance_id} ({each.address}) removed: {decided.reasons.get(each.instance_id, 'not in the group')}"
        for each in gone
    ]


def _may_serve(member: Member) -> bool:
    """Whether it may have traffic, if it answers. One that waits for somebody else's hook is not ready yet."""
    if member.state == "Pending:Wait":
        return bool(member.waits_for)
    return member.state in ("Pending:Proceed", "InService", UNKNOWN, MISSING)


def _not_drained(
    well: Sequence[Member], in_nginx: Mapping[str, Server], others: int, at_least: int, reasons: dict[str, str]
) -> dict[str, Server]:
    """Those that an operator wants out, and that have to stay for now. One that is out stays out."""
    wanted_out = sorted((each for each in well if each.drain), key=lambda each: each.instance_id)
    staying = [each for each in wanted_out if each.instance_id in in_nginx]
    while staying and others + len(staying) - 1 >= max(1, at_least):
        staying.pop(0)
    reasons |= {each.instance_id: "to be drained, but too few others would be left" for each in staying}
    return {each.instance_id: _server(each) for each in staying}


def _how_bad(member: Member, health: Mapping[str, Health]) -> tuple[bool, int, str]:
    found = health.get(member.instance_id, NEW)
    return (not found.answers, found.failures, member.instance_id)


def _server(member: Member) -> Server:
    return Server(member.instance_id, member.address or "", member.port)


def _state(members: Mapping[str, Member], instance_id: str) -> str:
    return members[instance_id].state if instance_id in members else "not in the group"


def _why_out(member: Member, health: Health) -> str:
    if member.drain:
        return "to be drained"
    if not _may_serve(member):
        return member.state
    if not member.address:
        return "its address is not known yet"
    if health.has_been_up:
        return f"{health.failures} probes failed: {health.detail}" if health.failures else "was failing a moment ago"
    return f"not ready: {health.detail}" if health.detail else "not probed yet"
