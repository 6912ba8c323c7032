"""Arguments for one of each component, for tests to start from."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components import (
    ApmArgs,
    AppServersArgs,
    CacheArgs,
    DatabaseAccessArgs,
    DatabaseArgs,
    ExternalDatabaseArgs,
    LoadBalancerArgs,
    MonitoringArgs,
    ReleaseArgs,
)

MAPS = {
    "environment",
    "ingress",
    "parameters",
    "policyArns",
    "replica_identifiers",
    "replicaIdentifiers",
    "secrets",
    "shard_identifiers",
    "shardIdentifiers",
    "tags",
}
"""Arguments whose keys are their users' own."""

APM: ApmArgs = {
    "vendor": "appdynamics",
    "service": "shop",
    "environment": "prod",
    "secret": "shop/apm",
    "endpoint": "https://otlp.example.com",
    "controller": "acme.example.com",
}
"""What watches an app; not in the arguments below, as most apps have none."""

EXTERNAL: ExternalDatabaseArgs = {"secret": "shop/citus", "egress": ["10.9.0.0/16"]}
"""A database that somebody else keeps, which an app has in place of the one below."""

OPTIONAL: dict[str, Any] = {"apm": APM, "externalDatabase": EXTERNAL, "serverless": {"min": 1, "max": 4}}
"""What isn't in the arguments below either, whole, for a value in it."""

SHARD: DatabaseAccessArgs = {
    "host": "db-2.example",
    "port": 5432,
    "name": "app",
    "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-2",
    "security_group_id": "sg-database-2",
}
"""A further database; likewise not in the arguments below."""

SHA = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"


def release(folder: Path) -> ReleaseArgs:
    """Two archives in `folder`."""
    for name in ("app.tar.gz", "node.tar.gz"):
        (folder / name).write_bytes(b"archive")
    return {
        "app": {"path": str(folder / "app.tar.gz"), "key": f"releases/{SHA}.tar.gz", "sha256": SHA},
        "runtime": {"path": str(folder / "node.tar.gz"), "key": f"runtime/node-24-x64-{SHA}.tar.gz", "sha256": SHA},
        "release_id": SHA[:12],
    }


def database(value: Any = "given") -> DatabaseArgs:
    """`value` stands for what another resource gives."""
    return {"vpc_id": value, "subnet_ids": value if value != "given" else ["subnet-a", "subnet-b"]}


def cache(value: Any = "given") -> CacheArgs:
    """`value` stands for what another resource gives."""
    return {"vpc_id": value, "subnet_ids": value if value != "given" else ["subnet-a", "subnet-b"]}


def app_servers(value: Any = "given") -> AppServersArgs:
    """`value` stands for what another resource gives."""
    known = value == "given"
    return {
        "vpc_id": value,
        "subnet_ids": ["subnet-a", "subnet-b"] if known else value,
        "release": {
            "bucket": "bucket" if known else value,
            "bucket_arn": "arn:aws:s3:::bucket" if known else value,
            "parameter_name": "pointer" if known else value,
            "parameter_arn": "arn:aws:ssm:us-east-1:123456789012:parameter/pointer" if known else value,
            "runtime_key": "runtime/node.tar.gz" if known else value,
            "runtime_sha256": SHA if known else value,
        },
        "environment": {"LOG_LEVEL": "info"},
        "secrets": {"STRIPE_KEY": "shop/stripe"},
        "database": {
            "host": "db.example" if known else value,
            "port": 5432 if known else value,
            "name": "app" if known else value,
            "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db" if known else value,
            "security_group_id": "sg-database" if known else value,
            "max_connections": 200 if known else value,
        },
        "cache": {
            "host": "cache.example" if known else value,
            "port": 6379 if known else value,
            "secret_arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:cache" if known else value,
            "security_group_id": "sg-cache" if known else value,
        },
        "tags": {"team": "web"},
    }


def load_balancer(value: Any = "given") -> LoadBalancerArgs:
    """`value` stands for what another resource gives."""
    known = value == "given"
    return {
        "vpc_id": value,
        "subnet_ids": ["subnet-a", "subnet-b"] if known else value,
        "bucket": "bucket" if known else value,
        "bucket_arn": "arn:aws:s3:::bucket" if known else value,
        "targets": {
            "group_name": "app-group" if known else value,
            "group_arn": "arn:aws:autoscaling:us-east-1:123456789012:app-group" if known else value,
            "security_group_id": "sg-app" if known else value,
            "port": 3000 if known else value,
        },
        "tags": {"team": "web"},
    }


def monitoring(value: Any = "given") -> MonitoringArgs:
    """`value` stands for what another resource gives."""
    known = value == "given"
    return {
        "edge": {"group_name": "edge-group" if known else value, "certificate": True},
        "app": {"group_name": "app-group" if known else value, "min_size": 2},
        "database": {
            "identifier": "database" if known else value,
            "replica_identifiers": {"near": "database-replica" if known else value},
        },
        "cache": {"replication_group_id": "cache" if known else value, "nodes": 2},
        "alarm_emails": ["team@example.com"],
        "tags": {"team": "web"},
    }


def of(kind: str, folder: Path) -> dict[str, Any]:
    """Good arguments, as a program in Python gives them."""
    given: dict[str, Any] = {
        "AppServers": app_servers(),
        "Cache": cache(),
        "Database": database(),
        "LoadBalancer": load_balancer(),
        "Monitoring": monitoring(),
        "Network": {},
        "Release": release(folder),
    }
    return given[kind]


def placed(path: str, value: Any, into: dict[str, Any], spell: Callable[[str], str]) -> dict[str, Any]:
    """`into` with `value` at `path`, whose parts are spelled as the reader has them."""
    name, _, rest = path.partition(".")
    if name.endswith("]"):
        entries: dict[str, list[Any]] = {
            "subnets": [
                {"zone": "us-east-1a", "public": "10.20.0.0/24", "private": "10.20.1.0/24"},
                {"zone": "us-east-1b", "public": "10.20.2.0/24", "private": "10.20.3.0/24"},
            ],
            "shards": [SHARD],
        }
        listed = name.partition("[")[0]
        first, *others = (camel(each) if spell is str else each for each in entries[listed])
        return {**into, spell(listed): [{**first, spell(rest): value}, *others]}
    if not rest:
        return {**into, spell(name): value}
    inner = str if name in MAPS else spell
    return {**into, spell(name): placed(rest, value, into.get(spell(name), OPTIONAL.get(name, {})), inner)}


def snake(name: str) -> str:
    """A property's name in Python."""
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def camel(value: Any) -> Any:
    """Arguments as they arrive from another language; keys of maps are the user's own."""
    if not isinstance(value, dict):
        return value
    return {
        "".join(part.title() if index else part for index, part in enumerate(key.split("_"))): (
            each if key in MAPS else camel(each)
        )
        for key, each in value.items()
    }
