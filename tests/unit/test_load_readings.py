"""How a step's readings are asked for, which periods count, and what is said of those that never came."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from operate.load.metrics import MINUTE, OWN, Places, database_identifier, replication_group, wanted
from operate.load.model import Reading
from operate.load.readings import PATIENCE, Sampler, whole_periods
from tests.paths import ROOT

BEGAN = 1_764_000_000.0
"""A whole minute."""
PLACES = Places("shop-app", "shop-edge", "shop-database", ("shop-cache-001", "shop-cache-002"))


class Clock:
    """Passes by being slept in."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.slept = 0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1


@pytest.fixture
def cloudwatch() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("cloudwatch", region_name="us-east-1")


def tell(cloudwatch: Any, space: str, name: str, by: str, points: Mapping[float, list[float]]) -> None:
    """Of each period, these values, each once."""
    dimension = {"AWS/RDS": "DBInstanceIdentifier", "AWS/ElastiCache": "CacheClusterId"}
    data = [
        {
            "MetricName": name,
            "Dimensions": [{"Name": dimension.get(space, "AutoScalingGroupName"), "Value": by}],
            "Timestamp": datetime.fromtimestamp(at, UTC),
            "Values": values,
        }
        for at, values in points.items()
    ]
    cloudwatch.put_metric_data(Namespace=space, MetricData=data)


def found(readings: tuple[Reading, ...]) -> dict[tuple[str, str, str], float]:
    return {(each.tier, each.resource, each.who): each.value for each in readings}


def test_only_periods_that_lie_wholly_in_the_step_count(cloudwatch: Any) -> None:
    # The step begins at :03 and ends at :34.
    points = {BEGAN: [99.0], BEGAN + 10: [20.0, 40.0], BEGAN + 20: [30.0, 50.0], BEGAN + 30: [99.0]}
    tell(cloudwatch, OWN, "CPU", "shop-app", points)
    sampler = Sampler(cloudwatch, PLACES, Clock(BEGAN + 60))
    got = found(sampler.between(BEGAN + 3, BEGAN + 34))
    assert got["app", "cpu", ""] == 35.0, "the machines' average, and the two periods' of it"
    assert got["app", "machines", ""] == 2.0


def test_each_metric_is_read_by_its_own_statistic_and_group(cloudwatch: Any) -> None:
    tell(cloudwatch, OWN, "WorkerCPU", "shop-app", {BEGAN: [10.0, 98.0, 12.0]})
    tell(cloudwatch, OWN, "RequestsInFlight", "shop-app", {BEGAN: [7.0, 5.0]})
    tell(cloudwatch, OWN, "Requests", "shop-edge", {BEGAN: [240.0]})
    tell(cloudwatch, OWN, "CPU", "shop-edge", {BEGAN: [11.0]})
    tell(cloudwatch, OWN, "DatabaseSessions", "shop-app", {BEGAN: [4.0, 6.0]})
    tell(cloudwatch, OWN, "DatabaseBusy", "shop-app", {BEGAN: [4.0, 5.0]})
    readings = Sampler(cloudwatch, PLACES, Clock(BEGAN + 60)).between(BEGAN, BEGAN + 10)
    got = found(readings)
    assert got["app", "worker cpu", ""] == 98.0
    assert got["app", "worker cpu average", ""] == 40.0
    assert got["app", "requests in flight", ""] == 12.0
    assert got["edge", "requests", ""] == 24.0, "a second"
    assert got["edge", "cpu", ""] == 11.0
    (pool,) = [each for each in readings if each.resource == "pool in use"]
    assert pool.saturation == 0.9, "of the connections that are open"


def test_behind_pgbouncer_the_pool_is_the_apps_own_where_that_has_fewer_connections(cloudwatch: Any) -> None:
    tell(cloudwatch, OWN, "DatabaseSessions", "shop-app", {BEGAN: [6.0, 6.0]})
    tell(cloudwatch, OWN, "DatabaseBusy", "shop-app", {BEGAN: [1.0, 2.0]})
    tell(cloudwatch, OWN, "DatabasePoolClients", "shop-app", {BEGAN: [2.0, 2.0]})
    tell(cloudwatch, OWN, "DatabasePoolWaiting", "shop-app", {BEGAN: [0.0, 3.0]})
    readings = Sampler(cloudwatch, PLACES, Clock(BEGAN + 60)).between(BEGAN, BEGAN + 10)
    got = found(readings)
    assert (got["database", "clients", ""], got["database", "clients waiting", ""]) == (4.0, 3.0)
    (pool,) = [each for each in readings if each.resource == "pool in use"]
    assert pool.saturation == 0.75, "three of four, though PgBouncer has twelve"


