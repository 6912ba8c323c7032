"""A replication group in cluster mode, as ElastiCache has it: shards, slots and nodes, and their change."""

from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import create_cache, create_cluster, machine_of


@pytest.fixture(scope="module")
def fleet(api: ApiServer) -> Fleet:
    return Fleet(api)


class Cluster:
    """Two shards of two nodes, whose machines are this test."""

    def __init__(self, api: ApiServer, fleet: Fleet) -> None:
        self._api, self.aws = api, api.client("elasticache")
        self.name = create_cluster(api, fleet, shards=2)["ReplicationGroupId"]
        self.done(f"shape/{self.machine()['shape_version']}")

    def described(self) -> dict[str, Any]:
        return self.aws.describe_replication_groups(ReplicationGroupId=self.name)["ReplicationGroups"][0]

    def machine(self) -> dict[str, Any]:
        return machine_of(self._api, "replication-groups", self.name)

    def done(self, what: str, told: Any = None) -> None:
        self._api.control(f"replication-groups/{self.name}/{what}", "PUT", told)

    def slots(self) -> dict[str, str]:
        return {shard["NodeGroupId"]: shard["Slots"] for shard in self.described()["NodeGroups"]}

    def reshard(self, count: int, **other: Any) -> None:
        self.aws.modify_replication_group_shard_configuration(
            ReplicationGroupId=self.name, NodeGroupCount=count, ApplyImmediately=True, **other
        )

    def scale(self, what: str, **other: Any) -> None:
        getattr(self.aws, f"{what}_replica_count")(ReplicationGroupId=self.name, ApplyImmediately=True, **other)


@pytest.fixture
def cluster(api: ApiServer, fleet: Fleet) -> Cluster:
    return Cluster(api, fleet)


def number(slots: str) -> int:
    """How many a text of slots has."""
    edges = [part.split("-") for part in slots.split(",") if part]
    return sum(int(edge[-1]) - int(edge[0]) + 1 for edge in edges)


def test_a_cluster_has_shards_with_all_slots_and_one_endpoint_for_all(cluster: Cluster) -> None:
    group = cluster.described()
    assert group["ClusterEnabled"] is True
    assert cluster.slots() == {"0001": "0-8191", "0002": "8192-16383"}
    domain = group["ConfigurationEndpoint"]["Address"].removeprefix("clustercfg.")
    assert domain.startswith(f"{cluster.name}."), domain
    assert domain.endswith(".use1.cache.amazonaws.com"), domain
    assert group["ConfigurationEndpoint"]["Port"] == 6379
    assert not [shard for shard in group["NodeGroups"] if "PrimaryEndpoint" in shard or "ReaderEndpoint" in shard]
    names = [f"{cluster.name}-{shard}-{node}" for shard in ("0001", "0002") for node in ("001", "002")]
    assert group["MemberClusters"] == names
    members = [member for shard in group["NodeGroups"] for member in shard["NodeGroupMembers"]]
    assert [member["CacheClusterId"] for member in members] == names
    assert not [member for member in members if "CurrentRole" in member], "a client asks the cluster"
    found = cluster.aws.describe_cache_clusters(CacheClusterId=names[3])["CacheClusters"][0]
    assert found["ReplicationGroupId"] == cluster.name


def test_the_lab_learns_each_node_s_shard_and_role(cluster: Cluster, fleet: Fleet) -> None:
    machine = cluster.machine()
    assert machine["cluster"] is True
    assert (machine["endpoint"], machine["reader_endpoint"]) == (
        cluster.described()["ConfigurationEndpoint"]["Address"],
        None,
    )
    nodes = machine["nodes"]
    assert [(node["shard"], node["role"]) for node in nodes] == [
        (shard, role) for shard in ("0001", "0002") for role in ("primary", "replica")
    ]
    assert all(node["endpoint"].startswith(f"{node['id']}.{cluster.name}.") for node in nodes)
    assert len({node["address"] for node in nodes}) == 4
    for shard in (nodes[:2], nodes[2:]):
        assert {node["subnet"] for node in shard} == set(fleet.private), "a replica is in another zone"


