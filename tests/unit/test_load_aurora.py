"""What `expressway load` reads of an Aurora cluster, says of it, and plans. What AWS tells is the tests' own."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from load_runs import SIZES, computing
from rich.console import Console

from cli import capacity
from components.planning import sure_connections
from operate import sizes
from operate.doctor import cost
from operate.load import saved, sharded
from operate.load.comparison import Comparison
from operate.load.model import Reading, Run, Sizes
from operate.load.proposal import Proposal, propose
from operate.load.readings import Sampler
from operate.load.verdict import judge
from operate.stack import Stack

CLASSES = replace(SIZES, database_class="db.r6g.large", aurora=True, database_instances=3)
FOLLOWING = replace(CLASSES, database_class="db.serverless", capacity=(0.5, 4.0))


def loaded(of: Sizes, writer: float = 0.05, reader: float = 0.01) -> Run:
    """So many percent of each one's CPU for one request a second, beside the app's own."""
    run = computing(sizes=of)

    def at(rate: float) -> tuple[Reading, ...]:
        return tuple(
            Reading("database", "cpu", 2 + each * rate, "percent", 100, who)
            for who, each in (("shop-writer", writer), ("shop-reader1", reader), ("shop-reader2", reader))
        )

    steps = tuple(
        replace(
            step,
            readings=(
                *(each for each in step.readings if (each.tier, each.resource) != ("database", "cpu")),
                *at(step.offered_rps),
            ),
        )
        for step in run.steps
    )
    return replace(run, steps=steps)


def bill(found: Proposal, of: Sizes) -> dict[str, Any]:
    return {each.name: each for each in cost.estimate(found.wanted(of)).items if "Aurora" in each.name}


def test_a_class_is_planned_by_the_busiest_instance_and_all_of_them_are_counted() -> None:
    """The writer has 2 + 0.05 x 2,000 = 102 % of two vCPUs, so 51 % of four."""
    found = propose(loaded(CLASSES), 2000, 100)
    assert found.database is not None
    assert (found.database.type, found.database.count) == ("db.r6g.xlarge", 3), "the next one that Aurora has"
    assert found.database.percent == pytest.approx(51)
    assert found.database.month is None, "RDS's price is not Aurora's"
    assert "A database has 3 instances" in " ".join(found.notes)
    assert bill(found, CLASSES)["Aurora instance, db.r6g.xlarge"].count == 3
    quiet = propose(loaded(replace(CLASSES, database_instances=1)), 300, 100)
    assert quiet.database is not None
    assert (quiet.database.type, quiet.database.count) == ("db.r6g.large", 1)
    assert "instances" not in " ".join(quiet.notes)


def test_no_class_is_planned_that_aurora_has_not() -> None:
    """42 % is more than a T class may have for ever."""
    small = propose(loaded(replace(CLASSES, database_class="db.t4g.medium")), 800, 100)
    assert small.database is not None
    assert small.database.type == "db.r6g.large"
    as_rds = propose(loaded(replace(CLASSES, database_class="db.t4g.medium", aurora=False)), 800, 100)
    assert as_rds.database is not None
    assert as_rds.database.type == "db.m6g.large", "which is RDS's alone, and cheaper"


def test_serverless_gets_as_much_more_as_its_writer_needs() -> None:
    """102 % of four units is 4.08 of them, which may be 60 % of the most: 6.8, so 7."""
    found = propose(loaded(FOLLOWING), 2000, 100)
    assert found.database is not None
    assert (found.database.type, found.database.capacity, found.database.count) == ("db.serverless", (0.5, 7.0), 3)
    assert found.database.percent == pytest.approx(102 * 4 / 7)
    assert "Raise database.serverless.max to 7" in " ".join(found.notes)
    assert bill(found, FOLLOWING)["Aurora instance, 0.5 to 7 capacity units"].count == 3
    console = Console(width=120, file=(shown := io.StringIO()))
    capacity.show(console, found, cost.estimate(found.wanted(FOLLOWING)))
    assert "db.serverless, 0.5 to 7 units" in shown.getvalue()


def test_serverless_keeps_the_most_that_is_enough_and_has_one_that_never_is() -> None:
    enough = propose(loaded(FOLLOWING), 500, 100)
    assert enough.database is not None
    assert enough.database.capacity == (0.5, 4.0)
    assert "Raise" not in " ".join(enough.notes)
    beyond = propose(loaded(FOLLOWING, writer=4.0), 3000, 100)
    assert beyond.database is not None
    assert beyond.database.capacity == (0.5, 256)
    assert "No known database does 3,000 requests/s: a db.serverless, 0.5 to 256 units" in " ".join(beyond.notes)
    run = loaded(FOLLOWING)
    blind = tuple(
        replace(step, readings=tuple(each for each in step.readings if each.tier != "database")) for step in run.steps
    )
    unread = propose(replace(run, steps=blind), 500, 100)
    assert unread.database is not None
    assert unread.database.capacity == (0.5, 4.0)
    assert "it stays a db.serverless, 0.5 to 4 units" in " ".join(unread.notes)


def test_serverless_gets_as_much_as_its_connections_take() -> None:
    """With a least of one unit; with less there are 2,000 at most, and no number of units mends that."""
    found = propose(loaded(replace(FOLLOWING, capacity=(1.0, 4.0))), 300, 100, pool=200)
    assert found.database is not None
    assert found.connections is not None
    assert found.database.capacity is not None
    assert found.database.capacity[1] > 4
    assert found.connections.fits
    few = propose(loaded(FOLLOWING), 300, 100, pool=400)
    assert few.database is not None
    assert few.connections is not None
    assert (few.database.capacity, few.connections.fits) == ((0.5, 4.0), False)


@pytest.mark.parametrize("units", [(0.0, 1.0), (0.5, 8.0), (0.5, 64.0), (1.0, 16.0), (2.0, 256.0)])
def test_connections_of_units_are_those_that_the_preview_counts_with(units: tuple[float, float]) -> None:
    assert sizes.capacity_connections(units) == sure_connections(sizes.SERVERLESS, capacity=units)


def test_a_run_on_aurora_is_read_again_as_it_was() -> None:
    run = loaded(FOLLOWING)
    assert saved.of(json.loads(json.dumps(run.as_json()))) == run
    before = run.as_json()
    del before["sizes"]["aurora"], before["sizes"]["capacity"], before["sizes"]["database_instances"]
    assert saved.of(before).sizes == replace(FOLLOWING, aurora=False, capacity=None, database_instances=1)


def test_a_full_database_that_follows_its_load_may_take_more_and_no_instance_is_a_shard() -> None:
    run = loaded(replace(FOLLOWING, database_shards=2), writer=0.245)
    found = judge(run.steps, 320.0, replace(FOLLOWING, database_shards=2))
    assert (found.tier, found.resource) == ("database", "cpu")
    assert "database.serverless.max" in " ".join(found.next)
    assert "instanceClass" not in " ".join(found.next)
    assert "shop-reader1" not in " ".join(found.evidence)
    seen = Comparison.of(run.steps, 320.0, CLASSES)
    assert seen is not None
    assert sharded.loads(seen, "database", "cpu") == {}
    assert "database.instanceClass" in " ".join(judge(run.steps, 320.0, CLASSES).next)


class Api:
    """RDS and CloudWatch, as far as they are asked."""

    def __init__(self) -> None:
        self.denied = False
        self.asked: set[tuple[str, str]] = set()
        self.exceptions = SimpleNamespace(DBClusterNotFoundFault=KeyError)

    def describe_db_clusters(self, DBClusterIdentifier: str) -> dict[str, Any]:  # noqa: N803, AWS's own
        if self.denied:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "DescribeDBClusters")
        members = [{"DBInstanceIdentifier": "w", "IsClusterWriter": True}]
        return {"DBClusters": [{"DBClusterIdentifier": DBClusterIdentifier, "DBClusterMembers": members}]}

    def get_paginator(self, _: str) -> Any:
        instance = {"DBInstanceIdentifier": "w", "DBInstanceClass": "db.serverless"}
        return SimpleNamespace(paginate=lambda **_: [{"DBInstances": [instance]}])  # pyright: ignore[reportUnknownLambdaType]

    def get_metric_data(self, MetricDataQueries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803
        metrics = [each["MetricStat"]["Metric"] for each in MetricDataQueries]
        self.asked = {(each["MetricName"], each["Dimensions"][0]["Value"]) for each in metrics}
        return {"MetricDataResults": []}


def test_who_may_not_ask_for_the_instances_has_the_clusters_readings() -> None:
    api = Api()
    endpoint = "shop.cluster-abc.us-east-1.rds.amazonaws.com:5432"
    outputs = {"appGroupName": "a", "edgeGroupName": "e", "databaseEndpoint": endpoint}
    stack = Stack("b", "p", "a", "e", "us-east-1", "http://x", 24, "x64", lambda _: api, outputs)
    Sampler.of(stack).between(0, 10)
    assert {("CPUUtilization", "w"), ("ServerlessDatabaseCapacity", "w")} <= api.asked
    assert ("CPUUtilization", "shop") not in api.asked
    api.denied = True
    Sampler.of(stack).between(0, 10)
    assert ("CPUUtilization", "shop") in api.asked
