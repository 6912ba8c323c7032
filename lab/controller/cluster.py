"""A cluster of Redis is made what the API says it should be: its nodes know each other, and slots move.

Each look begins with what the nodes themselves say, and does the next part of what is missing. So what is killed
half-way goes on with the next look, and what is done is seen to be done.

Source: https://redis.io/docs/latest/commands/cluster-setslot/
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from lab.api import hash_slots
from lab.machines.services.redis import LAB_USER
from lab.machines.services.redis_cluster import BUS, Seen, node_id, read_nodes

from .plan import ClusterNode, Reshape

BATCH: Final = 256
"""Slots that are on their way at one time."""
KEYS: Final = 100
"""Of a slot, that move with one command: the node answers nobody else meanwhile."""
PART_SECONDS: Final = 3.0
"""After which a look ends, whether all is done or not: something else may have to be done first."""
MIGRATE_MILLISECONDS: Final = 5000


class Node(Protocol):
    """A node that takes commands."""

    def ask(self, *words: str | bytes | int) -> Any:
        """The answer to one."""
        ...

    def ask_all(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """The answers to many that are sent together."""
        ...


@dataclass(frozen=True)
class State:
    """How far a cluster is: the slots of each shard by now, as text, and whether it is what it should be."""

    slots: Mapping[str, str]
    done: bool


def reshape(change: Reshape, nodes: Mapping[str, Node], password: str) -> State:
    """Do the next part. `nodes` are the connections by machine, `password` is what the nodes know each other by."""
    views = {each.machine: _look(nodes[each.machine]) for each in change.nodes}
    # A node that has just come to know the others serves nobody, and takes no keys.
    if not _acquainted(change, nodes, views) or not all(_serves(nodes[each.machine]) for each in change.nodes):
        return State({}, done=False)
    primaries = [each for each in change.nodes if each.primary]
    owned = {each.shard: set(views[each.machine][node_id(each.name)].slots) for each in primaries}
    _settle(change, nodes, owned)
    began = time.monotonic()
    moves = _moves(owned, dict(change.wanted))
    for source, target, slots in moves:
        if time.monotonic() - began > PART_SECONDS:
            break
        by_shard = {each.shard: each for each in primaries}
        _move(change, nodes, by_shard.get(source or ""), by_shard[target], slots, password)
        owned.get(source or "", set[int]()).difference_update(slots)
        owned[target].update(slots)
    found = {shard: hash_slots.show(slots) for shard, slots in owned.items()}
    if found != dict(change.wanted):
        return State(found, done=False)
    _forget_leaving(change, nodes)
    return State(found, done=True)


def _acquainted(change: Reshape, nodes: Mapping[str, Node], views: Mapping[str, Mapping[str, Seen]]) -> bool:
    """Whether every node knows the members, nobody else, and whom it is a replica of. Where not, it is told so."""
    ids = {node_id(each.name): each for each in change.nodes}
    primaries = {each.shard: node_id(each.name) for each in change.nodes if each.primary}
    complete = True
    for node in change.nodes:
        view, own, ask = views[node.machine], node_id(node.name), nodes[node.machine].ask
        for stranger in view.keys() - ids.keys():
            # One whose name isn't known yet has an id for the time being.
            if "handshake" not in view[stranger].flags:
                ask("CLUSTER", "FORGET", stranger)
        for missing in ids.keys() - view.keys():
            ask("CLUSTER", "MEET", ids[missing].address, change.port, change.port + BUS)
            complete = False
        complete &= all(view[each].name == ids[each].name for each in ids.keys() & view.keys())
        primary = primaries[node.shard]
        if complete and not node.primary and view[own].primary != primary:
            ask("CLUSTER", "REPLICATE", primary)
            complete = False
    return complete


def _settle(change: Reshape, nodes: Mapping[str, Node], owned: Mapping[str, set[int]]) -> None:
    """Slots that arrived where they should be just before somebody was killed: their old node is told, too."""
    primaries = {each.shard: each for each in change.nodes if each.primary}
    for shard, text in change.wanted:
        arrived = owned[shard] & hash_slots.parse(text)
        for other in primaries.keys() - {shard}:
            both = owned[other] & arrived
            new = node_id(primaries[shard].name)
            nodes[primaries[other].machine].ask_all([("CLUSTER", "SETSLOT", slot, "NODE", new) for slot in both])
            owned[other].difference_update(both)


def _moves(owned: Mapping[str, set[int]], wanted: Mapping[str, str]) -> Iterable[tuple[str | None, str, Sequence[int]]]:
    """From which shard to which, and which slots; from none what nobody has."""
    owner = {slot: shard for shard, slots in owned.items() for slot in slots}
    pairs: dict[tuple[str | None, str], list[int]] = {}
    for shard, text in wanted.items():
        for slot in sorted(hash_slots.parse(text) - owned[shard]):
            pairs.setdefault((owner.get(slot), shard), []).append(slot)
    for (source, target), slots in pairs.items():
        for start in range(0, len(slots), BATCH):
            yield source, target, slots[start : start + BATCH]


def _move(
    change: Reshape,
    nodes: Mapping[str, Node],
    source: ClusterNode | None,
    target: ClusterNode,
    slots: Sequence[int],
    password: str,
) -> None:
    """Slots with their keys. In this order a client that asks finds each key at one of the two at any time."""
    to, new = nodes[target.machine], node_id(target.name)
    if source is None:
        to.ask("CLUSTER", "ADDSLOTS", *slots)
        return
    of, old = nodes[source.machine], node_id(source.name)
    to.ask_all([("CLUSTER", "SETSLOT", slot, "IMPORTING", old) for slot in slots])
    of.ask_all([("CLUSTER", "SETSLOT", slot, "MIGRATING", new) for slot in slots])
    head = ("MIGRATE", target.address, change.port, "", 0, MIGRATE_MILLISECONDS)
    # What is there from an attempt that was cut short is older.
    tail = ("REPLACE", "AUTH2", LAB_USER, password, "KEYS")
    left = list(slots)
    while left:
        keys = of.ask_all([("CLUSTER", "GETKEYSINSLOT", slot, KEYS) for slot in left])
        full = [(slot, each) for slot, each in zip(left, keys, strict=True) if each]
        for _, each in full:
            of.ask(*head, *tail, *each)
        left = [slot for slot, _ in full]
    # The new owner first, or for a moment nobody would be it. The others would hear of it a little later.
    others = [each for each in change.nodes if each.primary and each not in (source, target)]
    for node in (target, source, *others):
        nodes[node.machine].ask_all([("CLUSTER", "SETSLOT", slot, "NODE", new) for slot in slots])


def _look(node: Node) -> Mapping[str, Seen]:
    return read_nodes(node.ask("CLUSTER", "NODES").decode())


def _serves(node: Node) -> bool:
    return b"cluster_state:ok" in node.ask("CLUSTER", "INFO")


def _forget_leaving(change: Reshape, nodes: Mapping[str, Node]) -> None:
    """Those that stay forget the nodes of shards that go; theirs stop as soon as the API knows."""
    going = {shard for shard, slots in change.wanted if not slots}
    leaving = [node_id(each.name) for each in change.nodes if each.shard in going]
    for node in change.nodes:
        if node.shard not in going:
            known = _look(nodes[node.machine])
            nodes[node.machine].ask_all([("CLUSTER", "FORGET", each) for each in leaving if each in known])
