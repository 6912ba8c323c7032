"""A cache in cluster mode through the provider: what it makes, what it changes in place, and what replaces it."""

from typing import Any

import pytest

from tests.plan.lab_api_server import ApiServer
from tests.plan.provider_client import Made, ProviderClient
from tests.plan.provider_world import World
from tests.plan.test_provider_data import CACHE, TOKEN, machine, make_cache


class Cluster:
    """Two shards with a replica each, whose machines are this test."""

    def __init__(self, api: ApiServer, provider: ProviderClient, world: World) -> None:
        self._api = api
        self.made = Made(
            provider,
            CACHE,
            {
                "description": "a cluster",
                "engineVersion": "7.1",
                "nodeType": "cache.t4g.micro",
                "numNodeGroups": 2,
                "replicasPerNodeGroup": 1,
                "automaticFailoverEnabled": True,
                "subnetGroupName": world.cache_subnets(),
                "parameterGroupName": world.cache_parameters(cluster_enabled="yes"),
                "transitEncryptionEnabled": True,
                "authToken": TOKEN,
            },
        )
        self.done()

    def machine(self) -> dict[str, Any]:
        found = machine(self._api, "replication-groups", self.made.id)
        assert found is not None
        return found

    def done(self) -> None:
        self._api.control(f"replication-groups/{self.made.id}/shape/{self.machine()['shape_version']}", "PUT", None)


@pytest.fixture
def cluster(api: ApiServer, provider: ProviderClient, world: World) -> Cluster:
    return Cluster(api, provider, world)


def test_a_cluster_has_one_endpoint_and_no_primary(cluster: Cluster) -> None:
    state = cluster.made.state
    assert state["clusterEnabled"] is True
    assert state["configurationEndpointAddress"].startswith(f"clustercfg.{cluster.made.id}.")
    assert not {"primaryEndpointAddress", "readerEndpointAddress"} & state.keys()
    assert (len(state["memberClusters"]), state["port"]) == (4, 6379)
    identifier, _, inputs = cluster.made.read()
    assert (identifier, inputs) == (cluster.made.id, cluster.made.inputs), "nothing has drifted"


def test_shards_and_replicas_are_added_in_place(cluster: Cluster) -> None:
    new = {"numNodeGroups": 3, "replicasPerNodeGroup": 2}
    assert cluster.made.diff(cluster.made.changed(new)).replaces == set()
    cluster.made.update(**new)
    shards = [node["shard"] for node in cluster.machine()["nodes"]]
    assert shards == ["0001"] * 3 + ["0002"] * 3 + ["0003"] * 3
    assert len(cluster.made.state["memberClusters"]) == 9
    cluster.done()
    cluster.made.update(replicasPerNodeGroup=0)
    assert len(cluster.machine()["nodes"]) == 3


def test_the_last_shards_go(cluster: Cluster) -> None:
    cluster.made.update(numNodeGroups=1)
    assert [shard["id"] for shard in cluster.machine()["shards"] if not shard["wanted"]] == ["0002"]
    cluster.done()
    assert [node["shard"] for node in cluster.machine()["nodes"]] == ["0001", "0001"]


def test_what_has_no_shards_becomes_a_cluster_as_another_one_only(
    cluster: Cluster, provider: ProviderClient, world: World
) -> None:
    plain = make_cache(provider, world)
    assert plain.state["clusterEnabled"] is False
    sharded = {"numCacheClusters": None, "numNodeGroups": 2, "replicasPerNodeGroup": 1}
    assert plain.diff(plain.changed(sharded)).replaces == {"numNodeGroups"}
    back = {"numCacheClusters": 2, "numNodeGroups": None, "replicasPerNodeGroup": None}
    assert cluster.made.diff(cluster.made.changed(back)).replaces == {"numCacheClusters"}
