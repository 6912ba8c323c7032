"""From what the API says of a cache to machines, names, ways between them and what each is told at its boot."""

from dataclasses import replace
from pathlib import Path

import pytest
import requests

from lab.controller.plan import Failover, ParameterChange, TokenChange
from lab.controller.wanted import wanted
from lab.network.model import Direction, Group
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_caches import Controlled
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import TOKEN, create_cache


class Cache(Controlled):
    """A cache with two nodes, and the controller's view of it."""

    def __init__(self, server: ApiServer) -> None:
        super().__init__(server, create_cache(server, Fleet(server), nodes=2)["ReplicationGroupId"])
        self.aws.modify_replication_group(ReplicationGroupId=self.name, AutomaticFailoverEnabled=True)
        server.control(f"replication-groups/{self.name}", "PUT", {"status": "available"})

    def leads_to(self, name: str) -> str:
        lines = [line.split() for line in self.wanted().records.splitlines()]
        return next(address for address, *names in lines if self.described()[name] in names)


@pytest.fixture(scope="module")
def cache(own_api: ApiServer) -> Cache:
    return Cache(own_api)


def test_a_node_has_the_cpus_of_its_type_where_the_lab_has_slow_ones(cache: Cache) -> None:
    assert {machine.cpus for machine in cache.wanted().machines} == {None}, "all of the host's"
    slow = wanted(cache.api.read(), replace(cache.config, core_per_vcpu=0.1), Path("/authority"))
    assert {machine.cpus for machine in slow.machines} == {0.2}, "two for each"


def test_each_node_is_a_machine_and_they_reach_each_other(cache: Cache) -> None:
    should = cache.wanted()
    nodes = {f"cache-{node['id']}": node["address"] for node in cache.described()["nodes"]}
    assert {machine.id: machine.address for machine in should.machines} == nodes
    assert cache.service().machines == tuple(nodes), "they are one service, available when all are ready"
    (own,) = {rule.group for rule in should.network.rules if rule.peer == Group(rule.group)}
    ways = {rule.direction for rule in should.network.rules if rule.group == own}
    assert ways == set(Direction), "replication takes both, beside the groups that users see"
    assert all(own in machine.groups for machine in should.network.machines)


def test_a_replica_is_told_whom_to_follow_and_all_are_told_the_token(cache: Cache, tmp_path: Path) -> None:
    primary, replica = (node["address"] for node in cache.described()["nodes"])
    assert f"replicaof {primary} 6379" in cache.told(replica, tmp_path)
    assert "replicaof" not in cache.told(primary, tmp_path).replace("-replicaof", "")
    assert all(TOKEN in cache.told(address, tmp_path) for address in (primary, replica))


def test_a_failover_is_carried_out_and_then_the_names_change_places(cache: Cache, tmp_path: Path) -> None:
    old, new = cache.described()["nodes"]
    assert (cache.leads_to("endpoint"), cache.leads_to("reader_endpoint")) == (old["address"], new["address"])

    cache.aws.test_failover(ReplicationGroupId=cache.name, NodeGroupId="0001")
    change = cache.service().change
    assert isinstance(change, Failover), change
    assert (change.node, change.address) == (new["id"], new["address"])
    assert dict(change.machines) == {node["address"]: f"cache-{node['id']}" for node in (old, new)}
    assert cache.leads_to("endpoint") == old["address"], "until the new one takes writes"

    cache.api.put(f"replication-groups/{cache.name}/primary/{change.node}")
    assert cache.service().change is None
    assert (cache.leads_to("endpoint"), cache.leads_to("reader_endpoint")) == (new["address"], old["address"])
    assert f"replicaof {new['address']} 6379" in cache.told(old["address"], tmp_path), "also when it is made anew"


def test_the_primary_is_gone_and_a_replica_is_made_the_primary(cache: Cache) -> None:
    service = cache.service()
    primary = next(f"cache-{node['id']}" for node in cache.described()["nodes"] if node["role"] == "primary")
    (own,) = service.primaries
    ((machine, node),) = own.standbys
    assert (own.machine, machine) == (primary, f"cache-{node}")
    with pytest.raises(requests.HTTPError, match="404"):
        cache.api.put(f"replication-groups/{cache.name}/failover/{primary.removeprefix('cache-')}")
    cache.api.put(f"replication-groups/{cache.name}/failover/{node}")
    change = cache.service().change
    assert isinstance(change, Failover), change
    assert change.node == node
    cache.api.put(f"replication-groups/{cache.name}/primary/{node}")
    assert [each.machine for each in cache.service().primaries] == [machine]
    assert cache.leads_to("endpoint") == change.address


def test_tokens_are_carried_to_every_node(cache: Cache) -> None:
    cache.aws.modify_replication_group(
        ReplicationGroupId=cache.name, AuthToken=TOKEN[::-1], AuthTokenUpdateStrategy="ROTATE", ApplyImmediately=True
    )
    change = cache.service().change
    assert isinstance(change, TokenChange), change
    assert change.machines == cache.service().machines
    cache.api.put(f"replication-groups/{cache.name}/tokens/{change.version}")
    assert cache.service().change is None


def test_parameters_are_carried_to_every_node_and_are_in_force_when_all_have_them(cache: Cache, tmp_path: Path) -> None:
    def status() -> set[str]:
        members = cache.aws.describe_cache_clusters()["CacheClusters"]
        return {member["CacheParameterGroup"]["ParameterApplyStatus"] for member in members}

    assert cache.service().change is None
    parameters = [{"ParameterName": "maxmemory-policy", "ParameterValue": "allkeys-lfu"}]
    cache.aws.modify_cache_parameter_group(CacheParameterGroupName=cache.name, ParameterNameValues=parameters)
    change = cache.service().change
    assert isinstance(change, ParameterChange), change
    assert dict(change.parameters) == {"maxmemory-policy": "allkeys-lfu"}
    assert change.machines == cache.service().machines
    assert status() == {"applying"}
    address = cache.described()["nodes"][0]["address"]
    assert "allkeys-lfu" in cache.told(address, tmp_path), "also when it is made anew"
    with pytest.raises(requests.HTTPError, match="404"):
        cache.api.put(f"replication-groups/{cache.name}/parameters/another")
    cache.api.put(f"replication-groups/{cache.name}/parameters/{change.version}")
    assert cache.service().change is None
    assert status() == {"in-sync"}
