"""One rule, one place: whoever gives a bad value, to whatever reads it, is told the same."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import example_args
import pulumi
import pytest
from pulumi.provider.experimental.analyzer import Analyzer, PropertyDefinition, PropertyType
from recording import record

import settings
from components import planning
from components._plugin import COMPONENTS, Plugin

pytestmark = pytest.mark.usefixtures("user_data")

ROOT = Path(__file__).resolve().parents[2]
CLASSES: dict[str, Callable[..., pulumi.ComponentResource]] = {each.__name__: each for each in COMPONENTS}
LONG = "x" * 257

CASES: list[tuple[str, str, Any, str]] = [
    # component, its property, a bad value, the setting of the same value (empty where there is none)
    ("LoadBalancer", "maxBodySize", "1m; } evil {", "edge.maxBodySize"),
    ("LoadBalancer", "maxBodySize", "9999999999g", "edge.maxBodySize"),
    ("LoadBalancer", "instanceType", "t3", "edge.instanceType"),
    ("LoadBalancer", "image", "ami-xyz", "edge.image"),
    ("LoadBalancer", "volumeSize", 4, ""),
    ("LoadBalancer", "targets.port", 0, ""),
    ("LoadBalancer", "targets.readinessPath", "x y;", ""),
    ("LoadBalancer", "certificate", "-----BEGIN PRIVATE KEY----- hunter2", "edge.certificate"),
    ("LoadBalancer", "trustedProxies", ["203.0.113.0/24", "0.0.0.0/0"], "edge.trustedProxies"),
    ("LoadBalancer", "trustedProxies", ["203.0.113.0/24", "10.0.0.1/8"], "edge.trustedProxies"),
    ("LoadBalancer", "trustedProxies", ["203.0.113.0/24", "10.0.0.0/8; } evil {"], "edge.trustedProxies"),
    ("LoadBalancer", "trustedProxies", ["203.0.113.0/24", "203.0.113.0/24"], "edge.trustedProxies"),
    ("LoadBalancer", "scrapeFrom", ["10.30.0.0/16", "0.0.0.0/0"], "monitoring.scrapeFrom"),
    ("LoadBalancer", "accessLogs", "some", "monitoring.accessLogs"),
    ("LoadBalancer", "logRetentionDays", 31, "monitoring.logRetentionDays"),
    ("LoadBalancer", "sessionManagerKey", "-----BEGIN PGP PRIVATE KEY BLOCK-----", ""),
    ("LoadBalancer", "tags.aws:team", "web", ""),
    ("AppServers", "instanceType", "small", "app.instanceType"),
    ("AppServers", "image", "a", "app.image"),
    ("AppServers", "volumeSize", 20000, ""),
    ("AppServers", "port", 0, "app.port"),
    ("AppServers", "port", 80, "app.port"),
    ("AppServers", "port", 65536, "app.port"),
    ("AppServers", "livenessPath", "healthz", "app.livenessPath"),
    ("AppServers", "readinessPath", "x y;", "app.readinessPath"),
    ("AppServers", "readinessPath", "/$host", "app.readinessPath"),
    ("AppServers", "targetCpu", 500, "app.targetCpu"),
    ("AppServers", "targetRequests", 0, "app.targetRequests"),
    ("AppServers", "minSize", 0, "app.minSize"),
    ("AppServers", "minSize", 5, "app.minSize"),
    ("AppServers", "maxSize", -1, "app.maxSize"),
    ("AppServers", "environment.PORT", "1", "app.environment.PORT"),
    ("AppServers", "environment.PM2_HOME", "/tmp", "app.environment.PM2_HOME"),
    ("AppServers", "environment.LOG-LEVEL", "info", "app.environment.LOG-LEVEL"),
    ("AppServers", "environment.LINES", "a\nb", "app.environment.LINES"),
    ("AppServers", "environment.DB_PASSWORD", "hunter2", "app.environment.DB_PASSWORD"),
    ("AppServers", "environment.MONGO", "mongodb://me:hunter2@db.example", "app.environment.MONGO"),
    ("AppServers", "secrets.RELEASE_ID", "shop/id", "app.secrets.RELEASE_ID"),
    ("AppServers", "secrets.STRIPE", "hunter2 is not a name!", "app.secrets.STRIPE"),
    ("AppServers", "sessionManagerKey", "amazon-ssm-agent.gpg", ""),
    ("AppServers", "tags.team", LONG, ""),
    ("AppServers", "packages", ["ffmpeg", "FFmpeg"], "app.packages"),
    ("AppServers", "packages", ["ffmpeg", "curl=8.14"], "app.packages"),
    ("AppServers", "packages", ["ffmpeg", "nginx-"], "app.packages"),
    ("AppServers", "packages", ["ffmpeg", "-oDebug::pkg=1"], "app.packages"),
    ("AppServers", "outgoingPorts", [587, 0], "app.outgoingPorts"),
    ("AppServers", "outgoingPorts", [587, 443], "app.outgoingPorts"),
    ("AppServers", "outgoingPorts", [587, 587], "app.outgoingPorts"),
    ("AppServers", "cpuCredits", "lots", "app.cpuCredits"),
    ("AppServers", "apm.vendor", "dynatrace", "app.apm"),
    ("AppServers", "apm.service", "shop;admin", ""),
    ("AppServers", "apm.environment", LONG, ""),
    ("AppServers", "apm.secret", "hunter2 is not a name!", ""),
    ("AppServers", "apm.endpoint", "collector:4318", ""),
    ("AppServers", "apm.endpoint", "https://me:hunter2@otlp.example.com", ""),
    ("AppServers", "apm.controller", "https://acme.example.com", ""),
    ("AppServers", "scrapeFrom", ["10.30.0.0/16", "0.0.0.0/0"], "monitoring.scrapeFrom"),
    ("AppServers", "scrapeFrom", ["10.30.0.0/16", "10.30.0.0/16"], "monitoring.scrapeFrom"),
    ("AppServers", "logRetentionDays", 0, "monitoring.logRetentionDays"),
    ("AppServers", "launchCompletedBy", "nobody", ""),
    ("AppServers", "ingress.My ALB", "sg-alb", ""),
    ("AppServers", "policyArns.send_mail", "arn:aws:iam::aws:policy/AmazonSESFullAccess", ""),
    ("AppServers", "database.host", "db.example/evil?x=", ""),
    ("AppServers", "database.port", 0, ""),
    ("AppServers", "database.replicaHosts", ["db-1.example", "db-2 example"], ""),
    ("AppServers", "database.readerHost", "readers example", ""),
    ("AppServers", "database.proxyHost", "proxy example", ""),
    ("AppServers", "database.proxyReaderHost", "readers example", ""),
    ("AppServers", "database.proxyPercent", 101, ""),
    ("AppServers", "externalDatabase.secret", "hunter2 is not a name!", ""),
    ("AppServers", "externalDatabase.egress", ["10.9.0.0/16", "10.9.0.1/16"], ""),
    ("AppServers", "externalDatabase.egress", ["10.9.0.0/16", "sg-app"], ""),
    ("AppServers", "externalDatabase.egress", ["10.9.0.0/16", "10.9.0.0/16"], ""),
    ("AppServers", "externalDatabase.port", 0, ""),
    ("AppServers", "externalDatabase.maxConnections", 0, ""),
    ("AppServers", "cache.host", "cache.example:6379", ""),
    ("AppServers", "cache.port", 70000, ""),
    ("Cache", "engine", "memcached", "cache.engine"),
    ("Cache", "engineVersion", "8.0", "cache.engineVersion"),
    ("Cache", "nodeType", "t4g.micro", "cache.nodeType"),
    ("Cache", "shards", 0, "cache.shards"),
    ("Cache", "shards", 91, "cache.shards"),
    ("Cache", "replicas", -1, "cache.replicas"),
    ("Cache", "replicas", 6, "cache.replicas"),
    ("Cache", "evictionPolicy", "lru", "cache.evictionPolicy"),
    ("Cache", "snapshotDays", 36, "cache.snapshotDays"),
    ("Cache", "snapshotDays", -1, "cache.snapshotDays"),
    *(
        ("Cache", "snapshotWindow", window, "cache.snapshotWindow")
        for window in ("03:00-03:59", "3:00-4:00", "23:30-00:15", "24:00-25:00", "sun:03:00-sun:04:00", "03:00-03:00")
    ),
    *(
        ("Cache", "maintenanceWindow", window, "cache.maintenanceWindow")
        for window in ("sun:05:00-sun:05:30", "Sun:05:00-Sun:06:00", "05:00-06:00", "sun:23:30-mon:00:15")
    ),
    ("Database", "proxyPercent", 0, ""),
    ("Database", "replicas", -1, "database.replicas"),
    ("Database", "replicas", 6, "database.replicas"),
    *(
        ("Database", "appUser", role, "database.appUser")
        for role in ("rds_app", "rdsadmin", "pg_app", "postgres", "App", "my-app", "expressway", "a" * 64, "1app", "")
    ),
    # The stack's may be external, besides, which makes no Database.
    ("Database", "engine", "mysql", ""),
    ("Database", "serverless.min", 0.3, ""),
    ("Database", "serverless.max", 257, ""),
    ("Database", "maxReplicas", 16, "database.maxReplicas"),
    ("Database", "replicaCpu", 5, "database.replicaCpu"),
    ("Database", "engineVersion", "9.6", "database.engineVersion"),
    ("Database", "engineVersion", "17.x", "database.engineVersion"),
    ("Database", "engineVersion", "17." + "9" * 5000, "database.engineVersion"),
    ("Database", "instanceClass", "t4g.micro", "database.instanceClass"),
    ("Database", "storageGb", 5, "database.storageGb"),
    ("Database", "backupDays", 0, "database.backupDays"),
    ("Database", "backupDays", 36, "database.backupDays"),
    ("Database", "maxStorageGb", 21, "database.maxStorageGb"),
    ("Database", "maxStorageGb", 70000, "database.maxStorageGb"),
    ("Database", "backupWindow", "3:00-4:00", "database.backupWindow"),
    ("Database", "backupWindow", "03:00-03:29", "database.backupWindow"),
    ("Database", "backupWindow", "23:50-00:10", "database.backupWindow"),
    ("Database", "maintenanceWindow", "Sun:04:00-Sun:05:00", "database.maintenanceWindow"),
    ("Database", "maintenanceWindow", "sun:04:00-sun:04:10", "database.maintenanceWindow"),
    ("Database", "maintenanceWindow", "sun:04:00-mon:04:00", "database.maintenanceWindow"),
    ("Database", "insights", "all", "database.insights"),
    ("Database", "parameters.Work_Mem", "8192", "database.parameters.Work_Mem"),
    ("Database", "parameters.work_mem", "8192\n", "database.parameters.work_mem"),
    *(
        ("Database", "parameters.max_connections", number, "database.parameters.max_connections")
        for number in ("lots", "-1", "0", "5", "262144", "\uff11\uff10\uff10", " 100", "9" * 5000, "{}", "")
    ),
    ("Database", "parameters.log_min_duration_statement", "0", "database.parameters.log_min_duration_statement"),
    ("Database", "snapshot", "-before", "database.snapshot"),
    ("Database", "snapshot", "arn:aws:rds:us-east-1:123456789012:db:shop", "database.snapshot"),
    ("Database", "snapshot", "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:", "database.snapshot"),
    ("Database", "restoreFrom", "Shop_Database", "database.restoreFrom"),
    ("Database", "restoreTime", "yesterday", "database.restoreTime"),
    ("Database", "restoreTime", "2026-11-26T09:30:00Z", "database.restoreTime"),
    ("Database", "databaseName", "postgres", "database.name"),
    ("Database", "databaseName", "My-App", "database.name"),
    ("Monitoring", "alarmEmails", ["team@example.com", "team"], "monitoring.alarmEmails"),
    ("Monitoring", "alarmEmails", ["team@example.com", "Team <team@example.com>"], "monitoring.alarmEmails"),
    ("Monitoring", "alarmEmails", ["team@example.com", "team@example.com"], "monitoring.alarmEmails"),
    ("Monitoring", "alarmTopicArn", "arn:aws:sns:us-east-1:123456789012:alarms.fifo", "monitoring.alarmTopicArn"),
    ("Monitoring", "errorPercent", 0, "monitoring.errorPercent"),
    ("Monitoring", "p95Ms", 60_000, "monitoring.p95Ms"),
    ("Monitoring", "edge.instanceType", "t3", ""),
    ("Monitoring", "app.instanceType", "t3", ""),
    ("Monitoring", "app.minSize", 0, ""),
    ("Monitoring", "database.instanceClass", "t4g.micro", ""),
    ("Monitoring", "database.engine", "mysql", ""),
    ("Monitoring", "database.serverless.min", 0.3, ""),
    ("Monitoring", "database.serverless.max", 257, ""),
    ("Monitoring", "database.storageGb", 5, ""),
    ("Monitoring", "database.replicaIdentifiers.My Replica", "replica", ""),
    ("Monitoring", "database.shardIdentifiers.2", "shard", ""),
    ("Monitoring", "cache.nodeType", "t4g.micro", ""),
    ("Monitoring", "cache.nodes", 0, ""),
    ("Monitoring", "cache.shards", 91, ""),
    ("Monitoring", "tags.team", LONG, ""),
    ("Database", "slowStatementMs", -2, "database.slowStatementMs"),
    ("Database", "logRetentionDays", 31, "monitoring.logRetentionDays"),
    ("AppServers", "pooler", "proxy", "database.pooler"),
    ("AppServers", "poolSize", 0, "database.poolSize"),
    ("AppServers", "database.maxConnections", 0, ""),
    ("AppServers", "shards[0].host", "db.example/evil?x=", ""),
    ("AppServers", "shards[0].port", 0, ""),
    ("AppServers", "shards[0].replicaHosts", ["db-1.example", "db-2 example"], ""),
    ("AppServers", "shards[0].readerHost", "readers example", ""),
    ("AppServers", "shards[0].maxConnections", 0, ""),
    ("AppServers", "shards[0].proxyHost", "proxy example", ""),
    ("AppServers", "shards[0].proxyReaderHost", "readers example", ""),
    ("AppServers", "shards[0].proxyPercent", 101, ""),
    ("Network", "cidr", "10.20.3.0/16", "network.cidr"),
    ("Network", "cidr", "10.20.0.0/28", "network.cidr"),
    ("Network", "cidr", "10.20.0.0/255.255.0.0", "network.cidr"),
    ("Network", "zones", 1, "network.zones"),
    ("Network", "zones", 4, "network.zones"),
    ("Network", "nat", "instance", "network.nat"),
    ("Network", "instanceTypes", ["t3.small", "small"], ""),
    ("Network", "subnets[0].zone", "first", "network.subnets[0].zone"),
    ("Network", "subnets[0].public", "10.99.0.0/24", "network.subnets[0].public"),
    ("Network", "subnets[0].private", "10.20.2.0/30", "network.subnets[0].private"),
    ("Release", "releaseId", "../../etc", ""),
    ("Release", "oldVersionsDays", 0, ""),
    ("Release", "app.key", "elsewhere/app.tar.gz", ""),
    ("Release", "app.sha256", "not a hash", ""),
    ("Release", "app.path", "nowhere.tar.gz", ""),
    ("Release", "runtime.key", "releases/node.tar.gz", ""),
    ("Release", "runtime.sha256", "5E88", ""),
    ("Release", "runtime.path", "nowhere.tar.gz", ""),
]

FREE = {
    # Names, ids and ARNs of what is in AWS already: only AWS knows whether they are right.
    *("vpcId", "subnetIds", "bucket", "bucketArn", "securityGroupId", "secretArn", "groupName", "groupArn"),
    *("masterSecretArn", "proxySecurityGroupId"),
    *("parameterName", "parameterArn", "runtimeKey", "runtimeSha256"),
    *("identifier", "replicationGroupId", "targetGroupArns", "securityGroupIds", "roleName", "lifecycleHooks"),
    "name",  # a database's; a URL takes any, escaped
}
"""Properties without a rule."""


def said_by(make: Callable[[], object]) -> dict[str, str]:
    """What is told of each property: value, rule and remedy."""
    with pytest.raises(pulumi.InputPropertiesError) as refusal:
        record(make)
    assert refusal.value.errors is not None
    said = {each["property_path"]: each["reason"] for each in refusal.value.errors}
    for path, reason in said.items():
        assert f"{path}: {reason}" in str(refusal.value), "a plugin's host hands on only the message"
    return said


def said_by_component(kind: str, arguments: dict[str, Any], name: str = "mine") -> dict[str, str]:
    return said_by(lambda: CLASSES[kind](name, arguments))


def said_by_plugin(kind: str, arguments: dict[str, Any]) -> dict[str, str]:
    host = Plugin(COMPONENTS, "1.0.0")
    return said_by(lambda: host.construct("mine", f"expressway:index:{kind}", arguments))


def said_by_settings(path: str, value: Any) -> dict[str, str]:
    section, _, rest = path.partition(".")
    given = example_args.placed(rest, value, {}, str)
    config: dict[str, object] = {"aws:region": "us-east-1", f"expressway:{section}": given}
    with pytest.raises(settings.SettingsError) as refusal:
        settings.parse(config, stack="dev", base=ROOT, source="test")
    return {each.path: f"{each.value}: {each.rule}. {each.remedy}" for each in refusal.value.problems}


@pytest.mark.parametrize(("kind", "path", "value", "setting"), CASES)
def test_component_plugin_and_settings_say_the_same_of_a_bad_value(
    kind: str, path: str, value: Any, setting: str, tmp_path: Path
) -> None:
    base = example_args.of(kind, tmp_path)
    if path.startswith("externalDatabase."):
        base.pop("database")
    direct = said_by_component(kind, example_args.placed(path, value, base, example_args.snake))
    entry = "[1]" if isinstance(value, list) else ""
    where = f"{path}{entry}"
    assert list(direct) == [where], "one mistake, one finding, under the property's own name"
    assert "hunter2" not in direct[where], "it may be a secret"
    assert said_by_plugin(kind, example_args.placed(path, value, example_args.camel(base), str)) == direct
    if setting:
        assert said_by_settings(setting, value) == {f"expressway:{setting}{entry}": direct[where]}


def test_every_argument_has_a_rule_or_is_known_to_have_none() -> None:
    analyzed = Analyzer("expressway").analyze(list(COMPONENTS))
    held = {f"{kind}.{path.replace('[0]', '')}" for kind, path, *_ in CASES}

    def without_rule(properties: Mapping[str, PropertyDefinition], outer: str) -> Iterator[str]:
        for name, each in properties.items():
            path = f"{outer}.{name}"
            ref = each.ref or (each.items.ref if each.items else None)
            if ref:
                yield from without_rule(analyzed["type_definitions"][ref.rpartition(":")[2]].properties, path)
            elif name in FREE or each.type == PropertyType.BOOLEAN:
                continue
            elif not any(one == path or one.startswith(f"{path}.") for one in held):
                yield path

    definitions = analyzed["component_definitions"]
    found = [path for kind, each in definitions.items() for path in without_rule(each.inputs, kind)]
    assert not found, "these reach AWS, Nginx or a URL as they are: give each a rule and a case"


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("LoadBalancer", "targets.port", 0),
        ("LoadBalancer", "targets.readinessPath", "x y;"),
        ("LoadBalancer", "certificate", "-----BEGIN PRIVATE KEY----- hunter2"),
        ("LoadBalancer", "trustedProxies", ["0.0.0.0/0"]),
        ("AppServers", "environment.LINES", "a\nb"),
        ("AppServers", "environment.MONGO", "mongodb://me:hunter2@db.example"),
        ("AppServers", "secrets.STRIPE", "hunter2 is not a name!"),
        ("AppServers", "database.host", "db.example/evil?x="),
        ("AppServers", "database.port", 0),
        ("AppServers", "database.replicaHosts", ["db-2 example"]),
        ("AppServers", "cache.host", "cache.example:6379"),
        ("AppServers", "cache.port", 70000),
        ("Monitoring", "alarmTopicArn", "alarms"),
    ],
)
def test_a_bad_value_that_another_resource_gives_is_refused_once_it_is_known(
    kind: str, path: str, value: Any, tmp_path: Path
) -> None:
    base = example_args.of(kind, tmp_path)
    plain = said_by_component(kind, example_args.placed(path, value, base, example_args.snake))

    def program() -> None:
        output = pulumi.Output.from_input(value)
        CLASSES[kind]("mine", example_args.placed(path, output, base, example_args.snake))

    assert said_by(program) == plain


@pytest.mark.parametrize(("engine", "version"), [("valkey", "7.1"), ("redis", "8.0"), ("valkey", "6.2")])
def test_a_cache_has_versions_of_its_own_engine(engine: str, version: str) -> None:
    told = said_by_component("Cache", {**example_args.cache(), "engine": engine, "engine_version": version})
    assert told["engineVersion"].startswith(f'"{version}": it must be a {engine.capitalize()} version')
    config = {"aws:region": "us-east-1", "expressway:cache": {"engine": engine, "engineVersion": version}}
    with pytest.raises(settings.SettingsError) as refusal:
        settings.parse(config, stack="dev", base=ROOT, source="t")
    (problem,) = refusal.value.problems
    assert f"{problem.value}: {problem.rule}. {problem.remedy}" == told["engineVersion"]


@pytest.mark.parametrize(
    ("shards", "replicas", "said"),
    [
        (1, 0, "1: it must be 2 or more without replicas: "),
        (46, 1, "46: it must be at most 45 with replicas 1: 92 nodes are more than 90. Lower it, or replicas."),
        (31, 2, "31: it must be at most 30 with replicas 2: 93 nodes"),
        (1, 1, None),
        (2, 0, None),
        (90, 0, None),
        (15, 5, None),
    ],
)
def test_a_cluster_has_two_nodes_at_least_and_ninety_at_most(shards: int, replicas: int, said: str | None) -> None:
    arguments = {**example_args.cache(), "shards": shards, "replicas": replicas}
    section = {"expressway:cache": {"shards": shards, "replicas": replicas}}
    config: dict[str, object] = {"aws:region": "us-east-1", **section}
    if said is None:
        record(lambda: CLASSES["Cache"]("mine", arguments))
        assert settings.parse(config, stack="dev", base=ROOT, source="t").cache.nodes == shards * (1 + replicas)
        return
    told = said_by_component("Cache", arguments)
    assert list(told) == ["shards"]
    assert told["shards"].startswith(said)
    with pytest.raises(settings.SettingsError) as refusal:
        settings.parse(config, stack="dev", base=ROOT, source="t")
    (problem,) = refusal.value.problems
    assert problem.path == "expressway:cache.shards"
    assert f"{problem.value}: {problem.rule}. {problem.remedy}" == told["shards"]


WINDOWS: list[tuple[str | None, str | None, str | None]] = [
    (None, None, None),
    ("03:00-04:00", "sun:05:00-sun:06:00", None),
    ("03:00-04:00", "sun:04:00-sun:05:00", None),
    ("23:00-01:00", "sun:01:00-sun:02:00", None),
    ("03:00-04:00", None, "maintenanceWindow"),
    (None, "sun:05:00-sun:06:00", "snapshotWindow"),
    ("05:30-06:30", "sun:05:00-sun:06:00", "maintenanceWindow"),
    ("23:00-01:00", "mon:00:30-mon:02:00", "maintenanceWindow"),
    ("00:00-01:00", "sun:22:00-mon:00:30", "maintenanceWindow"),
]
"""Snapshots, maintenance, and which of them is refused."""


@pytest.mark.parametrize(("snapshots", "maintenance", "wrong"), WINDOWS)
def test_a_caches_windows_come_together_and_apart(
    snapshots: str | None, maintenance: str | None, wrong: str | None
) -> None:
    given = {"snapshotWindow": snapshots, "maintenanceWindow": maintenance}
    arguments = {example_args.snake(name): value for name, value in given.items() if value}
    findings = planning.check_cache_windows(snapshots, maintenance)
    assert [each.path for each in findings] == ([wrong] if wrong else [])
    if wrong:
        told = said_by_component("Cache", {**example_args.cache(), **arguments})
        assert list(told) == [wrong]
        section = {name: value for name, value in given.items() if value}
        with pytest.raises(settings.SettingsError) as refusal:
            settings.parse({"aws:region": "us-east-1", "expressway:cache": section}, stack="dev", base=ROOT, source="t")
        assert [each.path for each in refusal.value.problems] == [f"expressway:cache.{wrong}"]


@pytest.mark.parametrize(
    ("backup", "maintenance", "apart"),
    [
        ("03:00-03:30", "sun:03:30-sun:04:00", True),
        ("03:00-04:00", "sun:03:30-sun:04:30", False),
        ("23:30-00:30", "mon:00:00-mon:00:30", False),  # of the day before
        ("03:00-03:30", "sat:23:00-sun:05:00", False),
        ("23:45-00:15", "sun:23:00-sun:23:45", True),
    ],
)
def test_a_backup_does_not_meet_the_maintenance(backup: str, maintenance: str, apart: bool) -> None:
    arguments = {**example_args.database(), "backup_window": backup, "maintenance_window": maintenance}
    if apart:
        record(lambda: CLASSES["Database"]("mine", arguments))
        return
    (said,) = said_by_component("Database", arguments).items()
    assert said == (
        "maintenanceWindow",
        f'"{maintenance}": it must not overlap backupWindow, {backup}. Move one of them.',
    )


@pytest.mark.parametrize("start", [{"snapshot": "before"}, {"restoreFrom": "shop"}])
def test_only_one_database_starts_from_a_copy(start: dict[str, str]) -> None:
    def problems(shards: int) -> list[settings.Problem]:
        config = {"aws:region": "us-east-1", "expressway:database": {"shards": shards, **start}}
        try:
            settings.parse(config, stack="dev", base=ROOT, source="t")
        except settings.SettingsError as refusal:
            return list(refusal.problems)
        return []

    assert not problems(1)
    (problem,) = problems(2)
    assert (problem.path, problem.value) == ("expressway:database.shards", "2")
    assert next(iter(start)) in problem.rule
    assert next(iter(start)) in problem.remedy


@pytest.mark.parametrize("count", [0, 17, -1, "two", True])
def test_there_are_one_to_sixteen_shards(count: object) -> None:
    config = {"aws:region": "us-east-1", "expressway:database": {"shards": count}}
    with pytest.raises(settings.SettingsError) as refusal:
        settings.parse(config, stack="dev", base=ROOT, source="t")
    (problem,) = refusal.value.problems
    assert problem.path == "expressway:database.shards"
    assert problem.rule
    assert problem.remedy


def test_a_database_starts_from_one_thing() -> None:
    arguments = {**example_args.database(), "snapshot": "before", "restore_from": "shop"}
    assert set(said_by_component("Database", arguments)) == {"restoreFrom"}


def test_all_that_is_wrong_is_told_at_once() -> None:
    arguments = {**example_args.app_servers(), "port": 0, "min_size": 0, "target_cpu": 500, "volume_size": 1}
    assert set(said_by_component("AppServers", arguments)) == {"port", "minSize", "targetCpu", "volumeSize"}


@pytest.mark.parametrize("value", ["3000", 3000.0, True, None, [3000]])
def test_a_value_of_another_type_is_refused_and_not_compared(value: Any) -> None:
    (finding,) = planning.APP_PORT.check("port", value)
    assert finding.rule == "it must be a whole number"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("Release", name) for name in ("aws", "aws-shop", "awsome", "ssm", "ssm1", "sthree-shop", "amzn-s3-demo-a")),
        *((kind, name) for kind in ("AppServers", "Cache", "Database", "LoadBalancer") for name in ("sg", "sg-shop")),
    ],
)
def test_a_name_that_aws_keeps_for_itself_is_refused_of_components_and_stacks(
    kind: str, name: str, tmp_path: Path
) -> None:
    said = said_by_component(kind, example_args.of(kind, tmp_path), name)
    assert list(said) == ["name"]
    assert "it must not begin with" in said["name"]
    with pytest.raises(settings.SettingsError, match="must not begin with") as refusal:
        settings.parse({"aws:region": "us-east-1"}, stack=name, base=ROOT, source="test")
    assert [each.path for each in refusal.value.problems] == ["the stack's name"]


@pytest.mark.parametrize(
    ("kind", "name"), [("Release", "sg-shop"), ("Cache", "aws"), ("Network", "ssm"), ("Cache", "sgs")]
)
def test_a_name_that_none_of_its_own_resources_minds_is_taken(kind: str, name: str, tmp_path: Path) -> None:
    record(lambda: CLASSES[kind](name, example_args.of(kind, tmp_path)))


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        ("AppServers", "min_sizes", "Did you mean min_size?"),
        ("AppServers", "minSize", "Did you mean min_size?"),
        ("AppServers", "node_version", "There are apm, cache, "),
        ("AppServers", "database.hosts", "Did you mean host?"),
        ("LoadBalancer", "targets.readiness", "Did you mean readiness_path?"),
        ("Release", "app.hash", "There are key, path, sha256."),
        ("Network", "subnets[0].cidr", "There are private, public, zone."),
    ],
)
def test_python_too_is_told_of_an_argument_that_there_is_not(kind: str, path: str, words: str, tmp_path: Path) -> None:
    arguments = example_args.placed(path, "hunter2", example_args.of(kind, tmp_path), str)
    said = said_by_component(kind, arguments)
    assert list(said) == [path]
    assert said[path].startswith("there is no such argument. ")
    assert words in said[path]
    assert "hunter2" not in said[path]


def test_python_too_is_told_of_an_argument_that_is_missing(tmp_path: Path) -> None:
    arguments = example_args.of("LoadBalancer", tmp_path)
    del arguments["vpc_id"]
    del arguments["targets"]["port"]
    assert said_by_component("LoadBalancer", arguments) == {
        "targets.port": "it is missing. There is no default.",
        "vpc_id": "it is missing. There is no default.",
    }


def test_targets_that_are_one_output_are_held_to_the_same_rules(tmp_path: Path) -> None:
    arguments = example_args.of("LoadBalancer", tmp_path)
    targets = {**arguments["targets"], "port": 0}
    plain = said_by_component("LoadBalancer", {**arguments, "targets": targets})

    def program() -> None:
        CLASSES["LoadBalancer"]("mine", {**arguments, "targets": pulumi.Output.from_input(targets)})

    assert said_by(program) == plain
