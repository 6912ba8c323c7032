"""What a node of a Redis Cluster begins with and says, and how slots move, also when that is cut short anywhere."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.api import hash_slots
from lab.controller import cluster
from lab.controller.plan import ClusterNode, Reshape
from lab.machines.services import redis, redis_cluster
from lab.machines.services.redis_cluster import Cluster, Member, node_id
from lab.machines.services.redis_connection import Connection, RedisError

MEMBERS = (Member("a.test", "10.0.0.1"), Member("b.test", "10.0.0.2", "a.test"), Member("c.test", "10.0.0.3"))
SERVER = redis.RedisServer("CERT", "KEY", ("a-token!of#sixteen$",), "nodes-own")


def test_a_node_begins_with_its_own_slots_and_knows_the_others() -> None:
    first = redis_cluster.nodes_file(Cluster("a.test", MEMBERS, "0-99,200", 1), 6379).splitlines()
    assert first[0] == f"{node_id('a.test')} 10.0.0.1:6379@16379,a.test myself,master - 0 0 1 connected 0-99 200"
    assert first[1].startswith(f"{node_id('b.test')} 10.0.0.2:6379@16379,b.test slave {node_id('a.test')} ")
    assert first[3] == "vars currentEpoch 1 lastVoteEpoch 0"
    replica = redis_cluster.nodes_file(Cluster("b.test", MEMBERS), 6379).splitlines()
    assert " master - 0 0 0 connected" in replica[0], "whose slots are whose, they say themselves"
    assert replica[1].split(" ")[2] == "myself,slave"


def test_a_node_that_is_made_anew_is_the_same_node_to_the_others() -> None:
    assert node_id("a.test") == node_id("a.test") != node_id("b.test")
    assert len(node_id("a.test")) == 40


def test_a_cluster_talks_by_tls_and_by_names_and_leaves_who_is_the_primary_to_the_lab() -> None:
    lines = redis.configuration(replace(SERVER, cluster=Cluster("b.test", MEMBERS))).splitlines()
    assert {"cluster-enabled yes", "tls-cluster yes", "cluster-replica-no-failover yes"} <= set(lines)
    assert {"cluster-announce-hostname b.test", "cluster-announce-ip 10.0.0.2"} <= set(lines)
    assert "cluster-preferred-endpoint-type hostname" in lines, "a certificate has names"
    (default,) = [line for line in lines if line.startswith("user default")]
    assert {"-cluster|setslot", "-cluster|failover", "-migrate"} <= set(default.split()), "these are ElastiCache's own"
    assert not [line for line in lines if line.startswith("rename-command migrate")], "the nodes need it"
    assert "cluster-enabled" not in redis.configuration(SERVER)


def test_what_a_node_says_of_the_others_is_read_with_slots_on_their_way() -> None:
    one, two = node_id("a.test"), node_id("b.test")
    said = (
        f"{one} 10.0.0.1:0@16379,a.test myself,master - 0 0 1 connected 0-99 200 [99->-{two}]\n"
        f"{two} 10.0.0.2:0@16379 slave,fail {one} 0 0 1 connected\n"
    )
    found = redis_cluster.read_nodes(said)
    assert (found[one].name, found[two].name) == ("a.test", ""), "that of the second is not known yet"
    assert found[one].slots == {*range(100), 200}
    assert (found[two].primary, found[two].flags) == (one, {"slave", "fail"})


def test_answers_to_many_commands_are_read_to_the_end_before_a_refusal_is_raised() -> None:
    sent, answers = io.BytesIO(), io.BytesIO(b"+OK\r\n-ERR no\r\n*2\r\n$3\r\na\r\n\r\n$-1\r\n:7\r\n")

    class Both:
        write, flush = sent.write, sent.flush
        readline, read = answers.readline, answers.read

    node = Connection(Both())
    with pytest.raises(RedisError, match="ERR no"):
        node.ask_all([("PING",), ("NONSENSE",), ("GETKEYSINSLOT", 1)])
    assert node.ask("DBSIZE") == 7, "an answer is left over"
    assert sent.getvalue().endswith(b"*1\r\n$6\r\nDBSIZE\r\n")
    with pytest.raises(ConnectionError):
        node.ask("PING")


class KilledError(Exception):
    """Whoever moves slots ends here."""


@dataclass
class World:
    """Redis Cluster, as far as moving slots goes: each node's own view, what it has, and a few slots' keys."""

    names: dict[str, str]
    slots: dict[str, set[int]]
    keys: dict[str, dict[int, set[str]]]
    open: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    known: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    left: int = 10**9
    """Commands until the one that asks is killed."""

    def node(self, machine: str) -> "Fake":
        return Fake(self, machine)

    def everything(self) -> Counter[str]:
        return Counter(key for each in self.keys.values() for keys in each.values() for key in keys)


@dataclass
class Fake:
    """One node of it."""

    world: World
    machine: str

    def ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        return [self.ask(*command) for command in commands]

    def ask(self, *words: Any) -> Any:
        world, me = self.world, self.machine
        world.left -= 1
        if world.left < 0:
            raise KilledError
        by_id = {node_id(name): machine for machine, name in world.names.items()}
        match words:
            case ("CLUSTER", "NODES"):
                return "".join(map(self._line, sorted(world.known[me]))).encode()
            case ("CLUSTER", "INFO"):
                return b"cluster_state:ok\r\n"
            case ("CLUSTER", "MEET", address, *_):
                for one, other in ((me, address), (address, me)):
                    world.known[one].add(other)
            case ("CLUSTER", "FORGET", identifier):
                world.known[me].remove(by_id[identifier])
            case ("CLUSTER", "ADDSLOTS", *slots):
                assert not [each for each in world.slots.values() if each & set(slots)], "a slot of somebody's"
                world.slots[me].update(slots)
            case ("CLUSTER", "SETSLOT", slot, "IMPORTING", _):
                assert slot not in world.slots[me], "it has the slot"
                world.open.setdefault(me, set()).add(slot)
            case ("CLUSTER", "SETSLOT", slot, "MIGRATING", identifier):
                assert slot in world.slots[me], "not its slot"
                assert slot in world.open[by_id[identifier]], "a key would be sent to who doesn't take it"
                world.open.setdefault(me, set()).add(slot)
            case ("CLUSTER", "GETKEYSINSLOT", slot, count):
                return sorted(world.keys[me].get(slot, ()))[:count]
            case ("MIGRATE", address, _, "", 0, _, "REPLACE", "AUTH2", "lab", "secret", "KEYS", *keys):
                for slot, own in world.keys[me].items():
                    for key in own & set(keys):
                        assert slot in world.open[me], "clients don't know where it goes"
                        own.remove(key)
                        world.keys[address].setdefault(slot, set()).add(key)
            case ("CLUSTER", "SETSLOT", slot, "NODE", identifier):
                new = by_id[identifier]
                assert me == new or slot in world.slots[new], "for a moment nobody has it"
                if me == new:
                    world.slots[me].add(slot)
                elif slot in world.slots[me]:
                    assert not world.keys[me].get(slot), "keys that nobody finds"
                    world.slots[me].remove(slot)
            case _:
                raise AssertionError(words)
        return "OK"

    def _line(self, machine: str) -> str:
        name = self.world.names[machine]
        # Everybody tells of everybody, but what counts is each one's own.
        slots = hash_slots.show(self.world.slots[machine]).replace(",", " ") if machine == self.machine else ""
        flags = "myself,master" if machine == self.machine else "master"
        return f"{node_id(name)} {machine}:0@16379,{name} {flags} - 0 0 1 connected {slots}".rstrip() + "\n"


def world(shards: int, extra: int = 0) -> World:
    """Nodes whose machine and address is their number; `extra` ones have nothing, and know nobody."""
    numbers = [str(number) for number in range(1, shards + extra + 1)]
    names, shared = {one: f"{one}.test" for one in numbers}, hash_slots.share(numbers[:shards])
    slots = {one: set(shared.get(one, ())) for one in numbers}
    keys = {
        one: {slot: {f"{slot}-{index}" for index in range(3)} for slot in sorted(has)[::997]}
        for one, has in slots.items()
    }
    known = {one: set(numbers[:shards]) if one in numbers[:shards] else {one} for one in numbers}
    return World(names, slots, keys, known=known)


def change(made: World, wanted: dict[str, set[int]]) -> Reshape:
    nodes = tuple(ClusterNode(one, name, one, one, primary=True) for one, name in made.names.items())
    return Reshape(2, 6379, nodes, tuple((one, hash_slots.show(slots)) for one, slots in wanted.items()))


def looks(made: World, asked: Reshape) -> int:
    """How many it takes."""
    for number in range(1, 200):
        if cluster.reshape(asked, {one: made.node(one) for one in made.names}, "secret").done:
            return number
    raise AssertionError("it is never done")


def test_a_cluster_that_is_what_it_should_be_is_seen_to_be_and_left_alone() -> None:
    made = world(2)
    before = {one: set(slots) for one, slots in made.slots.items()}
    assert looks(made, change(made, before)) == 1
    assert made.slots == before


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 35_000), max_size=3))
def test_slots_and_keys_move_to_a_new_shard_wherever_that_is_cut_short(cuts: list[int]) -> None:
    made = world(2, extra=1)
    everything, asked = made.everything(), change(made, hash_slots.spread(made.slots, list(made.names)))
    for cut in cuts:
        made.left = cut
        try:
            looks(made, asked)
        except KilledError:
            continue
    made.left = 10**9
    looks(made, asked)
    assert {one: hash_slots.show(slots) for one, slots in made.slots.items()} == dict(asked.wanted)
    assert made.everything() == everything, "a key is lost, or there twice"
    assert all(_used(keys) <= made.slots[one] for one, keys in made.keys.items())
    assert all(known == set(made.names) for known in made.known.values()), "somebody doesn't know somebody"


def _used(keys: dict[int, set[str]]) -> set[int]:
    return {slot for slot, own in keys.items() if own}


def test_a_shard_that_goes_leaves_its_slots_and_is_forgotten() -> None:
    made = world(3)
    wanted = {"3": set[int]()} | hash_slots.spread(made.slots, ["1", "2"])
    everything = made.everything()
    looks(made, change(made, wanted))
    assert made.slots["3"] == set()
    assert made.everything() == everything
    assert made.known["1"] == made.known["2"] == {"1", "2"}


def test_whoever_is_no_member_any_more_is_forgotten_and_slots_of_nobody_are_given() -> None:
    made = world(2)
    made.names["9"], made.slots["9"], made.known["9"] = "9.test", set(), set()
    made.known["1"].add("9")
    lost, made.keys["2"] = made.slots["2"], {}
    made.slots["2"] = set()
    asked = change(made, {"1": made.slots["1"], "2": lost})
    members = replace(asked, nodes=tuple(each for each in asked.nodes if each.machine != "9"))
    looks(made, members)
    assert made.known["1"] == {"1", "2"}
    assert made.slots["2"] == lost
