"""Redis Cluster as the lab plays ElastiCache's cluster mode: what a node knows of the others, and what it says. Pure.

A node is known by an id that is made of its name, so one that is made anew, empty, is the same node to the others. It
begins with a list of all of them; whose slots are whose it hears from those that have them.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.api import hash_slots

BUS: Final = 10000
"""The port of the nodes' own talk, above the clients' one."""


@dataclass(frozen=True)
class Member:
    """A node, by the name of its endpoint; `primary` is the name of the one that it is a replica of."""

    name: str
    address: str
    primary: str | None = None


@dataclass(frozen=True)
class Cluster:
    """The cluster that a node begins in: its own name, and all members. `slots` are a primary's at first.

    `epoch` is what tells whose word counts where two have one slot: the highest, and so never a node's that is made
    anew.
    """

    own: str
    members: tuple[Member, ...]
    slots: str = ""
    epoch: int = 0


@dataclass(frozen=True)
class Seen:
    """A node as one of them sees it. `slots` has its slots, `primary` the id of whom it is a replica of.

    `name` is empty until the one that looks has heard it: it would send clients to nowhere.
    """

    name: str
    flags: frozenset[str]
    primary: str | None
    slots: frozenset[int]


def node_id(name: str) -> str:
    """Of the node whose endpoint has this name: 40 hex digits, as Redis wants it."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def nodes_file(cluster: Cluster, port: int) -> str:
    """What a node finds at its first start: Redis's cluster-config-file."""
    lines = [_line(cluster, member, port) for member in cluster.members]
    return "".join(f"{line}\n" for line in (*lines, f"vars currentEpoch {cluster.epoch} lastVoteEpoch 0"))


def _line(cluster: Cluster, member: Member, port: int) -> str:
    own = member.name == cluster.own
    flags = ("myself," if own else "") + ("slave" if member.primary else "master")
    primary = node_id(member.primary) if member.primary else "-"
    address = f"{member.address}:{port}@{port + BUS},{member.name}"
    epoch, slots = (cluster.epoch, cluster.slots.replace(",", " ")) if own else (0, "")
    return f"{node_id(member.name)} {address} {flags} {primary} 0 0 {epoch} connected {slots}".rstrip()


def configuration(cluster: Cluster) -> str:
    """What redis.conf says besides.

    Who becomes a primary is said by the lab, which knows what runs: a vote needs three shards. A part of the slots
    without a node leaves the rest in service, as ElastiCache has it.
    """
    address = next(member.address for member in cluster.members if member.name == cluster.own)
    return f"""\
tls-cluster yes
cluster-enabled yes
cluster-config-file nodes.conf
cluster-announce-ip {address}
cluster-announce-hostname {cluster.own}
cluster-preferred-endpoint-type hostname
cluster-allow-replica-migration no
cluster-replica-no-failover yes
cluster-require-full-coverage no
"""


def read_nodes(text: str) -> Mapping[str, Seen]:
    """The answer to CLUSTER NODES, by id. Slots that are on their way are their old node's."""
    found: dict[str, Seen] = {}
    for line in text.splitlines():
        identifier, address, flags, primary, _, _, _, _, *slots = line.split(" ")
        owned = hash_slots.parse(",".join(slot for slot in slots if not slot.startswith("[")))
        found[identifier] = Seen(
            address.partition(",")[2].partition(",")[0],
            frozenset(flags.split(",")),
            None if primary == "-" else primary,
            frozenset(owned),
        )
    return found
