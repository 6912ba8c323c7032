"""Alarms and dashboard: what is watched, by what rules, and whom it is told."""

import json
import re
from typing import Any, cast

import botocore.session
import example_args
import pulumi
import pytest
from recording import Recording, record
from typer.main import get_command

from cli.main import app as command_line
from components import Monitoring, MonitoringArgs, planning
from components.planning import Alarm, Watched
from tests.paths import ROOT

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
TOPIC = "aws:sns/topic:Topic"
SUBSCRIPTION = "aws:sns/topicSubscription:TopicSubscription"
OWN_TOPIC = "arn:aws:sns:us-east-1:123456789012:on-call"

EVERYTHING = Watched(
    edge_type="t3.small",
    certificate=True,
    app_type="t3.small",
    fewest_servers=2,
    database_class="db.t4g.micro",
    replicas=("near",),
    cache_type="cache.t4g.micro",
    cache_nodes=2,
)
ALARMS = planning.alarms(EVERYTHING)


def make(**args: Any) -> Recording:
    return record(lambda: Monitoring("mine", cast(MonitoringArgs, args)))


def given(**more: Any) -> dict[str, Any]:
    return {**example_args.monitoring(), **more}


def keys(made: Recording) -> set[str]:
    return {each.name.removeprefix("mine-") for each in made.all(ALARM)}


def test_each_tier_that_is_given_has_its_alarms_and_no_other() -> None:
    for tier in ("edge", "app", "database", "cache"):
        args: dict[str, Any] = {**example_args.monitoring()}
        made = make(alarm_topic_arn=OWN_TOPIC, **{tier: args[tier]})
        assert keys(made), tier
        assert {each.partition("-")[0] for each in keys(made)} == {tier}
        assert "app-cache" not in keys(made), "a cache that isn't watched may not be there"
    assert keys(make(**given())) == {each.key for each in ALARMS}


def test_a_shard_has_the_databases_alarms_and_its_line_in_each_graph() -> None:
    database = {**cast(Any, example_args.monitoring())["database"], "shard_identifiers": {"shard-2": "database-2"}}
    made = make(**given(database=database))
    of = {
        each.name: each.inputs["dimensions"]["DBInstanceIdentifier"] for each in made.all(ALARM) if "shard" in each.name
    }
    assert of == {
        f"mine-database-shard-2-{what}": "database-2" for what in ("storage", "cpu", "connections", "credits")
    }
    assert "shard-2" in made.one(ALARM, "mine-database-shard-2-cpu").inputs["alarmDescription"]
    body = json.loads(made.one(DASHBOARD).inputs["dashboardBody"])
    graph = next(each["properties"] for each in body["widgets"] if each["properties"]["title"] == "Database: CPU, %")
    assert [(metric[3], metric[4]["label"]) for metric in graph["metrics"]] == [
        ("database", "CPU"),
        ("database-2", "CPU, shard-2"),
    ]


def test_each_node_of_a_cluster_is_watched_by_the_name_that_elasticache_gives_it() -> None:
    made = make(**given(cache={**cast(Any, example_args.monitoring())["cache"], "nodes": 2, "shards": 2}))
    of = {
        each.name: each.inputs["dimensions"]["CacheClusterId"]
        for each in made.all(ALARM)
        if each.name.endswith("-evictions")
    }
    numbers = ["0001-001", "0001-002", "0002-001", "0002-002"]
    assert of == {f"mine-cache-{number}-evictions": f"cache-{number}" for number in numbers}
    body = json.loads(made.one(DASHBOARD).inputs["dashboardBody"])
    graph = next(each["properties"] for each in body["widgets"] if each["properties"]["title"] == "Cache: memory, %")
    assert [metric[3] for metric in graph["metrics"]] == [f"cache-{number}" for number in numbers]
    alone = {each.key for each in planning.alarms(Watched(cache_type="cache.m7g.large", cache_shards=2))}
    assert not [key for key in alone if "lag" in key], "no shard has a standby"


def test_what_there_is_an_alarm_for() -> None:
    assert {each.key for each in ALARMS} == {
        *("edge-errors", "edge-p95", "edge-servers", "edge-unhealthy", "edge-heartbeat", "edge-retries"),
        *("edge-certificate", "edge-cpu", "edge-memory", "edge-disk", "edge-credits"),
        *("app-event-loop", "app-cache", "app-cpu", "app-memory", "app-disk", "app-credits"),
        *("database-storage", "database-cpu", "database-connections", "database-lag-near", "database-credits"),
        *(f"cache-00{node}-{what}" for node in (1, 2) for what in ("evictions", "memory", "cpu", "lag", "credits")),
    }
    assert len({each.key for each in ALARMS}) == len(ALARMS)


