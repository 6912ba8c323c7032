"""Defaults that the components' descriptions state, held against what they do: each is tried, not looked for."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import example_args
import pulumi
import pytest
from pulumi.provider.experimental.analyzer import Analyzer, PropertyDefinition, PropertyType
from recording import Registered, record

from components._plugin import COMPONENTS

CLASSES: dict[str, Callable[..., pulumi.ComponentResource]] = {each.__name__: each for each in COMPONENTS}
ABSENT = object()
"""Stands for a default that can't be given, as it is to give nothing."""

PROSE: dict[str, Any] = {
    "7.1 of redis, 8.1 of valkey": "7.1",
    "AWS's choice": None,
    "12 digits of the app's SHA-256": "5e884898da28",
    "as many as fit": 22,
    "computed from the file": None,
    "looked up by its name": None,
    "launch and terminate, as AppServers calls its own": ["launch", "terminate"],
    "machine with target groups, else edge": "edge",
    "one is made": None,
    "none, which only opentelemetry can do without": None,
    "the component's name": "mine",
    "db.t4g.micro, with aurora db.t4g.medium": "db.t4g.micro",
    "the hash": None,
    "the type's own": None,
    "the vendor's own": None,
    "sixteenths of `cidr`, placed by the zone's letter": [
        {"zone": "us-east-1a", "public": "10.20.0.0/20", "private": "10.20.128.0/20"},
        {"zone": "us-east-1b", "public": "10.20.16.0/20", "private": "10.20.144.0/20"},
    ],
}
"""What a default in words comes to, for the example arguments; None for what can only be left out."""

OTHERS: dict[str, Any] = {
    "backupWindow": "03:00-03:30",
    "cidr": "10.30.0.0/16",
    "databaseName": "shop",
    "environment": "prod",
    "engine": {"Cache": "valkey", "Database": "aurora", "Monitoring": "aurora"},
    "evictionPolicy": "allkeys-lru",
    "engineVersion": {"Cache": "7.0", "Database": "16"},
    "image": "shop-*",
    "insights": "advanced",
    "instanceClass": "db.m7g.large",
    "instanceType": "m7i.large",
    "launchCompletedBy": "machine",
    "lifecycleHooks": ["launch"],
    "livenessPath": "/alive",
    "accessLogs": "none",
    "logRetentionDays": 7,
    # A cache takes it along with the other window alone.
    "maintenanceWindow": {"Database": "sun:04:00-sun:04:30", "Cache": None},
    "maxBodySize": "9m",
    "maxConnections": 300,
    "maxStorageGb": 100,
    "nat": "none",
    "nodeType": "cache.m7g.large",
    "outgoingPorts": [587],
    "packages": ["ffmpeg"],
    "pooler": "none",
    "poolSize": 5,
    "proxyPercent": 60,
    "proxyReaderHost": "reader-proxy.example",
    "readinessPath": "/ready",
    "appUser": "shop",
    "masterSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:master",
    "replicaHosts": ["db-2.example"],
    "restoreFrom": "shop-database",
    "readerHost": "reader.example",
    "roleName": "theirs",
    "serverless": {"Database": {"min": 0.5, "max": 4}, "Monitoring": {"min": 0.5, "max": 4}},
    "maxReplicas": 3,
    "securityGroupIds": ["sg-theirs"],
    "shards": {"AppServers": [example_args.SHARD], "Cache": 2, "Monitoring": 2},
    "snapshot": "shop-before",
    "targetGroupArns": ["arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/app/1"],
}
"""Values that aren't the default, where none follows from its type."""


def optional(kind: str) -> Iterator[tuple[str, PropertyDefinition]]:
    """A component's optional arguments, those within others too, by path."""
    analyzed = Analyzer("expressway").analyze(list(COMPONENTS))

    def within(properties: Mapping[str, PropertyDefinition], outer: str) -> Iterator[tuple[str, PropertyDefinition]]:
        for name, each in properties.items():
            if each.optional:
                yield f"{outer}{name}", each
            if each.ref:
                yield from within(
                    analyzed["type_definitions"][each.ref.rpartition(":")[2]].properties, f"{outer}{name}."
                )

    yield from within(analyzed["component_definitions"][kind].inputs, "")