def test_what_aws_tells_each_minute_is_the_minutes_that_the_step_is_in(cloudwatch: Any) -> None:
    minutes = {BEGAN - MINUTE: [5.0], BEGAN: [90.0], BEGAN + MINUTE: [70.0], BEGAN + 2 * MINUTE: [5.0]}
    tell(cloudwatch, "AWS/RDS", "CPUUtilization", "shop-database", minutes)
    got = found(Sampler(cloudwatch, PLACES, Clock(BEGAN + 300)).between(BEGAN + 45, BEGAN + 75))
    assert got["database", "cpu", "shop-database"] == 80.0
    got = found(Sampler(cloudwatch, PLACES, Clock(BEGAN + 300)).between(BEGAN, BEGAN + MINUTE))
    assert got["database", "cpu", "shop-database"] == 90.0, "neither of its neighbours"


def test_what_aws_tells_more_often_is_read_so(cloudwatch: Any) -> None:
    tell(cloudwatch, "AWS/ElastiCache", "EngineCPUUtilization", "shop-cache-002", {BEGAN: [9.0], BEGAN + 10: [50.0]})
    got = found(Sampler(cloudwatch, PLACES, Clock(BEGAN + 60)).between(BEGAN + 10, BEGAN + 20))
    assert got["cache", "cpu", "shop-cache-002"] == 50.0
    assert ("cache", "cpu", "shop-cache-001") not in got


def every_metric(cloudwatch: Any, at: float) -> None:
    for each in wanted(PLACES):
        tell(cloudwatch, each.namespace, each.name, each.dimension[1], {at: [1.0]})


def test_what_is_late_is_waited_for(cloudwatch: Any) -> None:
    clock = Clock(BEGAN + 10)

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now >= BEGAN + 16:
            every_metric(cloudwatch, BEGAN)

    clock.sleep = sleep
    sampler = Sampler(cloudwatch, PLACES, clock)
    assert found(sampler.between(BEGAN, BEGAN + 10))["app", "cpu", ""] == 1.0
    assert clock.now == BEGAN + 16, "and no longer"
    assert sampler.missing == ()


def test_what_never_comes_is_named_after_a_bounded_time(cloudwatch: Any) -> None:
    every_metric(cloudwatch, BEGAN)
    clock = Clock(BEGAN + 20)
    sampler = Sampler(cloudwatch, Places("shop-app", "gone", "shop-database", ()), clock)
    got = found(sampler.between(BEGAN, BEGAN + 20))
    assert ("app", "cpu", "") in got, "what there is of a part of the step"
    assert BEGAN + 20 < clock.now <= BEGAN + 20 + PATIENCE
    assert "edge connections" in sampler.missing
    assert not [each for each in sampler.missing if not each.startswith("edge ")], sampler.missing
    assert "edge cpu steal" not in sampler.missing, "some kernels don't tell it"


def test_a_span_costs_one_call(cloudwatch: Any) -> None:
    every_metric(cloudwatch, BEGAN)
    calls: list[int] = []
    cloudwatch.meta.events.register(
        "before-call.cloudwatch.GetMetricData", lambda params, **_: calls.append(len(str(params)))
    )
    Sampler(cloudwatch, PLACES, Clock(BEGAN + 60)).between(BEGAN, BEGAN + 10)
    assert len(calls) == 1


def test_an_answer_in_pages_is_read_to_its_end() -> None:
    class Paged:
        def get_metric_data(self, NextToken: str = "", **asked: Any) -> dict[str, Any]:  # noqa: N803
            number, value = (1, 6.0) if NextToken else (0, 2.0)
            stamp = datetime.fromtimestamp(BEGAN, UTC)
            result = {"Id": f"m{number}", "Timestamps": [stamp], "Values": [value]}
            return {"MetricDataResults": [result], **({} if NextToken else {"NextToken": "more"})}

    got = found(Sampler(Paged(), PLACES, Clock(BEGAN + 60)).between(BEGAN, BEGAN + 10))
    assert got == {("app", "machines", ""): 2.0, ("app", "cpu", ""): 6.0}


def test_a_refusal_ends_no_run_and_is_told() -> None:
    class Refusing:
        def get_metric_data(self, **_: Any) -> Any:
            error = {"Code": "AccessDenied", "Message": "not authorized to perform: cloudwatch:GetMetricData"}
            raise ClientError({"Error": error}, "GetMetricData")  # pyright: ignore[reportArgumentType]

    sampler = Sampler(Refusing(), PLACES, Clock(BEGAN + 60))
    assert sampler.between(BEGAN, BEGAN + 10) == ()
    assert "cloudwatch:GetMetricData" in sampler.missing[0]


