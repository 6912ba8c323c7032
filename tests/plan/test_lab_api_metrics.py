"""Metrics of the lab's API: percentiles of what was published, and AWS's own of databases and caches."""

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.dashboard import read
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import create_cache, create_database

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
_numbers = count(1)


class Published:
    """A metric of a site of its own."""

    def __init__(self, api: ApiServer) -> None:
        self.cloudwatch = api.client("cloudwatch")
        self.dimensions = [{"Name": "Site", "Value": f"site-{next(_numbers)}"}]

    def put(self, **told: Any) -> None:
        datum = {"MetricName": "Time", "Dimensions": self.dimensions, "Timestamp": AT, **told}
        self.cloudwatch.put_metric_data(Namespace="Shop", MetricData=[datum])

    def statistics(self, *names: str, **more: Any) -> list[dict[str, Any]]:
        return self.cloudwatch.get_metric_statistics(
            Namespace="Shop", MetricName="Time", Dimensions=self.dimensions, Period=60, ExtendedStatistics=names,
            StartTime=AT, EndTime=AT.replace(minute=1), **more,
        )["Datapoints"]  # fmt: skip


@pytest.fixture
def published(api: ApiServer) -> Published:
    return Published(api)


def test_a_percentile_is_that_of_all_values_that_came_in_the_period(published: Published) -> None:
    published.put(Values=[10.0, 200.0], Counts=[94, 6])
    published.put(Values=[10.0, 3000.0], Counts=[99, 1])
    published.put(Value=10.0)
    [point] = published.statistics("p50", "p97", "p99.9", Statistics=["Maximum", "SampleCount"])
    assert point["ExtendedStatistics"] == {"p50": 10, "p97": 200, "p99.9": 3000}
    assert (point["Maximum"], point["SampleCount"]) == (3000, 201), "what moto tells stays"
    query = {
        "Id": "one",
        "MetricStat": {
            "Metric": {"Namespace": "Shop", "MetricName": "Time", "Dimensions": published.dimensions},
            "Period": 60,
            "Stat": "p97",
        },
    }
    found = published.cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=AT, EndTime=AT.replace(minute=1))[
        "MetricDataResults"
    ]
    assert found[0]["Values"] == [200]


def test_a_set_of_statistics_has_no_percentile_unless_all_of_it_is_one_value(published: Published) -> None:
    published.put(StatisticValues={"Sum": 20, "Minimum": 5, "Maximum": 5, "SampleCount": 4})
    assert published.statistics("p95")[0]["ExtendedStatistics"] == {"p95": 5}
    published.put(StatisticValues={"Sum": 30, "Minimum": 5, "Maximum": 25, "SampleCount": 2})
    assert published.statistics("p95")[0].get("ExtendedStatistics", {}) == {}


def test_an_extended_statistic_that_the_lab_cannot_tell_is_refused(published: Published) -> None:
    published.put(Value=1.0)
    with pytest.raises(ClientError, match="not tm90"):
        published.statistics("tm90")


@pytest.fixture
def fleet(api: ApiServer) -> Fleet:
    return Fleet(api)


def newest(api: ApiServer, namespace: str, dimension: str, named: str, metric: str, *, at: float) -> float | None:
    found = api.client("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=metric, Dimensions=[{"Name": dimension, "Value": named}], Period=60,
        Statistics=["Maximum"], StartTime=datetime.fromtimestamp(at, UTC), EndTime=datetime.fromtimestamp(at + 60, UTC),
    )["Datapoints"]  # fmt: skip
    return found[0]["Maximum"] if found else None


def test_what_machines_of_services_do_is_found_under_awss_names(api: ApiServer, fleet: Fleet) -> None:
    database = create_database(api, fleet)["DBInstanceIdentifier"]
    cache = create_cache(api, fleet, nodes=2)["ReplicationGroupId"]
    at = AT.timestamp()
    told = {
        "database": {database: {"CPUUtilization": 100, "StorageUsed": 2**30, "DatabaseConnections": 7}},
        "cache": {
            f"{cache}-001": {"Evictions": 3},
            f"{cache}-002": {"ReplicationLag": 2},
            "gone-001": {"Evictions": 9},
        },
    }
    before = api.control("version")
    api.control("service-metrics", "PUT", {"services": told, "at": at})
    assert api.control("version") == before, "nothing that machines go by has changed"
    rds = ("AWS/RDS", "DBInstanceIdentifier", database)
    assert newest(api, *rds, "FreeStorageSpace", at=at) == 19 * 2**30, "of 20 GiB"
    assert newest(api, *rds, "DatabaseConnections", at=at) == 7
    assert newest(api, *rds, "CPUCreditBalance", at=at) == 0, "db.t4g.micro spends more than it earns"
    assert newest(api, "AWS/ElastiCache", "CacheClusterId", f"{cache}-001", "Evictions", at=at) == 3
    assert newest(api, "AWS/ElastiCache", "CacheClusterId", f"{cache}-002", "ReplicationLag", at=at) == 2
    assert newest(api, "AWS/ElastiCache", "CacheClusterId", "gone-001", "Evictions", at=at) is None


def test_a_dashboard_is_drawn_from_what_was_published(published: Published) -> None:
    told = {"stat": "Sum", "label": "time in all"}
    metric = ["Shop", "Time", "Site", published.dimensions[0]["Value"], told]
    graph = {"title": "How long", "region": "us-east-1", "period": 60, "metrics": [metric]}
    body = {"widgets": [{"type": "metric", "x": 0, "y": 0, "width": 24, "height": 6, "properties": graph}]}
    published.cloudwatch.put_dashboard(DashboardName="shop", DashboardBody=json.dumps(body))
    assert "shop" in read.names(lambda _: published.cloudwatch)
    published.put(Value=12.0)
    published.put(Value=30.5)
    text = read.read(lambda _: published.cloudwatch, "shop", AT.replace(minute=5))
    assert '"name":"time in all"' in text
    assert '"x":["2026-11-01T12:00:00+00:00"],"y":[42.5]' in text
    assert "2026-11-01 12:00 to 12:05 UTC" in text, "nothing was told before"
