"""A real Redis Cluster on machines: it forms, takes a shard more while it has keys, and outlives a primary."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest

from lab.api import hash_slots
from lab.controller import cluster
from lab.controller.plan import ClusterNode, Reshape
from lab.machines import image, machine
from lab.machines.recipe import BASE
from lab.machines.services import redis, redis_cluster
from lab.machines.services.redis_cluster import Cluster, Member
from lab.machines.services.redis_connection import Connection, RedisError, connect, socket_of
from tests.machines.machine_host import MachineHost, machine_host

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

DOMAIN, TOKEN, SECRET = "shop.abc123.use1.cache.amazonaws.com", "a-token!of#sixteen$", "the-nodes-own-password"
KEYS = 300
ASK = """\
import socket, ssl, sys
address, name, *commands = sys.argv[1:]
s = ssl.create_default_context().wrap_socket(socket.create_connection((address, 6379), 5), server_hostname=name)
for command in commands:
    s.sendall(command.encode() + b"\\r\\n")
    print(s.recv(4096))
"""


def quiet(_: str) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@dataclasses.dataclass
class Nodes:
    """Two shards, the first with a replica, and room for a third one. By machine: shard and address."""

    host: MachineHost
    there: dict[str, tuple[str, str]]
    primaries: dict[str, str]
    slots: dict[str, str]

    def name(self, node: str) -> str:
        return f"{node}.{DOMAIN}"

    def start(self, *nodes: str) -> None:
        certificate, key = self.host.certificate(f"*.{DOMAIN}")
        members = tuple(
            Member(
                self.name(node), address, None if self.primaries[shard] == node else self.name(self.primaries[shard])
            )
            for node, (shard, address) in self.there.items()
        )
        for node in nodes:
            shard, address = self.there[node]
            own = self.slots[shard] if self.primaries[shard] == node else ""
            mine = Cluster(self.name(node), members, own, int(shard) if own else 0)
            server = redis.RedisServer(certificate, key, (TOKEN,), SECRET, cluster=mine)
            self.host.start(node, address, "redis", redis.user_data(server))
        for node in nodes:
            assert self.host.booted(node).state is machine.State.READY, machine.boot_failure(node, self.host.machines)

    @contextlib.contextmanager
    def connected(self) -> Generator[Mapping[str, Connection]]:
        with contextlib.ExitStack() as stack:
            yield {
                node: stack.enter_context(connect(socket_of(node, self.host.machines), SECRET)) for node in self.there
            }

    def reshape(self, wanted: Mapping[str, str]) -> None:
        nodes = tuple(
            ClusterNode(node, self.name(node), address, shard, self.primaries[shard] == node)
            for node, (shard, address) in self.there.items()
        )
        change = Reshape(1, 6379, nodes, tuple(wanted.items()))

        def done() -> bool:
            with self.connected() as connections:
                return cluster.reshape(change, connections, SECRET).done

        until(done, "the cluster is never what it should be")
        self.slots = dict(wanted)

    def ask(self, node: str, *words: str | int) -> Any:
        with connect(socket_of(node, self.host.machines), SECRET) as connection:
            return connection.ask(*words)

    def keys(self) -> dict[str, int]:
        return {shard: self.ask(node, "DBSIZE") for shard, node in self.primaries.items()}


def until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.3)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Generator[Nodes]:
    images = image.ensure([BASE, redis.IMAGE], quiet)
    with machine_host(tmp_path_factory.mktemp("host"), images) as host:
        there = {"c-1-1": ("0001", "10.99.0.41"), "c-1-2": ("0001", "10.99.0.42"), "c-2-1": ("0002", "10.99.0.43")}
        shared = {shard: hash_slots.show(own) for shard, own in hash_slots.share(["0001", "0002"]).items()}
        made = Nodes(host, there, {"0001": "c-1-1", "0002": "c-2-1"}, shared)
        made.start(*there)
        host.start("i-client", "10.99.0.49")
        assert host.booted("i-client").state is machine.State.READY, machine.boot_failure("i-client", host.machines)
        made.reshape(shared)
        yield made


def test_clients_are_told_names_and_a_node_s_own_commands_are_not_theirs(nodes: Nodes) -> None:
    def ask(*commands: str) -> list[str]:
        where = (nodes.there["c-1-1"][1], nodes.name("c-1-1"))
        return nodes.host.output("i-client", "python3", "-c", ASK, *where, f"AUTH {TOKEN}", *commands).splitlines()[1:]

    (said,) = ask("CLUSTER SLOTS")
    assert all(nodes.name(node) in said for node in ("c-1-1", "c-2-1")), "a certificate has names"
    assert ":6379" in said
    (moved,) = ask("GET foo")  # slot 12182
    assert f"MOVED 12182 {nodes.name('c-2-1')}:6379" in moved
    for command in ("CLUSTER SETSLOT 1 STABLE", "CLUSTER FAILOVER", "CLUSTER MEET 10.99.0.9 6379", "MIGRATE a 1 b 0 9"):
        assert "NOPERM" in ask(command)[0], command


def test_slots_and_keys_move_to_a_shard_that_is_new(nodes: Nodes) -> None:
    with nodes.connected() as connections:
        owners = {node: connections[node] for node in nodes.primaries.values()}
        for number in range(KEYS):
            _somewhere(owners, f"key-{number}", str(number))
    before = nodes.keys()
    assert sum(before.values()) == KEYS
    nodes.there["c-3-1"] = ("0003", "10.99.0.44")
    nodes.primaries["0003"], nodes.slots["0003"] = "c-3-1", ""
    nodes.start("c-3-1")
    present = {shard: hash_slots.parse(own) for shard, own in nodes.slots.items()}
    after = hash_slots.spread(present, list(present))
    nodes.reshape({shard: hash_slots.show(own) for shard, own in after.items()})
    keys = nodes.keys()
    assert sum(keys.values()) == KEYS, f"{keys}: a key is lost, or there twice"
    assert keys["0003"] > KEYS / 5, keys


def test_a_replica_takes_over_and_the_node_that_is_made_anew_follows_it(nodes: Nodes) -> None:
    def follows(node: str, primary: str) -> bool:
        role = nodes.ask(node, "ROLE")
        return role[0] == b"slave" and role[1].decode() == nodes.there[primary][1] and role[3] == b"connected"

    until(lambda: follows("c-1-2", "c-1-1"), "the replica has nothing yet")
    keys = nodes.keys()["0001"]
    nodes.host.stop("c-1-1")
    assert nodes.ask("c-1-2", "CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
    nodes.primaries["0001"] = "c-1-2"
    assert nodes.keys()["0001"] == keys, "the replica has what the primary had"
    nodes.start("c-1-1")
    until(lambda: follows("c-1-1", "c-1-2"), "the node that is made anew follows nobody")
    nodes.reshape(nodes.slots)
    view = redis_cluster.read_nodes(nodes.ask("c-2-1", "CLUSTER", "NODES").decode())
    assert len(view) == 4, "it is the same node to the others"
    assert not [seen for seen in view.values() if seen.flags & {"fail", "noaddr", "handshake"}]


def _somewhere(owners: Mapping[str, Connection], key: str, value: str) -> None:
    """Write where the slot is."""
    for connection in owners.values():
        with contextlib.suppress(RedisError):  # MOVED
            connection.ask("SET", key, value)
            return
    raise AssertionError(f"nobody takes {key}")
