"""From what is seen to what is done. Pure: no clock, no network, no files."""

from collections.abc import Mapping, Sequence

from .model import Completion, Member, Memory, Observation, Plan, Server

FAILURES_TO_REMOVE = 3
"""Probes in a row, about 2 s apart. Meanwhile the balancer leaves a server alone that refuses connections."""
DRAIN_SECONDS = 15.0
"""From out of the upstream until the instance may be terminated: time for requests under way."""
SERVING_STATES = frozenset({"Pending:Wait", "Pending:Proceed", "InService"})
"""Lifecycle states in which an instance may have traffic, if it answers."""


def plan(
    observation: Observation | None,
    current: Sequence[Server],
    probes: Mapping[str, bool],
    memory: Memory,
    now: float,
) -> Plan:
    """Decide on one pass.

    `observation` is None when the API gave no good answer: then nothing changes. `current` is what Nginx has, `probes`
    says by instance id who is ready (an instance that isn't there is not), `now` is any clock in seconds that only
    goes forward.
    """
    if observation is None:
        return Plan(tuple(current), (), memory, ())
    members = observation.members
    serving = [each for each in members if each.address and _may_serve(each, observation)]
    failures = {
        each.instance_id: 0 if probes.get(each.instance_id) else memory.failures.get(each.instance_id, 0) + 1
        for each in serving
    }
    in_nginx = {each.instance_id for each in current}
    chosen = _choose(serving, failures, in_nginx)
    # Never nothing: Nginx would have no one left to ask, and the last good list is the best guess there is.
    servers = tuple(sorted(Server(each.instance_id, each.address or "") for each in chosen)) or tuple(current)

    out_since = _out_since(members, servers, memory, now)
    completions = [
        Completion(each.instance_id, hook)
        for each in chosen
        if each.state == "Pending:Wait" and failures[each.instance_id] == 0
        for hook in observation.launch_hooks
    ]
    completions += [
        Completion(instance_id, hook)
        for instance_id, since in out_since.items()
        if now - since >= DRAIN_SECONDS
        for hook in observation.terminate_hooks
    ]
    log = _log(members, current, servers, failures)
    return Plan(servers, tuple(completions), Memory(failures, out_since), log)


def _may_serve(member: Member, observation: Observation) -> bool:
    """Whether it may have traffic, if it answers. One that waits for somebody else's hook is not ready yet."""
    if member.state == "Pending:Wait":
        return bool(observation.launch_hooks)
    return member.state in SERVING_STATES


def _choose(serving: Sequence[Member], failures: Mapping[str, int], in_nginx: set[str]) -> list[Member]:
    """Who gets traffic: all that are ready, and of those that fail as few as the rules allow.

    One that fails comes out after FAILURES_TO_REMOVE probes, but at least half of those that ought to serve stay in: if
    most of them seem to fail, it may as well be this machine, or a dependency that they share. Who has yet to be let
    into the group does not count: the floor would sink with each one that comes out.
    """
    ought_to_serve = sum(each.state != "Pending:Wait" for each in serving)
    at_least = (ought_to_serve + 1) // 2
    chosen = [each for each in serving if failures[each.instance_id] == 0]
    failing = [each for each in serving if failures[each.instance_id] > 0 and each.instance_id in in_nginx]
    for each in sorted(failing, key=lambda each: (failures[each.instance_id], each.instance_id)):
        if failures[each.instance_id] < FAILURES_TO_REMOVE or len(chosen) < at_least:
            chosen.append(each)
    return chosen


def _out_since(members: Sequence[Member], servers: Sequence[Server], memory: Memory, now: float) -> dict[str, float]:
    """Since when each instance in Terminating:Wait has been without new requests.

    One that is still in the upstream, because no other can stand in yet, has to stay; unless none is to come.
    """
    still_in = {each.instance_id for each in servers}
    others = any(each.state.startswith("Pending") or each.state == "InService" for each in members)
    return {
        each.instance_id: memory.out_since.get(each.instance_id, now)
        for each in members
        if each.state == "Terminating:Wait" and not (each.instance_id in still_in and others)
    }


def _log(
    members: Sequence[Member], current: Sequence[Server], servers: Sequence[Server], failures: Mapping[str, int]
) -> tuple[str, ...]:
    states = {each.instance_id: each.state for each in members}

    def reason(instance_id: str) -> str:
        if failed := failures.get(instance_id):
            return f"{failed} probes failed"
        return states.get(instance_id, "no longer in the group")

    added = [f"{each.instance_id} ({each.address}) added: ready" for each in servers if each not in current]
    gone = [each for each in current if each not in servers]
    return (*added, *(f"{each.instance_id} ({each.address}) removed: {reason(each.instance_id)}" for each in gone))
