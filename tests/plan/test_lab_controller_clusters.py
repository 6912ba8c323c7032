"""From what the API says of a cache in cluster mode to machines, names and what each node is told at its boot."""

from pathlib import Path
from typing import Any

import pytest

from lab.controller.plan import Failover, Primary, Reshape
from lab.machines.services.redis_cluster import node_id
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_caches import Controlled
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import create_cluster


class Cluster(Controlled):
    """Two shards of two nodes, and the controller's view of them."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__(server, create_cluster(server, Fleet(server), shards=2)["ReplicationGroupId"])

    def led_to(self) -> set[str]:
        """By the configuration endpoint."""
        records, endpoint = self.wanted().records.splitlines(), self.described()["endpoint"]
        return {address for address, *names in map(str.split, records) if endpoint in names}

    def node(self, short: str) -> dict[str, Any]:
        return next(node for node in self.described()["nodes"] if node["id"] == f"{self.name}-{short}")

    def reshape(self) -> Reshape:
        change = self.service().change
        assert isinstance(change, Reshape), change
        return change

    def finish(self) -> None:
        self.api.put(f"replication-groups/{self.name}/shape/{self.reshape().version}")

    def told_to(self, short: str, certificates: Path) -> str:
        return self.told(self.node(short)["address"], certificates)


@pytest.fixture(scope="module")
def cluster(own_api: ApiServer) -> Cluster:
    return Cluster(own_api)


def test_a_new_cluster_is_made_one_of_its_nodes_before_it_is_available(cluster: Cluster) -> None:
    change = cluster.reshape()
    assert dict(change.wanted) == {"0001": "0-8191", "0002": "8192-16383"}
    assert [(node.machine, node.shard, node.primary) for node in change.nodes] == [
        (f"cache-{cluster.name}-{shard}-{node}", shard, node == "001")
        for shard in ("0001", "0002")
        for node in ("001", "002")
    ]
    assert cluster.service().machines == tuple(node.machine for node in change.nodes)
    cluster.finish()
    assert (cluster.service().change, cluster.service().status) == (None, "available")


def test_the_configuration_endpoint_leads_to_every_node(cluster: Cluster) -> None:
    group, records = cluster.described(), [line.split() for line in cluster.wanted().records.splitlines()]
    assert group["endpoint"].startswith("clustercfg.")
    assert cluster.led_to() == {node["address"] for node in group["nodes"]}
    for node in group["nodes"]:
        assert [address for address, *names in records if node["endpoint"] in names] == [node["address"]]


def test_a_node_is_told_all_members_and_a_primary_its_slots(cluster: Cluster, tmp_path: Path) -> None:
    primary, replica = (cluster.told_to(f"0002-00{number}", tmp_path) for number in (1, 2))
    for told in (primary, replica):
        assert all(node_id(node["endpoint"]) in told for node in cluster.described()["nodes"])
        assert "cluster-enabled yes" in told
    assert "connected 8192-16383" in primary
    assert "connected 8192" not in replica
    own = cluster.node("0002-001")["endpoint"]
    assert f"myself,slave {node_id(own)}" in replica
    assert "cluster-announce-hostname " + own in primary


def test_a_shard_fails_over_by_itself(cluster: Cluster, tmp_path: Path) -> None:
    of, new = (f"cache-{cluster.name}-0002-00{number}" for number in (1, 2))
    assert cluster.service().primaries[1] == Primary(of, ((new, new.removeprefix("cache-")),))
    cluster.api.put(f"replication-groups/{cluster.name}/failover/{new.removeprefix('cache-')}")
    change = cluster.service().change
    assert isinstance(change, Failover), change
    assert (change.former, change.cluster) == (of, True)
    assert [machine for _, machine in change.machines] == [of, new], "the other shard has nothing to do with it"
    cluster.api.put(f"replication-groups/{cluster.name}/primary/{change.node}")
    assert [each.machine for each in cluster.service().primaries] == [f"cache-{cluster.name}-0001-001", new]
    assert f"myself,slave {node_id(cluster.node('0002-002')['endpoint'])}" in cluster.told_to("0002-001", tmp_path)
    assert "connected 8192-16383" in cluster.told_to("0002-002", tmp_path), "also when all have to be made anew"


def test_a_new_shard_s_nodes_are_started_and_then_slots_move_and_the_api_is_told(cluster: Cluster) -> None:
    cluster.aws.modify_replication_group_shard_configuration(
        ReplicationGroupId=cluster.name, NodeGroupCount=3, ApplyImmediately=True
    )
    assert len(cluster.wanted().machines) == 6
    assert len(cluster.led_to()) == 4, "a new node knows nobody yet, and nobody is led to it"
    wanted_slots = dict(cluster.reshape().wanted)
    assert set(wanted_slots) == {"0001", "0002", "0003"}
    cluster.api.tell(f"replication-groups/{cluster.name}/slots", wanted_slots)
    assert {shard["id"]: shard["slots"] for shard in cluster.described()["shards"]} == wanted_slots
    assert len(cluster.led_to()) == 6
    cluster.finish()
    assert cluster.service().status == "available"
