"""Arguments for one of each component, for tests to start from."""

from pathlib import Path
from typing import Any

from components import AppServersArgs, CacheArgs, DatabaseArgs, LoadBalancerArgs, ReleaseArgs

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


def camel(value: Any) -> Any:
    """Arguments as they arrive from another language; keys of maps are the user's own."""
    if not isinstance(value, dict):
        return value
    free = {"environment", "secrets", "tags"}
    return {
        "".join(part.title() if index else part for index, part in enumerate(key.split("_"))): (
            each if key in free else camel(each)
        )
        for key, each in value.items()
    }