def stated(kind: str, path: str, each: PropertyDefinition) -> Any:
    """The default that an argument's description states, as a value."""
    found = re.search(r"Default: (.+?)\.?$", each.description or "", re.DOTALL)
    assert found, f"{kind}.{path}: its description says no default"
    text = found[1].replace("\n", " ")
    if text in PROSE:
        return ABSENT if PROSE[text] is None else PROSE[text]
    if text == "none":
        return {} if path in example_args.MAPS else [] if each.type is PropertyType.ARRAY else ABSENT
    if each.type is PropertyType.INTEGER:
        return int(text)
    if each.type is PropertyType.BOOLEAN:
        return {"true": True, "false": False}[text]
    assert each.type is PropertyType.STRING, f"{kind}.{path}: say what {text!r} comes to, in PROSE"
    return text


def asked(kind: str, arguments: Any) -> tuple[dict[tuple[str, str], Any], list[Any]]:
    """What AWS is asked for, and asked. An asset equals only itself: it is told by its path."""
    made = record(lambda: CLASSES[kind]("mine", arguments))
    resources = {key: _plain(each) for key, each in made.resources.items() if key[0].startswith("aws:")}
    # Which zones there are is asked only where that isn't given.
    calls = [each for each in made.calls if "getAvailabilityZones" not in each[0]]
    return resources, sorted(calls, key=str)


def _plain(made: Registered) -> dict[str, Any]:
    """A resource's inputs, less those that are drawn anew in each run and count in the first alone."""
    return {
        name: getattr(value, "path", value)
        for name, value in made.inputs.items()
        # An empty list asks for as little as none.
        if value != [] and not {name, example_args.snake(name)} & {*made.ignore_changes}
    }


_PROXY = {"proxy_host": "proxy.example", "proxy_security_group_id": "sg-proxy"}


def watched(base: Any, path: str) -> Any:
    """The example arguments, with what the one at `path` is of: an APM agent, another's database, a proxy, Aurora."""
    if path.startswith("apm."):
        return {**base, "apm": example_args.APM}
    if path.startswith("externalDatabase."):
        return {**without("database", base), "external_database": example_args.EXTERNAL}
    if path.startswith("database.proxy"):
        return {**base, "pooler": "rds-proxy", "database": {**base["database"], **_PROXY}}
    if path == "keepProxy":
        return {**base, "database": {**base["database"], **_PROXY}}
    if path in ("serverless", "maxReplicas"):
        return {**base, "engine": "aurora", "replicas": 1}
    if path == "replicaCpu":
        return {**base, "engine": "aurora", "replicas": 1, "max_replicas": 2}
    if path in ("database.serverless", "database.readers"):
        return {**base, "database": {**base["database"], "engine": "aurora"}}
    return base


def without(path: str, arguments: Any) -> dict[str, Any]:
    """The arguments less the one at `path`."""
    name, _, rest = path.partition(".")
    key = example_args.snake(name)
    return (
        {**arguments, key: without(rest, arguments[key])} if rest else {k: v for k, v in arguments.items() if k != key}
    )


@pytest.mark.usefixtures("user_data")
@pytest.mark.parametrize("kind", CLASSES)
def test_an_argument_left_out_is_as_good_as_its_stated_default(kind: str, tmp_path: Path) -> None:
    base = example_args.of(kind, tmp_path)
    for path, each in optional(kind):
        default, bare = stated(kind, path, each), without(path, watched(base, path))
        if default is not ABSENT:
            given = example_args.placed(path, default, bare, example_args.snake)
            assert asked(kind, given) == asked(kind, bare), f"{kind}.{path} has another default than it states"


@pytest.mark.usefixtures("user_data")
@pytest.mark.parametrize("kind", CLASSES)
def test_an_argument_that_is_not_its_default_changes_something(kind: str, tmp_path: Path) -> None:
    base = example_args.of(kind, tmp_path)
    for path, each in optional(kind):
        other, bare = another(kind, path, stated(kind, path, each)), without(path, watched(base, path))
        if other is not None:
            given = example_args.placed(path, other, bare, example_args.snake)
            assert asked(kind, given) != asked(kind, bare), f"nothing reads {kind}.{path}"


def another(kind: str, path: str, default: Any) -> Any:
    """A good value that isn't the default; None where none is known."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, int) and path.rpartition(".")[2] not in OTHERS:
        return default + 1
    if path in example_args.MAPS:
        return {"team": "web"}
    other = OTHERS.get(path.rpartition(".")[2])
    return other[kind] if isinstance(other, dict) else other
