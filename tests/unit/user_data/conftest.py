"""What the tests of the machines' programs share: the programs themselves, example machines, golden files."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.paths import ROOT

GOLDEN = ROOT / "tests/golden/user_data"

SHA = "0123456789abcdef" * 4
ACCOUNT = "arn:aws:secretsmanager:us-east-1:123456789012:secret"


@pytest.fixture
def app_machine() -> dict[str, Any]:
    """machine.json of an app server that has everything."""
    return {
        "tier": "app",
        "name": "shop-app",
        "region": "us-east-1",
        "bucket": "shop-artifacts",
        "bundle": {"key": f"bundles/app-{SHA}.tar.gz", "sha256": SHA},
        "session_manager": None,
        "runtime": {"key": f"runtime/node-24-x64-{SHA}.tar.gz", "sha256": SHA},
        "release_parameter": "/shop/release",
        "launch_hook": None,
        "metrics": {"scraped": False},
        "logs": {"group": "shop-app-logs"},
        "app": {
            "port": 3000,
            "liveness_path": "/healthz",
            "readiness_path": "/readyz",
            "environment": {"GREETING": 'it\'s <b>"5"</b> & {{ more }}: ü'},
            "secrets": {"API_KEY": "shop/api-key"},
        },
        "apm": {
            "vendor": "newrelic",
            "service": "shop",
            "environment": "dev",
            "secret": f"{ACCOUNT}:newrelic",
            "endpoint": None,
            "controller": None,
        },
        "database": {
            "host": "db.internal",
            "port": 5432,
            "name": "app",
            "secret": f"{ACCOUNT}:rds!db-1",
            "master_secret": None,
            "replica_hosts": ["replica-1.internal", "replica-2.internal"],
            "reader_host": "",
            "pooler": "pgbouncer",
            "pool_size": 6,
        },
        "cache": {"host": "cache.internal", "port": 6379, "secret": f"{ACCOUNT}:cache", "cluster": False},
    }


@pytest.fixture
def edge_machine() -> dict[str, Any]:
    """machine.json of the edge."""
    return {
        "tier": "edge",
        "name": "shop-edge",
        "region": "us-east-1",
        "bucket": "shop-artifacts",
        "bundle": {"key": f"bundles/edge-{SHA}.tar.gz", "sha256": SHA},
        "session_manager": None,
        "eip_allocation_id": "eipalloc-0123456789abcdef0",
        "launch_hook": "launch",
        "metrics": {"scraped": False},
        "logs": {"group": "shop-edge-logs", "access": "all"},
        "upstream": {
            "auto_scaling_group": "shop-app",
            "port": 3000,
            "readiness_path": "/readyz",
            "lifecycle_hooks": ["launch", "terminate"],
            "tracks_requests": False,
        },
        "events_queue_url": None,
        "max_body_size": "1m",
        "certificate": None,
        "trusted_proxies": [],
    }


@pytest.fixture
def machines(app_machine: dict[str, Any], edge_machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """machine.json by tier."""
    return {"app": app_machine, "edge": edge_machine}


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with tests/golden/user_data/<name>; UPDATE_GOLDEN=1 writes it instead."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text)
        assert path.is_file(), f"{path} is missing: UPDATE_GOLDEN=1 pytest tests/unit/user_data"
        assert text == path.read_text(), (
            f"{name} changed; if that is meant: UPDATE_GOLDEN=1 pytest tests/unit/user_data"
        )

    return check


@pytest.fixture
def s3(app_machine: dict[str, Any]) -> Iterator[Any]:
    """An S3 that has the artifact bucket, with nothing in it."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=app_machine["bucket"])
        yield client


@pytest.fixture(autouse=True)
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for the mocked API, and none of this computer's."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