@pytest.mark.parametrize(
    ("watched", "gone"),
    [
        (Watched(edge_type="t3.small"), {"edge-certificate"}),
        (Watched(edge_type="c7i.large", certificate=True), {"edge-credits"}),
        (Watched(app_type="m7i.large"), {"app-credits", "app-cache"}),
        (Watched(database_class="db.m7g.large"), {"database-credits", "database-lag-near"}),
        (Watched(database_class="db.m7g.metal"), {"database-credits", "database-connections", "database-lag-near"}),
        (Watched(cache_type="cache.m7g.large"), {"cache-001-credits", "cache-001-lag"}),
    ],
)
def test_nothing_is_watched_that_is_not_there(watched: Watched, gone: set[str]) -> None:
    found = {each.key for each in planning.alarms(watched)}
    of = {key.partition("-")[0] for key in found}
    whole = {each.key for each in ALARMS if each.key.partition("-")[0] in of and not each.key.startswith("cache-002")}
    assert whole - found == gone


def test_an_alarm_is_made_as_the_table_has_it_and_tells_the_topic_both_ways() -> None:
    made = make(**given())
    topic = f"arn:aws:sns:us-east-1:123456789012:{made.one(TOPIC).name}"
    for alarm in ALARMS:
        inputs = made.one(ALARM, f"mine-{alarm.key}").inputs
        assert inputs["alarmActions"] == inputs["okActions"] == [topic]
        assert inputs["alarmDescription"] == alarm.text
        assert inputs["tags"] == {"team": "web"}
        found = (inputs["period"], inputs["evaluationPeriods"], inputs["datapointsToAlarm"], inputs["treatMissingData"])
        assert found == (alarm.period, alarm.periods, alarm.needed, alarm.missing)
    p95 = made.one(ALARM, "mine-edge-p95").inputs
    assert (p95["extendedStatistic"], "statistic" in p95) == ("p95", False)
    assert p95["dimensions"] == {"AutoScalingGroupName": "edge-group"}
    assert made.one(ALARM, "mine-cache-002-lag").inputs["dimensions"] == {"CacheClusterId": "cache-002"}
    assert made.one(ALARM, "mine-database-lag-near").inputs["dimensions"] == {
        "DBInstanceIdentifier": "database-replica"
    }
    assert made.one(ALARM, "mine-edge-servers").inputs["threshold"] == 2
    assert made.one(ALARM, "mine-edge-servers").inputs["comparisonOperator"] == "LessThanThreshold"


def test_who_is_told() -> None:
    made = make(**given(alarm_emails=["a@example.com", "b@example.com"]))
    subscriptions = {each.inputs["endpoint"]: each.inputs for each in made.all(SUBSCRIPTION)}
    assert set(subscriptions) == {"a@example.com", "b@example.com"}
    assert {each["protocol"] for each in subscriptions.values()} == {"email"}
    assert "kmsMasterKeyId" not in made.one(TOPIC).inputs, "with SNS's own key, alarms could not publish"
    theirs = make(**given(alarm_emails=[], alarm_topic_arn=OWN_TOPIC))
    assert not theirs.all(TOPIC)
    assert not theirs.all(SUBSCRIPTION)
    assert theirs.one(ALARM, "mine-edge-cpu").inputs["alarmActions"] == [OWN_TOPIC]


def test_without_anybody_who_is_told_there_is_a_dashboard_alone() -> None:
    made = make(**given(alarm_emails=[]))
    assert {each.type for each in made.resources.values() if each.type.startswith("aws:")} == {DASHBOARD}
    assert not make(**given(dashboard=False)).all(DASHBOARD)