@pytest.mark.parametrize(
    ("began", "ended", "periods"),
    [(0, 30, (0, 10, 20)), (3, 34, (10, 20)), (3, 20, (10,)), (3, 9, (0,)), (8, 19, (10,)), (3, 14, (0,))],
)
def test_the_periods_of_a_span(began: float, ended: float, periods: tuple[float, ...]) -> None:
    assert whole_periods(began, ended) == periods


@pytest.mark.parametrize(
    ("endpoint", "group"),
    [
        ("master.shop-cache.abc123.use1.cache.amazonaws.com:6379", "shop-cache"),
        ("shop-cache.abc123.ng.0001.use1.cache.amazonaws.com:6379", "shop-cache"),
        ("clustercfg.shop-cache.abc123.use1.cache.amazonaws.com:6379", "shop-cache"),
        ("shop-cache.abc123.clustercfg.use1.cache.amazonaws.com:6379", "shop-cache"),
        ("", None),
    ],
)
def test_a_replication_group_is_in_its_endpoints_name(endpoint: str, group: str | None) -> None:
    assert replication_group(endpoint) == group


def refused(cluster: str) -> Any:
    raise AssertionError(f"{cluster} is no cluster")


def test_the_stacks_outputs_say_who_is_asked_about() -> None:
    assert database_identifier("shop-database.c1f2.us-east-1.rds.amazonaws.com:5432") == "shop-database"
    outputs = {
        "appGroupName": "a",
        "edgeGroupName": "e",
        "databaseEndpoint": "db.c1.us-east-1.rds.amazonaws.com:5432",
        "cacheEndpoint": "master.cache.c1.use1.cache.amazonaws.com:6379",
    }
    places = Places.of(outputs, lambda group: [f"{group}-001"], refused)
    assert places == Places("a", "e", "db", ("cache-001",))
    assert Places.of({"appGroupName": "a", "edgeGroupName": "e"}, lambda _: ["x"], refused) == Places(
        "a", "e", None, ()
    )


def test_each_shard_is_asked_about_by_itself() -> None:
    outputs = {
        "appGroupName": "a",
        "edgeGroupName": "e",
        "databaseEndpoint": "db.c1.us-east-1.rds.amazonaws.com:5432",
        "databaseEndpoints": [f"{name}.c1.us-east-1.rds.amazonaws.com:5432" for name in ("db", "db-2")],
        "cacheEndpoint": "clustercfg.cache.c1.use1.cache.amazonaws.com:6379",
    }
    nodes = ["cache-0001-001", "cache-0002-001"]
    places = Places.of(outputs, lambda _: nodes, refused)
    asked = {(each.resource, each.who) for each in wanted(places) if each.namespace != OWN}
    assert {("cpu", each) for each in ("db", "db-2", *nodes)} <= asked
    assert {("memory", each) for each in nodes} <= asked, (
        "the app servers' is of all shards, where a full one is hidden"
    )
    assert ("memory", "shop-cache-001") not in {(each.resource, each.who) for each in wanted(PLACES)}


def test_a_cluster_of_the_most_nodes_is_asked_about_in_calls_that_cloudwatch_takes() -> None:
    asked: list[list[str]] = []

    class Counting:
        def get_metric_data(self, MetricDataQueries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803
            asked.append([each["Id"] for each in MetricDataQueries])
            stamp = datetime.fromtimestamp(BEGAN, UTC)
            last = {"Id": MetricDataQueries[-1]["Id"], "Timestamps": [stamp], "Values": [7.0]}
            return {"MetricDataResults": [last]}

    nodes = tuple(f"shop-cache-{shard:04}-001" for shard in range(1, 91))
    places = Places("shop-app", "shop-edge", None, nodes, cache_cluster=True)
    got = Sampler(Counting(), places, Clock(BEGAN + 60)).between(BEGAN, BEGAN + 10)
    ids = [each for call in asked for each in call]
    assert max(map(len, asked)) <= 500
    assert len(ids) == len(set(ids)) == sum(len(each.periods) for each in wanted(places))
    assert (got[-1].resource, got[-1].who, got[-1].value) == ("memory", nodes[-1], 7.0)


def test_every_metric_of_this_projects_own_is_in_the_guide() -> None:
    guide = (ROOT / "docs/monitoring.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in guide.splitlines()[2:]]
    groups = {name: row[3] for row in rows for name in row[0].replace("`", "").split(", ")}
    for each in wanted(PLACES):
        if each.namespace == OWN:
            tier = "edge" if each.dimension[1] == "shop-edge" else "app"
            assert groups[each.name] in (tier, "both"), each.name
