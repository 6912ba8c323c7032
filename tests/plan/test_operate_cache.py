"""`expressway cache` against the lab's API, whose part of a failover the tests do."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate import cache
from operate.cache import CacheError
from operate.stack import Stack
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import TOKEN, create_cache, machine_of


class Site:
    """A stack with a cache of two nodes that is available."""

    def __init__(self, api: ApiServer, fleet: Fleet, nodes: int = 2) -> None:
        self.api, self.aws = api, api.client("elasticache")
        self.group = create_cache(api, fleet, nodes=nodes)
        self.name = self.group["ReplicationGroupId"]
        if nodes > 1:
            self.aws.modify_replication_group(ReplicationGroupId=self.name, AutomaticFailoverEnabled=True)
        api.control(f"replication-groups/{self.name}", "PUT", {"status": "available"})
        endpoint = self.group["NodeGroups"][0]["PrimaryEndpoint"]["Address"]
        self.stack = stack(api, f"{endpoint}:6379")

    def replica(self) -> str:
        (group,) = self.aws.describe_replication_groups(ReplicationGroupId=self.name)["ReplicationGroups"]
        members = group["NodeGroups"][0]["NodeGroupMembers"]
        return next(each["CacheClusterId"] for each in members if each["CurrentRole"] == "replica")

    def promoting(self) -> Callable[[float], None]:
        """Between two looks, what ElastiCache does: nothing yet, and then the promotion."""
        looks, chosen = 0, self.replica()

        def pause(_: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 2:
                self.api.control(f"replication-groups/{self.name}/primary/{chosen}", "PUT")

        return pause


def stack(api: ApiServer, endpoint: str) -> Stack:
    outputs = {
        **dict.fromkeys(("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName"), "any"),
        "region": "us-east-1",
        "cacheEndpoint": endpoint,
    }
    session = boto3.Session("test", "test", region_name="us-east-1")
    return Stack.of(outputs, session, api.endpoint)


@pytest.fixture(scope="module")
def site(api: ApiServer) -> Site:
    return Site(api, Fleet(api))


def unresolved(_: str) -> None:
    return None


def test_each_node_is_told_with_its_role_and_zone_and_what_cloudwatch_has_of_it(site: Site) -> None:
    now = datetime.now(UTC)
    primary, replica = (each.id for each in sorted(cache.look(site.stack).nodes, key=lambda each: each.role))

    def tell(node: str, **values: float) -> None:
        site.api.client("cloudwatch").put_metric_data(
            Namespace="AWS/ElastiCache",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "CacheClusterId", "Value": node}],
                    "Timestamp": now,
                    "Value": value,
                }
                for name, value in values.items()
            ],
        )

    told = {"DatabaseMemoryUsagePercentage": 81.5, "CacheHits": 90, "CacheMisses": 10, "Evictions": 7}
    tell(primary, **told, CurrConnections=12, EngineCPUUtilization=3.5)
    tell(replica, ReplicationLag=0.25)
    found = cache.look(site.stack)
    assert (found.id, found.engine, found.node_type, found.status) == (
        site.name,
        "redis",
        "cache.t4g.micro",
        "available",
    )
    assert (found.failover, found.parameters, found.pending) == (True, "in-sync", {})
    nodes = {each.role: each for each in found.nodes}
    assert (nodes["primary"].memory, nodes["primary"].hit_rate, nodes["primary"].evictions) == (81.5, 90.0, 7)
    assert (nodes["primary"].connections, nodes["primary"].cpu, nodes["primary"].lag) == (12, 3.5, None)
    assert nodes["replica"].lag == 0.25
    assert nodes["replica"].hit_rate is None, "nobody read from it"
    assert nodes["primary"].zone != nodes["replica"].zone


def test_a_failover_is_waited_for_until_another_node_is_the_primary(site: Site) -> None:
    former = next(each.id for each in cache.look(site.stack).nodes if each.role == "primary")
    said: list[str] = []
    done = cache.failover(site.stack, None, said.append, site.promoting(), unresolved)
    assert (done.former, done.shard) == (former, "0001")
    assert done.primary == next(each.id for each in cache.look(site.stack).nodes if each.role == "primary") != former
    assert 0 <= done.seconds <= done.settled_seconds
    assert len(said) == 2, said


def test_the_primarys_name_has_to_lead_to_the_new_node(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """ElastiCache's word alone would have it end while clients are still led to the former primary."""
    asked: list[str] = []

    def resolve(name: str) -> str:
        asked.append(name)
        return "10.0.0.1" if name.startswith("master.") and len(asked) < 9 else "10.0.0.2"

    cache.failover(site.stack, pause=site.promoting(), resolve=resolve)
    assert len(asked) >= 9, "it was over before the name led there"
    monkeypatch.setattr(cache, "FAILOVER_SECONDS", 0.5)
    with pytest.raises(CacheError, match="is still the primary after"):
        cache.failover(site.stack, pause=time.sleep, resolve=unresolved)
    site.api.control(f"replication-groups/{site.name}/primary/{site.replica()}", "PUT")


def test_what_cannot_fail_over_is_refused_before_anything_is_asked_for(api: ApiServer, site: Site) -> None:
    alone = Site(api, Fleet(api), nodes=1)
    with pytest.raises(CacheError, match=r"has no replica to take over: set expressway:cache\.replicas"):
        cache.failover(alone.stack)
    site.aws.modify_replication_group(ReplicationGroupId=site.name, AuthToken=TOKEN[::-1], ApplyImmediately=True)
    with pytest.raises(CacheError, match="is modifying: wait until it is available"):
        cache.failover(site.stack)
    version = machine_of(api, "replication-groups", site.name)["tokens_version"]
    api.control(f"replication-groups/{site.name}/tokens/{version}", "PUT")
    with pytest.raises(CacheError, match="there is no replication group nobody"):
        cache.look(stack(api, "master.nobody.abcdef.use1.cache.amazonaws.com:6379"))
    with pytest.raises(CacheError, match="name no cache"):
        cache.look(stack(api, ""))


def run(monkeypatch: pytest.MonkeyPatch, site: Site, *arguments: str) -> Any:
    monkeypatch.setattr(targets, "find", lambda _name, _outputs: Target("shop", site.stack, None))
    return CliRunner().invoke(app, ["cache", *arguments])


def test_the_commands_print_a_table_for_people_and_json_for_machines(
    api: ApiServer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = run(monkeypatch, site, "status")
    assert shown.exit_code == 0, shown.output
    words = {site.name, "001", "002", "primary", "replica", "us-east-1a", "us-east-1b"}
    assert {each for each in words if each in shown.output} == words, shown.output
    told = json.loads(run(monkeypatch, site, "status", "--json").stdout)
    assert [each["role"] for each in told["nodes"]].count("primary") == 1
    failover = cache.failover
    monkeypatch.setattr(
        cache,
        "failover",
        lambda stack, shard, listener: failover(stack, shard, listener, site.promoting(), unresolved),
    )
    failed_over = run(monkeypatch, site, "failover", "--json")
    assert failed_over.exit_code == 0, failed_over.output
    done = json.loads(failed_over.stdout)
    assert done["primary"] != done["former"]
    alone = run(monkeypatch, Site(api, Fleet(api), nodes=1), "failover")
    assert alone.exit_code == 1
    assert "has no replica" in alone.stderr