@pytest.mark.parametrize(
    ("args", "path", "words"),
    [
        ({"alarm_emails": ["a@example.com"]}, "edge", "there is nothing to watch"),
        (given(alarm_emails=[], dashboard=False), "dashboard", "neither alarms nor a dashboard"),
    ],
)
def test_what_would_watch_nothing_or_tell_nobody_is_refused(args: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refusal:
        make(**args)
    assert refusal.value.errors is not None
    assert [each["property_path"] for each in refusal.value.errors] == [path]
    assert words in str(refusal.value)


def commands() -> set[str]:
    return set(cast(Any, get_command(command_line)).commands)


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda each: each.key)
def test_a_description_says_what_to_do_and_fits(alarm: Alarm) -> None:
    assert 80 < len(alarm.text) <= 1024, "CloudWatch takes no more"
    assert alarm.text.endswith(".")
    assert ".." not in alarm.text
    assert set(re.findall(r"`expressway (\w+)", alarm.text)) <= commands()
    for setting in re.findall(r"\b(?:edge|app|database|cache)\.[a-z]\w+", alarm.text):
        assert f"`{setting}`" in (ROOT / "docs/reference/settings.md").read_text(), f"there is no {setting}"


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda each: each.key)
def test_an_alarm_is_one_that_cloudwatch_takes(alarm: Alarm) -> None:
    assert alarm.period in (10, 30) or alarm.period % 60 == 0
    assert 1 <= alarm.needed <= alarm.periods
    assert alarm.period * alarm.periods <= 86_400
    assert alarm.percentile or alarm.statistic in ("Average", "Minimum", "Maximum", "Sum")
    if alarm.namespace.startswith("AWS/"):
        assert alarm.period >= 60, "AWS tells its own each minute at best"


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda each: each.key)
def test_a_metric_of_ours_is_one_that_machines_tell_of_that_tier(alarm: Alarm) -> None:
    if alarm.namespace != "Expressway":
        return
    guide = (ROOT / "docs/monitoring.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in guide.splitlines()[2:]]
    tiers = {name.strip("`"): row[3] for row in rows for name in row[0].split(", ")}
    assert tiers[alarm.metric] in (alarm.of, "both")


CONNECTIONS = {
    "db.t4g.micro": 112, "db.t3.medium": 450, "db.m7g.large": 901, "db.r6g.large": 1802, "db.m5.2xlarge": 3604,
    "db.r7g.16xlarge": 5000, "db.x2g.large": 3604, "db.m7g.metal": None,
}  # fmt: skip


def test_a_databases_connections_follow_from_its_memory() -> None:
    assert {each: planning.database_connections(each) for each in CONNECTIONS} == CONNECTIONS


def board(**more: Any) -> dict[str, Any]:
    return json.loads(make(**given(**more)).one(DASHBOARD).inputs["dashboardBody"])


def test_the_dashboard_says_first_whether_it_is_well_and_then_which_tier() -> None:
    widgets = board()["widgets"]
    first, *graphs = widgets
    assert (first["type"], first["y"], first["width"]) == ("alarm", 0, 24)
    assert len(first["properties"]["alarms"]) == len(ALARMS)
    assert all(each.startswith("arn:aws:cloudwatch:") for each in first["properties"]["alarms"])
    assert [each["properties"]["title"].partition(":")[0] for each in graphs] == [
        *(["Site"] * 3), *(["Edge"] * 4), *(["App"] * 4), *(["Database"] * 4), *(["Cache"] * 4), *(["Kit"] * 4)
    ]  # fmt: skip
    site = {each["properties"]["metrics"][0][1] for each in graphs[:3]}
    assert site == {"ErrorShare", "ResponseTime", "Requests"}
    assert board(alarm_emails=[])["widgets"][0]["type"] == "metric", "without alarms there is no state to show"


def test_the_kits_row_has_replicas_where_there_are_any_and_is_not_there_without_an_app() -> None:
    def kit(**tiers: Any) -> set[str]:
        body = json.loads(make(**tiers).one(DASHBOARD).inputs["dashboardBody"])
        graphs = [each["properties"] for each in body["widgets"] if each["properties"]["title"].startswith("Kit")]
        return {metric[1] for graph in graphs for metric in graph["metrics"]}

    args: dict[str, Any] = {**example_args.monitoring()}
    alone = {"KitHitRate", "KitStaleRate", "KitBypassRate", "KitBreakersOpen", "KitRetries"}
    assert kit(app=args["app"]) == alone
    assert kit(app=args["app"], database=args["database"]) == alone | {"KitReplicasInRotation", "KitReplicaLag"}
    assert kit(database=args["database"]) == set()


def test_the_widgets_are_of_cloudwatchs_structure_and_do_not_overlap() -> None:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    body = board()
    assert set(body) <= {"start", "end", "periodOverride", "widgets", "variables"}
    assert len(body["widgets"]) <= 500
    taken: set[tuple[int, int]] = set()
    for widget in body["widgets"]:
        assert set(widget) == {"type", "x", "y", "width", "height", "properties"}
        assert 1 <= widget["width"] <= 24
        assert widget["x"] + widget["width"] <= 24
        assert 1 <= widget["height"] <= 1000
        box = {
            (widget["x"] + across, widget["y"] + down)
            for across in range(widget["width"])
            for down in range(widget["height"])
        }
        assert not box & taken, widget["properties"]["title"]
        taken |= box
        if widget["type"] == "alarm":
            assert set(widget["properties"]) <= {"title", "alarms", "sortBy", "states"}
            assert 1 <= len(widget["properties"]["alarms"]) <= 100
            continue
        properties = widget["properties"]
        required = {"title", "region", "view", "stacked", "period", "metrics", "yAxis"}
        assert required <= set(properties) <= required | {"annotations"}
        for namespace, metric, dimension, value, options in properties["metrics"]:
            assert dimension == planning.DIMENSIONS[namespace]
            assert metric
            assert value
            assert set(options) == {"stat", "label"}
            assert re.fullmatch(r"Average|Minimum|Maximum|Sum|p\d+", options["stat"])


def test_a_graph_has_the_line_that_its_alarm_is_raised_at() -> None:
    graphs = {each["properties"]["title"]: each["properties"] for each in board(error_percent=7)["widgets"][1:]}
    line = graphs["Site: answers with 5xx, %"]["annotations"]["horizontal"]
    assert line == [{"label": "alarm", "value": 7}]
    assert len(graphs["Cache: memory, %"]["annotations"]["horizontal"]) == 1, "two nodes, one line"
    assert "annotations" not in graphs["Site: answers in 10 s"]


def test_statistics_are_words_of_cloudwatch() -> None:
    model: Any = botocore.session.get_session().get_service_model("cloudwatch")
    statistics = model.shape_for("Statistic").metadata["enum"]
    assert {each.statistic for each in ALARMS if not each.percentile} <= set(statistics)
