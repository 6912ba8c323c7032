"""The whole program: every example builds, what the stack tells, and how fast it gets there."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pytest
import yaml
from recording import Recording, record

import artifact
import settings
import stack
from components import state
from settings import Settings
from tests.paths import ROOT

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
STACKS = ["dev", "staging", "prod", "lab"]

pytestmark = pytest.mark.usefixtures("user_data")


@dataclass(frozen=True)
class Built:
    """Stands for an artifact that was built."""

    path: Path
    key: str
    sha256: str = "5e" * 32
    release_id: str = "5e88"


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """App and runtime are in the cache already."""
    for name in ("app", "node"):
        (tmp_path / name).write_bytes(b"archive")
    monkeypatch.setattr(artifact, "find", lambda *_: Built(tmp_path / "app", "releases/app.tar.gz"))
    monkeypatch.setattr(
        artifact,
        "find_runtime",
        lambda node, arch, _: Built(tmp_path / "node", f"runtime/node-{node}-{arch}.tar.gz"),
    )


def load(name: str) -> Settings:
    return settings.from_file(ROOT / f"Pulumi.{name}.yaml")


def build(name: str, *, preview: bool = False) -> Recording:
    return record(lambda: stack.build(load(name)), stack=name, preview=preview)


@pytest.mark.parametrize("name", STACKS)
def test_every_example_builds_the_same_in_preview_and_update(name: str) -> None:
    made, preview = build(name), build(name, preview=True)
    assert set(made.resources) == set(preview.resources)
    assert {key[1] for key in made.resources if key[0].startswith("expressway:")} == {
        f"{name}-{role}" for role in ("network", "release", "database", "cache", "app", "edge")
    }


def test_the_stack_tells_where_everything_is() -> None:
    assert build("dev").outputs == {
        "url": "http://198.51.100.10",
        "edgeAddress": "198.51.100.10",
        "edgeGroupName": "dev-edge-group",
        "appGroupName": "dev-app-group",
        "edgeLogGroup": "dev-edge-logs",
        "appLogGroup": "dev-app-logs",
        "databaseLogGroup": "/aws/rds/instance/dev-database-instance/postgresql",
        "appPort": 3000,
        "readinessPath": "/readyz",
        "region": "us-east-1",
        "nodeVersion": 24,
        "architecture": "x64",
        "apm": "",
        "artifactBucket": "dev-release-bucket",
        "releaseParameter": "dev-release-pointer",
        "databaseEndpoint": "dev-database-instance.rds.example:5432",
        "databaseUrlSecret": "",
        "databasePasswordSecret": "",
        "databasePasswordSecrets": [""],
        "databaseAppSecrets": [],
        "databaseEndpoints": ["dev-database-instance.rds.example:5432"],
        "cacheEndpoint": "dev-cache-redis.cache.example:6379",
        "cacheTokenSecret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-cache-token",
        "vpcId": "dev-network-vpc-id",
        "publicSubnetIds": ["dev-network-public-us-east-1a-id", "dev-network-public-us-east-1b-id"],
        "privateSubnetIds": ["dev-network-private-us-east-1a-id", "dev-network-private-us-east-1b-id"],
    }


def test_the_tiers_are_chained_by_security_group() -> None:
    made = build("dev")
    allowed = {
        (
            rule.inputs.get("referencedSecurityGroupId", "everybody"),
            rule.inputs["securityGroupId"],
            rule.inputs["toPort"],
        )
        for rule in made.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    }
    assert allowed == {
        ("everybody", "dev-edge-group-id", 80),
        ("dev-edge-group-id", "dev-app-group-id", 3000),
        ("dev-app-group-id", "dev-cache-group-id", 6379),
        ("dev-app-group-id", "dev-database-group-id", 5432),
    }


def test_app_servers_are_in_private_subnets_and_the_edge_in_public_ones() -> None:
    made = build("dev")
    groups = {each.name: each.inputs["vpcZoneIdentifiers"] for each in made.all("aws:autoscaling/group:Group")}
    assert {each.split("-")[2] for each in groups["dev-app-group"]} == {"private"}
    assert {each.split("-")[2] for each in groups["dev-edge-group"]} == {"public"}


def test_without_nat_app_servers_go_where_they_can_call_out() -> None:
    without = load("dev").model_copy(update={"network": load("dev").network.model_copy(update={"nat": "none"})})
    made = record(lambda: stack.build(without))
    group = made.one("aws:autoscaling/group:Group", "dev-app-group")
    assert {each.split("-")[2] for each in group.inputs["vpcZoneIdentifiers"]} == {"public"}
    assert not made.all("aws:ec2/natGateway:NatGateway")


def test_data_outlives_only_a_production_stack() -> None:
    kept, gone = build("prod"), build("dev")
    assert kept.one("aws:rds/instance:Instance").inputs["skipFinalSnapshot"] is False
    assert kept.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is False
    assert gone.one("aws:rds/instance:Instance").inputs["skipFinalSnapshot"] is True
    assert gone.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is True


def test_only_production_pays_for_a_nat_gateway_in_each_zone() -> None:
    assert len(build("prod").all("aws:ec2/natGateway:NatGateway")) == 3
    assert len(build("staging").all("aws:ec2/natGateway:NatGateway")) == 1


def test_every_setting_reaches_a_resource() -> None:
    config = {
        "aws:region": "us-east-1",
        "aws:defaultTags": {"tags": {"team": "web"}},
        "expressway:network": {"cidr": "10.77.0.0/16", "zones": 3},
        "expressway:edge": {"instanceType": "t4g.micro", "image": "edge-*", "maxBodySize": "77m", "events": True},
        "expressway:app": {
            "port": 7777,
            "livenessPath": "/live77",
            "readinessPath": "/ready77",
            "nodeVersion": 26,
            "instanceType": "c7g.large",
            "image": "app-*",
            "minSize": 7,
            "maxSize": 17,
            "targetCpu": 77,
            "targetRequests": 777,
            "environment": {"LOG_LEVEL": "level77"},
            "secrets": {"STRIPE_KEY": "secret77"},
            "apm": "appdynamics",
            "apmSecret": "apm77",
            "apmEndpoint": "https://otlp.example.com:7443",
            "apmController": "acme77.example.com",
        },
        "expressway:monitoring": {
            "metrics": True,
            "scrapeFrom": ["10.77.77.0/24"],
            "alarmEmails": ["team77@example.com"],
            "alarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms77",
            "errorPercent": 77,
            "p95Ms": 7777,
            "dashboard": True,
            "logs": True,
            "accessLogs": "none",
            "logRetentionDays": 7,
        },
        "expressway:sessionManager": {"agentKey": "tests/fixtures/session_manager/signer.asc"},
        "expressway:cache": {
            "engine": "valkey",
            "engineVersion": "8.0",
            "nodeType": "cache.r77.large",
            "replicas": 3,
            "evictionPolicy": "allkeys-lfu",
            "snapshotDays": 7,
            "snapshotWindow": "07:00-08:00",
            "maintenanceWindow": "tue:17:00-tue:18:00",
        },
        "expressway:database": {
            "engineVersion": "15.7",
            "instanceClass": "db.r77.large",
            "storageGb": 77,
            "multiAz": True,
            "backupDays": 17,
            "deletionProtection": True,
            "applyImmediately": False,
            "name": "shop77",
            "appUser": "shop_app77",
            "slowStatementMs": 77,
            "maxStorageGb": 777,
            "backupWindow": "07:07-07:47",
            "maintenanceWindow": "sun:17:00-sun:17:37",
            "insights": "advanced",
            "parameters": {"work_mem": "7777", "max_connections": "1777"},
            "restoreFrom": "shop77",
            "restoreTime": "2026-07-07T07:07:07Z",
            "pooler": "none",
            "keepProxy": True,
            "poolSize": 7,
        },
    }
    settled = settings.parse(config, stack="dev", base=ROOT, source="test")
    made = record(lambda: stack.build(settled))
    database, cache = (
        made.one("aws:rds/instance:Instance").inputs,
        made.one("aws:elasticache/replicationGroup:ReplicationGroup").inputs,
    )
    assert made.one("aws:ec2/vpc:Vpc").inputs["cidrBlock"] == "10.77.0.0/16"
    assert len(made.all("aws:ec2/subnet:Subnet")) == 6
    assert [database[key] for key in ("engineVersion", "instanceClass", "allocatedStorage", "multiAz")] == [
        *("15.7", "db.r77.large", 77, True)
    ]
    assert database["applyImmediately"] is False
    assert [database[key] for key in ("backupRetentionPeriod", "deletionProtection")] == [17, True]
    assert [database[key] for key in ("maxAllocatedStorage", "backupWindow", "maintenanceWindow")] == [
        *(777, "07:07-07:47", "sun:17:00-sun:17:37")
    ]
    assert database["databaseInsightsMode"] == "advanced"
    assert database["restoreToPointInTime"] == {
        "sourceDbInstanceIdentifier": "shop77",
        "restoreTime": "2026-07-07T07:07:07Z",
    }
    assert made.machine("dev-app")["database"]["name"] == "shop77"
    assert "user-shop_app77" in made.machine("dev-app")["database"]["secret"]
    assert [cache[key] for key in ("engine", "engineVersion", "nodeType", "numCacheClusters")] == [
        *("valkey", "8.0", "cache.r77.large", 4)
    ]
    assert [cache[key] for key in ("snapshotRetentionLimit", "snapshotWindow")] == [7, "07:00-08:00"]
    assert cache["maintenanceWindow"] == "tue:17:00-tue:18:00"
    parameters = made.one("aws:elasticache/parameterGroup:ParameterGroup").inputs["parameters"]
    assert {"name": "maxmemory-policy", "value": "allkeys-lfu"} in parameters
    group = made.one("aws:autoscaling/group:Group", "dev-app-group").inputs
    assert (group["minSize"], group["maxSize"]) == (7, 17)
    template = made.one("aws:ec2/launchTemplate:LaunchTemplate", "dev-app-template").inputs
    assert template["instanceType"] == "c7g.large"
    assert template["tagSpecifications"][0]["tags"]["team"] == "web"
    edge = made.one("aws:ec2/launchTemplate:LaunchTemplate", "dev-edge-template").inputs
    assert edge["instanceType"] == "t4g.micro"
    assert edge["tagSpecifications"][0]["tags"]["team"] == "web"
    images = {each["filters"][0]["values"][0] for each in made.called("aws:ec2/getAmi:getAmi")}
    assert images == {"edge-*", "app-*"}
    targets = [each.inputs["targetTrackingConfiguration"] for each in made.all("aws:autoscaling/policy:Policy")]
    assert {each["targetValue"] for each in targets} == {77, 777}
    app, balancer = made.machine("dev-app"), made.machine("dev-edge")
    assert app["runtime"]["key"] == "runtime/node-26-arm64.tar.gz"
    assert app["session_manager"] == balancer["session_manager"] == settled.session_manager_key
    assert app["app"]["port"] == balancer["upstream"]["port"] == 7777
    assert (app["database"]["pooler"], app["database"]["pool_size"]) == ("none", 7)
    pool = made.one("aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup").inputs["connectionPoolConfig"]
    assert pool["maxConnectionsPercent"] == 40
    assert app["app"]["liveness_path"] == "/live77"
    assert app["app"]["readiness_path"] == balancer["upstream"]["readiness_path"] == "/ready77"
    assert app["app"]["environment"] == {"LOG_LEVEL": "level77"}
    assert "secret77" in app["app"]["secrets"]["STRIPE_KEY"]
    watched_by = app["apm"]
    assert (watched_by["vendor"], watched_by["endpoint"]) == ("appdynamics", "https://otlp.example.com:7443")
    assert (watched_by["service"], watched_by["environment"]) == ("expressway-example", "dev")
    assert watched_by["controller"] == "acme77.example.com"
    assert "apm77" in watched_by["secret"]
    assert made.outputs["apm"] == "appdynamics", "a deploy builds with it"
    called = {each.inputs["fromPort"] for each in made.all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")}
    assert 7443 in called, "its endpoint's port is open"
    assert balancer["max_body_size"] == "77m"
    assert balancer["events_queue_url"].endswith("/dev-edge-events")
    assert balancer["upstream"]["tracks_requests"] is True
    scraped = [
        (rule.inputs["securityGroupId"], rule.inputs["fromPort"])
        for rule in made.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
        if rule.inputs.get("cidrIpv4") == "10.77.77.0/24"
    ]
    assert sorted(scraped) == [("dev-app-group-id", 9464), ("dev-edge-group-id", 9464)]
    assert app["metrics"] == balancer["metrics"] == {"scraped": True}
    told = made.one("aws:sns/topicSubscription:TopicSubscription").inputs
    assert (told["endpoint"], told["topic"]) == ("team77@example.com", "arn:aws:sns:us-east-1:123456789012:alarms77")
    raised_at = {each.name: each.inputs["threshold"] for each in made.all(ALARM)}
    assert raised_at["dev-monitoring-edge-errors"] == 77
    assert raised_at["dev-monitoring-edge-p95"] == 7777
    assert raised_at["dev-monitoring-edge-servers"] == 7
    assert made.one("aws:cloudwatch/dashboard:Dashboard")
    assert balancer["logs"] == {"group": "dev-edge-logs", "access": "none"}
    groups = made.all("aws:cloudwatch/logGroup:LogGroup")
    assert {each.name: each.inputs["retentionInDays"] for each in groups} == {
        **{"dev-app-logs": 7, "dev-edge-logs": 7, "dev-database-logs": 7, "dev-database-proxy-logs": 7}
    }
    parameters = made.one("aws:rds/parameterGroup:ParameterGroup").inputs["parameters"]
    assert {"name": "log_min_duration_statement", "value": "77"} in parameters
    assert {"name": "work_mem", "value": "7777"} in parameters
    assert {"name": "max_connections", "value": "1777", "applyMethod": "pending-reboot"} in parameters


def shards(count: int, **changed: object) -> Settings:
    dev = load("dev")
    return dev.model_copy(update={"database": dev.database.model_copy(update={"shards": count, **changed})})


def test_each_shard_is_a_database_like_the_first_and_that_is_the_one_that_it_was_alone() -> None:
    alone, made = build("dev"), record(lambda: stack.build(shards(3)), stack="dev")
    instances = {each.name: each for each in made.all("aws:rds/instance:Instance")}
    assert sorted(instances) == [f"dev-database{each}-instance" for each in ("-2", "-3", "")]
    one = instances.pop("dev-database-instance")

    def same(inputs: dict[str, object]) -> dict[str, object]:
        own = ("identifier", "dbSubnetGroupName", "parameterGroupName", "vpcSecurityGroupIds")
        return {name: each for name, each in inputs.items() if name not in (*own, "finalSnapshotIdentifier")}

    for each in (alone.one("aws:rds/instance:Instance"), *instances.values()):
        assert same(each.inputs) == same(one.inputs)
    first = {key: each for key, each in alone.resources.items() if "database" in key[1]}
    assert first.keys() <= made.resources.keys(), "a standing stack keeps what it has"
    assert one.inputs["identifier"] == alone.one("aws:rds/instance:Instance").inputs["identifier"]


def test_app_servers_are_told_of_every_shard_and_so_is_the_world() -> None:
    made = record(lambda: stack.build(shards(3)), stack="dev")
    hosts = [f"dev-database{each}-instance.rds.example" for each in ("", "-2", "-3")]
    told = made.machine("dev-app")["database"]
    assert [told["host"], *(each["host"] for each in told["shards"])] == hosts
    assert {each["pool_size"] for each in told["shards"]} == {told["pool_size"]} == {6}, (
        "each has connections of its own"
    )
    assert made.outputs["databaseEndpoints"] == [f"{host}:5432" for host in hosts]
    assert made.outputs["databaseEndpoint"] == f"{hosts[0]}:5432"
    assert "shards" not in build("dev").machine("dev-app")["database"]


def test_each_shard_has_the_databases_alarms() -> None:
    watched = load("dev").monitoring.model_copy(update={"alarm_emails": ["team@example.com"]})
    made = record(lambda: stack.build(shards(2).model_copy(update={"monitoring": watched})), stack="dev")
    alarms = {each.name: each.inputs["dimensions"] for each in made.all(ALARM)}
    assert alarms["dev-monitoring-database-cpu"] == {"DBInstanceIdentifier": "dev-database-instance"}
    assert alarms["dev-monitoring-database-shard-1-cpu"] == {"DBInstanceIdentifier": "dev-database-2-instance"}


@pytest.mark.parametrize(("there", "refused"), [(("", "-2"), True), (("", "-12"), True), (("",), False)])
def test_fewer_shards_than_stand_are_refused_before_any_resource(
    there: tuple[str, ...], refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = [
        state.Standing(state.DATABASE, f"dev-database{each}-instance", {"dbName": "app", "allocatedStorage": 20})
        for each in (*there, "s-of-others")
    ]
    monkeypatch.setattr(state, "read", lambda: state.State(tuple(standing)))
    if not refused:
        assert build("dev").outputs
        return
    with pytest.raises(stack.StandingError, match=r"expressway:database\.shards = 1\n.*there are \d+ now"):
        build("dev")


def test_what_one_shard_has_come_to_binds_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    standing = [
        state.Standing(state.DATABASE, f"dev-database{each}-instance", {"dbName": "app", **outputs})
        for each, outputs in (
            ("", {"allocatedStorage": 20, "engineVersionActual": "17.6"}),
            ("-2", {"allocatedStorage": 40, "engineVersionActual": "18.1"}),
        )
    ]
    monkeypatch.setattr(state, "read", lambda: state.State(tuple(standing)))
    with pytest.raises(stack.StandingError) as refusal:
        record(lambda: stack.build(shards(2)), stack="dev")
    assert re.findall(r"expressway:\S+", str(refusal.value)) == [
        *("expressway:database.engineVersion", "expressway:database.storageGb")
    ]


def test_a_database_starts_from_the_snapshot_that_the_settings_name() -> None:
    dev = load("dev")
    database = dev.database.model_copy(update={"snapshot": "shop-before"})
    made = record(lambda: stack.build(dev.model_copy(update={"database": database})), stack="dev")
    assert made.one("aws:rds/instance:Instance").inputs["snapshotIdentifier"] == "shop-before"


def test_an_app_with_a_role_of_its_own_has_a_secret_for_each_shard_and_machines_have_the_master_users_too() -> None:
    made, plain = record(lambda: stack.build(shards(2, app_user="shop")), stack="dev"), build("dev")
    told = made.machine("dev-app")["database"]
    own, masters = ([each[key] for each in (told, *told["shards"])] for key in ("secret", "master_secret"))
    assert made.outputs["databaseAppSecrets"] == own
    assert [each.rpartition(":")[2] for each in own] == ["dev-database-user-shop", "dev-database-2-user-shop"]
    assert masters[0] == plain.machine("dev-app")["database"]["secret"], "the one that the app has without it"
    allowed = made.one("aws:iam/rolePolicy:RolePolicy", "dev-app-boot").inputs["policy"]
    assert all(f'"{each}"' in allowed for each in (*own, *masters))
    version = made.one("aws:secretsmanager/secretVersion:SecretVersion", "dev-database-user-shop")
    assert json.loads(version.inputs["secretString"])["username"] == "shop"
    assert "secretString" in version.secrets
    assert version.ignore_changes == ("secretString",), "it is rotated beside Pulumi"
    assert plain.machine("dev-app")["database"]["master_secret"] is None
    assert plain.outputs["databaseAppSecrets"] == []


def test_replicas_are_told_to_the_app_servers_and_watched() -> None:
    dev = load("dev")
    changed = {
        "database": dev.database.model_copy(update={"replicas": 2}),
        "monitoring": dev.monitoring.model_copy(update={"alarm_emails": ["team@example.com"]}),
    }
    settled = dev.model_copy(update=changed)
    made = record(lambda: stack.build(settled), stack="dev")
    database = made.machine("dev-app")["database"]
    assert database["replica_hosts"] == ["dev-database-replica1.rds.example", "dev-database-replica2.rds.example"]
    assert database["secret"] == made.outputs["databasePasswordSecret"]
    assert database["secret"].endswith("dev-database-password")
    allowed = made.one("aws:iam/rolePolicy:RolePolicy", "dev-app-boot").inputs["policy"]
    assert database["secret"] in allowed
    lag = {
        each.name: each.inputs["dimensions"]
        for each in made.all(ALARM)
        if "lag" in each.name and "database" in each.name
    }
    assert lag == {
        f"dev-monitoring-database-lag-replica{number}": {"DBInstanceIdentifier": f"dev-database-replica{number}"}
        for number in (1, 2)
    }
    assert {each.key for each in settled.alarms} == {
        each.name.removeprefix("dev-monitoring-") for each in made.all(ALARM)
    }, "the doctor counts those that there are"


def test_each_shard_has_its_replicas_which_are_told_and_watched() -> None:
    settled = shards(2, replicas=1)
    settled = settled.model_copy(
        update={"monitoring": settled.monitoring.model_copy(update={"alarm_emails": ["team@example.com"]})}
    )
    made = record(lambda: stack.build(settled), stack="dev")
    first = made.machine("dev-app")["database"]
    (second,) = first["shards"]
    assert [each["replica_hosts"] for each in (first, second)] == [
        ["dev-database-replica1.rds.example"],
        ["dev-database-2-replica1.rds.example"],
    ]
    assert first["secret"] != second["secret"], "each has a password of its own"
    lag = {
        each.name: each.inputs["dimensions"]["DBInstanceIdentifier"] for each in made.all(ALARM) if "-lag-" in each.name
    }
    assert {
        name.removeprefix("dev-monitoring-database-lag-"): of for name, of in lag.items() if "database" in name
    } == {
        "replica1": "dev-database-replica1",
        "shard-1-replica1": "dev-database-2-replica1",
    }


def test_a_servers_pool_follows_from_the_databases_class_and_the_most_servers() -> None:
    dev = load("dev")
    assert dev.connections.size == 6, "of the 78 connections of a micro, for 2 x 4 servers"
    assert build("dev").machine("dev-app")["database"]["pool_size"] == 6
    larger = dev.model_copy(update={"database": dev.database.model_copy(update={"instance_class": "db.t4g.small"})})
    assert record(lambda: stack.build(larger)).machine("dev-app")["database"]["pool_size"] == (191 - 15) // 8 - 1


def test_what_a_servers_pool_follows_from_gives_it_another_launch_template() -> None:
    """By which `expressway deploy` knows the servers that have the pool of before."""
    dev = load("dev")

    def told(settings: Settings) -> str:
        made = record(lambda: stack.build(settings))
        return made.one("aws:ec2/launchTemplate:LaunchTemplate", "dev-app-template").inputs["userData"]

    def app(**changed: object) -> Settings:
        return dev.model_copy(update={"app": dev.app.model_copy(update=changed)})

    def database(**changed: object) -> Settings:
        return dev.model_copy(update={"database": dev.database.model_copy(update=changed)})

    other = [
        app(max_size=6),
        database(instance_class="db.t4g.small"),
        database(pool_size=5),
        database(pooler="none", pool_size=1),
    ]
    assert len({told(each) for each in (dev, *other)}) == 5
    assert told(app(target_cpu=55)) == told(dev), "and nothing that a server isn't told"


def watched(**monitoring: object) -> Settings:
    dev = load("dev")
    return dev.model_copy(update={"monitoring": dev.monitoring.model_copy(update=monitoring)})


def test_alarms_are_those_that_the_settings_count_and_look_at_the_stacks_own_things() -> None:
    settled = watched(alarm_emails=["team@example.com"], dashboard=True)
    made = record(lambda: stack.build(settled), stack="dev")
    prefix = "dev-monitoring-"
    assert {each.name for each in made.all(ALARM)} == {f"{prefix}{each.key}" for each in settled.alarms}
    looked_at = {next(iter(each.inputs["dimensions"].values())) for each in made.all(ALARM)}
    assert looked_at == {"dev-edge-group", "dev-app-group", "dev-database-instance", "dev-cache-redis-001"}
    assert made.outputs["alarmTopicArn"] == f"arn:aws:sns:us-east-1:123456789012:{prefix}alarms"
    assert made.outputs["dashboardUrl"].endswith("?region=us-east-1#dashboards/dashboard/dev-monitoring-us-east-1")


def test_what_nobody_asks_for_is_not_there() -> None:
    alone = record(lambda: stack.build(watched(dashboard=True)), stack="dev")
    assert not alone.all(ALARM)
    assert "alarmTopicArn" not in alone.outputs
    emails = record(lambda: stack.build(watched(alarm_emails=["team@example.com"])), stack="dev")
    assert not emails.all("aws:cloudwatch/dashboard:Dashboard")
    assert "dashboardUrl" not in emails.outputs


def test_alarms_on_what_machines_do_not_measure_are_refused() -> None:
    monitoring = {"metrics": False, "alarmEmails": ["team@example.com"]}
    config = {"aws:region": "us-east-1", "expressway:monitoring": monitoring}
    with pytest.raises(settings.SettingsError, match="it must be true with alarms or a dashboard") as refusal:
        settings.parse(config, stack="dev", base=ROOT, source="test")
    assert [each.path for each in refusal.value.problems] == ["expressway:monitoring.metrics"]


def test_without_metrics_machines_measure_nothing_and_may_tell_nobody() -> None:
    off = load("dev").model_copy(update={"monitoring": load("dev").monitoring.model_copy(update={"metrics": False})})
    made = record(lambda: stack.build(off), stack="dev")
    assert made.machine("dev-app")["metrics"] is made.machine("dev-edge")["metrics"] is None
    policies = {each.name: each.inputs["policy"] for each in made.all("aws:iam/rolePolicy:RolePolicy")}
    assert not [name for name, policy in policies.items() if "cloudwatch:Put" in policy]
    with_them = build("dev").all("aws:iam/rolePolicy:RolePolicy")
    assert sorted(each.name for each in with_them if "cloudwatch:Put" in each.inputs["policy"]) == [
        "dev-app-boot",
        "dev-edge-boot",
    ]


def test_without_logs_nobody_may_write_any_and_there_is_no_group_of_them() -> None:
    off = load("dev").model_copy(update={"monitoring": load("dev").monitoring.model_copy(update={"logs": False})})
    made = record(lambda: stack.build(off), stack="dev")
    assert made.machine("dev-app")["logs"] is made.machine("dev-edge")["logs"] is None
    assert not made.all("aws:cloudwatch/logGroup:LogGroup")
    assert not [each for each in made.all("aws:iam/rolePolicy:RolePolicy") if "logs:" in each.inputs["policy"]]
    assert made.one("aws:rds/instance:Instance").inputs["enabledCloudwatchLogsExports"] == []
    assert [made.outputs[f"{tier}LogGroup"] for tier in ("edge", "app", "database")] == ["", "", ""]


def test_no_secret_is_in_user_data_or_outputs() -> None:
    made = build("dev")
    told = json.dumps([made.machine("dev-app"), made.machine("dev-edge"), made.outputs])
    assert "drawn-by-aws" not in told, "the cache's token is for machines to fetch, by their role"


def test_what_the_stack_cannot_become_stops_before_any_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    def stands(kind: str, name: str, **outputs: object) -> state.Standing:
        return state.Standing(kind, name, outputs)

    there = state.State(
        (
            stands(state.VPC, "dev-network-vpc", cidrBlock="10.99.0.0/16"),
            stands(state.DATABASE, "dev-database-instance", dbName="other", engineVersionActual="18.1"),
            stands(state.CACHE, "dev-cache-redis", engineVersion="8.0"),
            stands(state.VPC, "somebody-elses-vpc", cidrBlock="10.20.0.0/16"),
        )
    )
    monkeypatch.setattr(state, "read", lambda: there)
    monkeypatch.setattr(stack, "Release", None)  # the first that would be made
    with pytest.raises(stack.StandingError) as refused:
        build("dev")
    assert re.findall(r"expressway:\S+", str(refused.value)) == [
        f"expressway:{path}"
        for path in ("cache.engineVersion", "database.engineVersion", "database.name", "network.cidr")
    ]


def test_a_clusters_shards_are_told_to_the_app_servers_and_watched() -> None:
    dev = load("dev")
    changed = {
        "cache": dev.cache.model_copy(update={"shards": 2, "replicas": 1}),
        "monitoring": dev.monitoring.model_copy(update={"alarm_emails": ["team@example.com"]}),
    }
    settled = dev.model_copy(update=changed)
    made = record(lambda: stack.build(settled), stack="dev")
    group = made.one("aws:elasticache/replicationGroup:ReplicationGroup").inputs
    assert (group["numNodeGroups"], group["replicasPerNodeGroup"]) == (2, 1)
    assert made.outputs["cacheEndpoint"] == "clustercfg.dev-cache-slots.cache.example:6379"
    assert made.machine("dev-app")["cache"]["cluster"] is True
    lag = {
        each.inputs["dimensions"]["CacheClusterId"] for each in made.all(ALARM) if re.search("cache-.*-lag", each.name)
    }
    assert lag == {f"dev-cache-slots-{shard}-{node}" for shard in ("0001", "0002") for node in ("001", "002")}
    assert {each.key for each in settled.alarms} == {
        each.name.removeprefix("dev-monitoring-") for each in made.all(ALARM)
    }, "the doctor counts those that there are"


@pytest.mark.parametrize("shards", [None, 2])
def test_a_cache_is_held_to_what_stands_of_its_own_kind_alone(
    shards: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that it takes the place of may have been a newer version; that is no way back."""
    plain, cluster = "dev-cache-redis", "dev-cache-slots"
    own, other = (plain, cluster) if shards is None else (cluster, plain)
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda line, *_: said.append(line))
    dev = load("dev")
    settled = dev.model_copy(update={"cache": dev.cache.model_copy(update={"shards": shards})})

    def build_beside(*names: str) -> None:
        there = [state.Standing(state.CACHE, name, {"engine": "valkey", "engineVersion": "9.9"}) for name in names]
        monkeypatch.setattr(state, "read", lambda: state.State(tuple(there)))
        record(lambda: stack.build(settled), stack="dev")

    build_beside(other)
    assert [line for line in said if line.startswith("expressway:cache.shards = ")] == said != []
    with pytest.raises(stack.StandingError, match=r"expressway:cache\.engine"):
        build_beside(own)
    said.clear()
    with pytest.raises(stack.StandingError, match=r"expressway:cache\.engine"):
        build_beside(own, other)
    assert not said, "an update that was cut short has made it already"


def test_what_was_not_built_is_told_with_the_command_that_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "find", lambda *_: None)
    with pytest.raises(stack.NotBuiltError, match=r"run ./expressway build Pulumi.dev.yaml"):
        build("dev")
    assert issubclass(stack.NotBuiltError, pulumi.RunError), "Pulumi shows such an error without a traceback"


def test_nothing_deprecated_is_used(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    build("prod")
    assert not [each for each in caplog.messages if "deprecated" in each]


def test_bad_configuration_ends_the_program_before_anything_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    namespace: dict[str, object] = {"__name__": "program"}
    exec(compile((ROOT / "__main__.py").read_text(), "__main__.py", "exec"), namespace)  # noqa: S102
    main = namespace["main"]
    assert callable(main)
    with pytest.raises(pulumi.RunError, match="1 mistake"):
        record(lambda: main(), config={"aws:region": "us-east-1", "expressway:app": '{"port": 1}'})


def test_the_program_stays_small() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 40
    assert yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["runtime"] == {
        "name": "python",
        "options": {"toolchain": "pip", "virtualenv": ".venv"},
    }
