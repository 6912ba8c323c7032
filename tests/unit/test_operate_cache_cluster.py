"""`expressway cache` of a cluster, by an ElastiCache that tells of one what AWS's does: events, and no roles."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectionError as NotReachedError
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate import cache
from operate.cache import CacheError, ShardError
from operate.stack import Stack

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = "Failover from primary node {} to replica node {} completed"
SLOTS = {"0001": "0-8191", "0002": "8192-16383"}


class ElastiCache:
    """A cluster of two shards, each of two nodes."""

    exceptions = SimpleNamespace(ReplicationGroupNotFoundFault=type("NotFoundError", (Exception,), {}))

    def __init__(self) -> None:
        self.shards, self.nodes, self.status = dict(SLOTS), ["001", "002"], "available"
        self.events = [self.event("shop-0002-001", "shop-0002-002")]
        self.tested: list[str] = []

    def event(self, former: str, primary: str) -> dict[str, Any]:
        count = len(getattr(self, "events", []))
        return {"Date": BEGAN + timedelta(minutes=count), "Message": MESSAGE.format(former, primary)}

    def describe_replication_groups(self, **_: Any) -> dict[str, Any]:
        shards = [
            {
                "NodeGroupId": shard,
                "Slots": slots,
                "Status": "available",
                "NodeGroupMembers": [
                    {"CacheClusterId": f"shop-{shard}-{node}", "PreferredAvailabilityZone": f"us-east-1{zone}"}
                    for node, zone in zip(self.nodes, "ab", strict=False)
                ],
            }
            for shard, slots in self.shards.items()
        ]
        group = {
            "ReplicationGroupId": "shop",
            "Status": self.status,
            "ClusterEnabled": True,
            "AutomaticFailover": "enabled",
            "MultiAZ": "enabled",
            "ConfigurationEndpoint": {"Address": "clustercfg.shop.abc.use1.cache.amazonaws.com", "Port": 6379},
            "NodeGroups": shards,
        }
        return {"ReplicationGroups": [group]}

    def test_failover(self, **asked: str) -> None:
        self.tested.append(asked["NodeGroupId"])
        self.status = "modifying"

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, f"_{name}"))

    def _describe_events(self, **asked: Any) -> list[Any]:
        assert (asked["SourceType"], asked["SourceIdentifier"]) == ("replication-group", "shop")
        others = [{"Date": BEGAN, "Message": "Test Failover API called for node group 0001"}]
        return [{"Events": self.events}, {"Events": others}]

    def _describe_cache_clusters(self, **_: Any) -> list[Any]:
        names = [f"shop-{shard}-{node}" for shard in self.shards for node in self.nodes]
        return [
            {
                "CacheClusters": [
                    {"CacheClusterId": each, "ReplicationGroupId": "shop", "CacheClusterStatus": "available"}
                    for each in names
                ]
            }
        ]


class CloudWatch:
    """Tells of each node whether it is a primary, where it has told that."""

    def __init__(self) -> None:
        self.primary = {"shop-0001-001": 1.0, "shop-0001-002": 0.0, "shop-0002-002": 1.0}

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=self._paginate)

    def _paginate(self, **asked: Any) -> list[Any]:
        results: list[Any] = []
        for each in asked["MetricDataQueries"]:
            metric = each["MetricStat"]["Metric"]
            value = self.primary.get(metric["Dimensions"][0]["Value"]) if metric["MetricName"] == "IsMaster" else None
            results.append({"Id": each["Id"], "Values": [] if value is None else [value]})
        return [{"MetricDataResults": results}]


class Site:
    """A stack with that cache; each pause is a moment later in a failover."""

    def __init__(self) -> None:
        self.cache, self.moments = ElastiCache(), list[Any]()
        clients: dict[str, Any] = {"elasticache": self.cache, "cloudwatch": CloudWatch()}
        names = ("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName")
        outputs = {
            **dict.fromkeys(names, "any"),
            "cacheEndpoint": "clustercfg.shop.abc.use1.cache.amazonaws.com:6379",
        }
        self.stack = Stack("b", "p", "a", "e", "us-east-1", None, 24, "x64", clients.__getitem__, outputs=outputs)

    def pause(self, _seconds: float) -> None:
        moment = self.moments.pop(0)
        if isinstance(moment, str):
            self.cache.status = moment
        else:
            self.cache.events.append(self.cache.event(*moment))

    def fail_over(self, shard: str | None = None) -> cache.Failover:
        return cache.failover(self.stack, shard, pause=self.pause, resolve=unresolved)


def unresolved(_: str) -> None:
    return None


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_cluster_is_told_with_its_slots_and_the_roles_that_its_nodes_have_told(site: Site) -> None:
    found = cache.look(site.stack)
    assert found.endpoint == "clustercfg.shop.abc.use1.cache.amazonaws.com"
    assert (found.cluster, found.slots) == (True, SLOTS)
    assert {each.id: (each.shard, each.role) for each in found.nodes} == {
        "shop-0001-001": ("0001", "primary"),
        "shop-0001-002": ("0001", "replica"),
        "shop-0002-001": ("0002", ""),
        "shop-0002-002": ("0002", "primary"),
    }


def test_of_several_shards_one_has_to_be_named(site: Site) -> None:
    with pytest.raises(ShardError, match=r"^shop has the shards 0001, 0002: say which one by --shard$"):
        site.fail_over()
    with pytest.raises(ShardError, match=r"^shop has no shard 3: there are 0001, 0002$"):
        site.fail_over("3")
    assert site.cache.tested == []


def test_a_failover_of_a_shard_is_over_when_elasticache_tells_of_it_and_is_through_with_it(site: Site) -> None:
    other, own = ("shop-0001-001", "shop-0001-002"), ("shop-0002-002", "shop-0002-001")
    site.moments = [other, own, "modifying", "available"]
    done = site.fail_over("0002")
    assert (done.shard, done.former, done.primary) == ("0002", *own), "neither the shard's last one nor another's"
    assert site.cache.tested == ["0002"]
    assert site.moments == []


def test_a_failover_goes_on_while_events_cannot_be_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = site.cache.get_paginator, iter([False, True])

    def paginator(name: str) -> Any:
        if next(tries, False):
            raise NotReachedError(error="no route")
        return real(name)

    monkeypatch.setattr(site.cache, "get_paginator", paginator)
    site.moments = [("shop-0002-002", "shop-0002-001"), "available"]
    assert site.fail_over("0002").primary == "shop-0002-001"


def test_the_only_shard_needs_no_name_and_a_replica_to_fail_over_to(site: Site) -> None:
    site.cache.shards = {"0001": "0-16383"}
    site.moments = [("shop-0001-001", "shop-0001-002"), "available"]
    assert site.fail_over().primary == "shop-0001-002"
    site.cache.nodes = ["001"]
    with pytest.raises(CacheError, match=r"^shop has no replica to take over: set expressway:cache\.replicas"):
        site.fail_over()


def test_the_commands_tell_of_shards_and_refuse_what_names_none(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find", lambda *_: Target("shop", site.stack, None))
    shown = CliRunner().invoke(app, ["cache", "status"])
    assert shown.exit_code == 0, shown.output
    words = ("0001-001", "0002-002", "shard 0001 has the slots 0-8191", "shard 0002 has the slots 8192-16383")
    assert all(each in shown.output for each in words), shown.output
    assert json.loads(CliRunner().invoke(app, ["cache", "status", "--json"]).stdout)["slots"] == SLOTS
    unnamed = CliRunner().invoke(app, ["cache", "failover"])
    assert (unnamed.exit_code, unnamed.stderr.count("\n")) == (2, 1)
    assert "0001, 0002" in unnamed.stderr
    site.moments = [("shop-0002-002", "shop-0002-001"), "available"]
    real = cache.failover
    monkeypatch.setattr(cache, "failover", lambda stack, shard, listener: real(stack, shard, listener, site.pause))
    named = CliRunner().invoke(app, ["cache", "failover", "--shard", "0002", "--json"])
    assert named.exit_code == 0, named.output
    assert json.loads(named.stdout)["primary"] == "shop-0002-001"