def test_a_cluster_is_available_when_its_nodes_are_one(api: ApiServer, fleet: Fleet) -> None:
    name = create_cluster(api, fleet, shards=2)["ReplicationGroupId"]
    machine = machine_of(api, "replication-groups", name)
    assert (machine["status"], machine["shape_known"]) == ("creating", 0)
    with pytest.raises(requests.HTTPError, match="404"):
        api.control(f"replication-groups/{name}/shape/7", "PUT", None)
    api.control(f"replication-groups/{name}/shape/{machine['shape_version']}", "PUT", None)
    assert machine_of(api, "replication-groups", name)["status"] == "available"


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"AutomaticFailoverEnabled": False}, "InvalidParameterValue", "with auto failover turned off"),
        ({"CacheParameterGroupName": "default.redis7"}, "InvalidParameterCombination", "should be enabled in paramet"),
        ({"ReplicasPerNodeGroup": 6}, "InvalidParameterValue", "replicas per node group must be 0 to 5"),
        ({"ReplicasPerNodeGroup": 0, "MultiAZEnabled": True}, "InvalidParameterCombination", "at least 1 replica"),
    ],
)
def test_a_cluster_that_elasticache_does_not_make_is_refused(
    api: ApiServer, fleet: Fleet, given: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(ClientError, match=rf"\({code}\).*{words}"):
        create_cluster(api, fleet, shards=2, **given)


def test_a_cluster_of_one_shard_without_a_replica_is_one(api: ApiServer, fleet: Fleet) -> None:
    group = create_cluster(api, fleet, shards=1, replicas=0, CacheParameterGroupName="default.redis7.cluster.on")
    assert (group["ClusterEnabled"], len(group["MemberClusters"])) == (True, 1)
    assert group["NodeGroups"][0]["Slots"] == "0-16383"


def test_cluster_mode_stays_what_it_was(api: ApiServer, fleet: Fleet, cluster: Cluster) -> None:
    modify = cluster.aws.modify_replication_group
    with pytest.raises(ClientError, match="Turning off automatic failover"):
        modify(ReplicationGroupId=cluster.name, AutomaticFailoverEnabled=False)
    plain = create_cache(api, fleet, nodes=2)["ReplicationGroupId"]
    for group, parameters, words in ((cluster.name, plain, "be enabled"), (plain, cluster.name, "be disabled")):
        with pytest.raises(ClientError, match=f"Cluster mode should {words} in parameter group"):
            modify(ReplicationGroupId=group, CacheParameterGroupName=parameters)
    with pytest.raises(ClientError, match="is not in cluster mode"):
        cluster.aws.modify_replication_group_shard_configuration(
            ReplicationGroupId=plain, NodeGroupCount=2, ApplyImmediately=True
        )


def test_a_failover_is_of_one_shard(cluster: Cluster) -> None:
    with pytest.raises(ClientError, match="Node group 0003 not found"):
        cluster.aws.test_failover(ReplicationGroupId=cluster.name, NodeGroupId="0003")
    cluster.aws.test_failover(ReplicationGroupId=cluster.name, NodeGroupId="0002")
    new = cluster.machine()["next_primary"]
    assert new == f"{cluster.name}-0002-002"
    cluster.done(f"primary/{new}")
    primaries = [node["id"] for node in cluster.machine()["nodes"] if node["role"] == "primary"]
    assert primaries == [f"{cluster.name}-0001-001", new]
    assert cluster.described()["Status"] == "available"
    asked = {"SourceIdentifier": cluster.name, "SourceType": "replication-group", "Duration": 5}
    told = [event["Message"] for event in cluster.aws.describe_events(**asked)["Events"]]
    assert told == [
        "Test Failover API called for node group 0002",
        f"Failover from primary node {cluster.name}-0002-001 to replica node {new} completed",
    ], "nothing else tells a client of the API"
    assert not cluster.aws.describe_events(**asked | {"SourceIdentifier": "another"})["Events"]


def test_a_third_shard_takes_a_third_of_the_slots_and_the_group_says_how_far_it_is(cluster: Cluster) -> None:
    before = cluster.machine()["shape_version"]
    cluster.reshard(3)
    machine = cluster.machine()
    assert (machine["shape_version"], cluster.described()["Status"]) == (before + 1, "modifying")
    assert [node["id"] for node in machine["nodes"]][4:] == [f"{cluster.name}-0003-001", f"{cluster.name}-0003-002"]
    wanted = {shard["id"]: shard["wanted"] for shard in machine["shards"]}
    assert cluster.slots() == {"0001": "0-8191", "0002": "8192-16383", "0003": ""}, "until they have moved"
    assert {number(slots) for slots in wanted.values()} == {5461, 5462}
    assert number(wanted["0003"]) == 5461
    assert wanted["0001"] == "0-5461", "what stays, stays where it is"

    def progress() -> float:
        pending = cluster.described()["PendingModifiedValues"]["Resharding"]["SlotMigration"]
        return pending["ProgressPercentage"]

    assert progress() == 0
    cluster.done("slots", {"0001": "0-5461", "0003": "5462-8191"})
    assert progress() == pytest.approx(50, abs=0.1)
    assert cluster.slots()["0003"] == "5462-8191"
    with pytest.raises(ClientError, match="InvalidReplicationGroupState"):
        cluster.reshard(4)
    cluster.done("slots", wanted)
    cluster.done(f"shape/{machine['shape_version']}")
    group = cluster.described()
    assert (group["Status"], cluster.slots()) == ("available", wanted)
    assert not group.get("PendingModifiedValues", {}).get("Resharding")


def test_a_shard_is_there_until_it_has_no_slots_and_its_nodes_go_with_it(cluster: Cluster, fleet: Fleet) -> None:
    for given, words in (
        ({}, "Either NodeGroupsToRemove or NodeGroupsToRetain is required"),
        ({"NodeGroupsToRemove": ["0003"]}, "Node group 0003 not found"),
        ({"NodeGroupsToRemove": ["0001", "0002"]}, "0 node groups would be left"),
    ):
        with pytest.raises(ClientError, match=words):
            cluster.reshard(1, **given)
    with pytest.raises(ClientError, match="must be another one than the present 2"):
        cluster.reshard(2)
    cluster.reshard(1, NodeGroupsToRemove=["0001"])
    machine = cluster.machine()
    assert {shard["id"]: shard["wanted"] for shard in machine["shards"]} == {"0001": "", "0002": "0-16383"}
    assert len(machine["nodes"]) == 4, "what it has must be read until then"
    cluster.done(f"shape/{machine['shape_version']}")
    assert cluster.described()["MemberClusters"] == [f"{cluster.name}-0002-001", f"{cluster.name}-0002-002"]
    interfaces = fleet.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert len([each for each in interfaces if f"{cluster.name}-" in each["Description"]]) == 2


def test_replicas_are_added_to_every_shard_or_to_one_and_the_primary_stays(cluster: Cluster) -> None:
    cluster.scale("increase", NewReplicaCount=2)
    names = cluster.described()["MemberClusters"]
    assert [name.removeprefix(f"{cluster.name}-") for name in names if name.endswith("003")] == ["0001-003", "0002-003"]
    machine = cluster.machine()
    assert machine["status"] == "modifying"
    cluster.done(f"shape/{machine['shape_version']}")
    cluster.scale("decrease", ReplicaConfiguration=[{"NodeGroupId": "0002", "NewReplicaCount": 0}])
    left = [name for name in cluster.described()["MemberClusters"] if "-0002-" in name]
    assert left == [f"{cluster.name}-0002-001"]
    assert len(cluster.machine()["nodes"]) == 4
    for what, count in (("increase", 6), ("increase", 0), ("decrease", 5)):
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            cluster.scale(what, NewReplicaCount=count)
