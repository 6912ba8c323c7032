"""A database that isn't the stack's: what machines make of the URL that its secret has, and of a new one."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from expressway_app import current, environment, external, paths, report
from expressway_app.environment import SecretError
from moto import mock_aws
from test_user_data_app_pool import RELOAD, written
from test_user_data_app_pool import commands as commands  # fixtures that apply here too
from test_user_data_app_pool import places as places

URL = "postgresql://shop%40web:p%2Fw%27s@citus.example:5432/orders"


@pytest.fixture
def machine(app_machine: dict[str, Any]) -> dict[str, Any]:
    own = {"url_secret": True, "secret": "shop/citus", "port": 5432, "pooler": "pgbouncer", "pool_size": 9}
    cache = app_machine["cache"] | {"secret": "token"}
    return app_machine | {"database": own, "cache": cache}


@pytest.fixture
def manager() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        for name, value in (("shop/citus", URL), ("token", "t1"), ("shop/api-key", "k1")):
            client.create_secret(Name=name, SecretString=value)
        yield client


def test_the_app_has_its_pool_and_the_pool_the_urls_parts(
    machine: dict[str, Any], manager: Any, commands: list[tuple[str, ...]]
) -> None:
    variables = current.refresh(machine, manager, "i-1", starting=True).variables
    current.write_pool(machine, manager)
    databases, told = written()["databases"], written()["pgbouncer"]
    assert databases.keys() == {"orders"}
    assert databases["orders"] == ("host='citus.example' port='5432' dbname='orders' user='shop@web' password='p/w''s'")
    assert (told["server_tls_sslmode"], told["server_tls_ca_file"]) == ("verify-full", str(paths.CA_BUNDLE))
    assert told["default_pool_size"] == "9"
    pooled = urlsplit(variables["DATABASE_URL"])
    assert (pooled.hostname, pooled.port, pooled.path) == ("127.0.0.1", 6432, "/orders")
    direct = variables["DATABASE_DIRECT_URL"]
    assert direct == f"{URL}?sslmode=verify-full&sslrootcert={paths.CA_BUNDLE}"
    assert variables["DATABASE_REPLICA_URLS"] == ""
    held = json.loads(paths.POOL_HELD.read_text())["databases"]["orders"]
    assert (held["sslmode"], held["password"]) == ("verify-full", "p/w's")


@pytest.mark.parametrize("mode", ["require", "disable"])
def test_a_mode_that_verifies_nothing_names_no_authorities(machine: dict[str, Any], manager: Any, mode: str) -> None:
    manager.put_secret_value(SecretId="shop/citus", SecretString=f"{URL}?sslmode={mode}")
    current.write_pool(machine, manager)
    assert written()["pgbouncer"]["server_tls_sslmode"] == mode
    assert "server_tls_ca_file" not in written()["pgbouncer"], "libpq would have them verify all the same"
    assert "sslrootcert" not in json.loads(paths.POOL_HELD.read_text())["databases"]["orders"]


def test_without_a_pool_the_app_has_the_url_itself(machine: dict[str, Any], manager: Any) -> None:
    machine["database"]["pooler"] = "none"
    variables = current.refresh(machine, manager, "i-1", starting=True).variables
    assert variables["DATABASE_URL"] == f"{URL}?sslmode=verify-full&sslrootcert={paths.CA_BUNDLE}"
    assert variables["DATABASE_POOL_SIZE"] == "9"


def test_a_new_url_is_the_pools_to_follow_and_no_workers(
    machine: dict[str, Any], manager: Any, commands: list[tuple[str, ...]]
) -> None:
    before = current.refresh(machine, manager, "i-1", starting=True)
    current.write_pool(machine, manager)
    manager.put_secret_value(SecretId="shop/citus", SecretString=URL.replace("citus.", "citus-2.").replace("s@", "2@"))
    after = current.refresh(machine, manager, "i-1")
    assert commands == [RELOAD]
    assert written()["databases"]["orders"].startswith("host='citus-2.example'")
    assert after.digest == before.digest, "no worker is reloaded"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("citus.example:5432", "a URL like postgresql://"),
        ("mysql://a:hunter2@db.example/shop", "a URL like postgresql://"),
        ("postgresql://a:hunter2@db.example/shop\n", "in one line"),
        ("postgresql://a:hunter2@db.example:x/shop", "a URL like"),
        ("postgresql://a@db.example/shop", "lacks one of user, password"),
        ("postgresql://a:hunter2@db.example/", "lacks one of"),
        ("postgresql://a:hunter2@one.example,two.example/shop", "a single host"),
        (
            "postgresql://a:hunter2@db.example:6432/shop",
            "port 6432, and app servers may connect to 5432: database.port",
        ),
        ("postgresql://a:hunter2@db.example/shop?sslmode=prefer", "sslmode must be one of"),
        ("postgresql://a:hunter2@db.example/shop?options=hunter2", "parameters other than"),
        (json.dumps({"username": "a", "password": "hunter2"}), "a URL like"),
    ],
)
def test_a_secret_that_is_no_such_url_is_named_and_not_shown(
    machine: dict[str, Any], manager: Any, text: str, rule: str
) -> None:
    manager.put_secret_value(SecretId="shop/citus", SecretString=text)
    with pytest.raises(SecretError, match=f"secret shop/citus: .*{rule}") as refused:
        environment.fetch_secret(manager, machine, "shop/citus")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or "hunter2" not in repr(refused.value.__context__)


def test_a_url_that_cannot_be_read_changes_nothing(
    machine: dict[str, Any], manager: Any, commands: list[tuple[str, ...]]
) -> None:
    current.refresh(machine, manager, "i-1", starting=True)
    manager.put_secret_value(SecretId="shop/citus", SecretString="oops")
    after = current.refresh(machine, manager, "i-1")
    assert urlsplit(after.variables["DATABASE_DIRECT_URL"]).hostname == "citus.example"
    assert "secret shop/citus: it doesn't hold a URL" in after.unreadable[0]


def test_a_ports_default_is_postgresqls() -> None:
    assert external.read("postgres://a:b@db.example/shop", 5432)["port"] == 5432


def test_the_urls_password_alone_is_masked_where_logs_are_told() -> None:
    hidden = report.hidden([URL])
    for text in (URL, "p%2Fw%27s", "p/w's"):
        assert report.mask(f"failed: {text}!", hidden) == f"failed: {report.MASK}!"
