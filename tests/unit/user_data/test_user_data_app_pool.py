"""PgBouncer on an app server: what it is told, and what a new password means for it and for the app's workers."""

import configparser
import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from expressway_app import current, environment, paths, pool
from expressway_machine import host
from moto import mock_aws

LOGIN = {"username": "app", "password": "first"}
PLACES = (
    *("ENVIRONMENT", "CURRENT", "SERVICES", "SECRETS", "WORKERS", "STARTED", "LOCK", "ECOSYSTEM"),
    *("POOL", "POOL_PASSWORDS", "POOL_LOADED"),
)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app server's places, under this test's own directory; no such user has to exist."""
    for name in PLACES:
        monkeypatch.setattr(paths, name, tmp_path / "run" / getattr(paths, name).name)
    monkeypatch.setattr(paths, "POOL_HELD", paths.POOL / "hold.json")
    monkeypatch.setattr(paths, "RELEASES", tmp_path / "releases")
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases/current").symlink_to("/srv/releases/abc123")
    monkeypatch.setattr("shutil.chown", lambda *_args, **_named: None)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was run instead of being run."""
    run: list[tuple[str, ...]] = []
    monkeypatch.setattr(host, "run", lambda *command: run.append(command))
    return run


@pytest.fixture
def machine(app_machine: dict[str, Any]) -> dict[str, Any]:
    app_machine["database"]["secret"], app_machine["cache"]["secret"] = "login", "token"
    return app_machine


@pytest.fixture
def manager() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        for name, value in (("login", json.dumps(LOGIN)), ("token", "t1"), ("shop/api-key", "k1")):
            client.create_secret(Name=name, SecretString=value)
        yield client


def rotate(manager: Any, password: str) -> None:
    manager.put_secret_value(SecretId="login", SecretString=json.dumps(LOGIN | {"password": password}))


def written() -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.read_string((paths.POOL / "pgbouncer.ini").read_text())
    return found


RELOAD = ("systemctl", "try-reload-or-restart", "pgbouncer.service")


def test_the_pool_leads_to_the_database_and_its_replicas_with_as_many_connections_as_fit(
    machine: dict[str, Any], manager: Any
) -> None:
    current.write_pool(machine, manager)
    databases, told = written()["databases"], written()["pgbouncer"]
    assert databases.keys() == {"app", "app-replica-1", "app-replica-2"}
    assert databases["app"] == "host='db.internal' port='5432' dbname='app' user='app' password='first'"
    assert databases["app-replica-2"].startswith("host='replica-2.internal' port='5432' dbname='app'")
    assert (told["default_pool_size"], told["max_db_connections"], told["min_pool_size"]) == ("6", "6", "2")
    assert (told["pool_mode"], told["listen_addr"], told["unix_socket_dir"]) == ("transaction", "127.0.0.1", "")
    assert (told["server_tls_sslmode"], told["auth_type"]) == ("verify-full", "scram-sha-256")
    assert "search_path" not in told["ignore_startup_parameters"], "an app must not find itself in another schema"


def test_a_password_with_quotes_is_doubled_and_one_of_two_lines_is_refused(app_machine: dict[str, Any]) -> None:
    told = pool.configuration(app_machine["database"], [("app", "it's \"#;%")])
    assert "password='it''s \"#;%'\n" in told
    with pytest.raises(ValueError, match="several lines"):
        pool.configuration(app_machine["database"], [("app", "one\nmax_db_connections = 9999")])


def test_a_name_that_its_file_cannot_hold_has_another_one_there(app_machine: dict[str, Any]) -> None:
    database = app_machine["database"] | {"name": "my shop", "replica_hosts": []}
    assert "database = host='db.internal' port='5432' dbname='my shop'" in pool.configuration(database, [("app", "x")])


def test_the_apps_addresses_are_the_pools_and_have_none_of_the_databases_password(
    machine: dict[str, Any], manager: Any, commands: list[tuple[str, ...]]
) -> None:
    variables = current.refresh(machine, manager, "i-1", starting=True).variables
    urls = [variables["DATABASE_URL"], *variables["DATABASE_REPLICA_URLS"].split(",")]
    assert [urlsplit(each).netloc.partition("@")[2] for each in urls] == ["127.0.0.1:6432"] * 3
    assert [urlsplit(each).path for each in urls] == ["/app", "/app-replica-1", "/app-replica-2"]
    assert all(each.endswith("?sslmode=disable") and "first" not in each for each in urls)
    local = urlsplit(urls[0]).password
    current.write_pool(machine, manager)
    assert f'"app" "{local}"\n' in (paths.POOL / "users.txt").read_text(), "with which PgBouncer lets it in"
    direct = urlsplit(variables["DATABASE_DIRECT_URL"])
    assert (direct.hostname, direct.password, direct.query[:19]) == ("db.internal", "first", "sslmode=verify-full")
    assert commands == [], "what isn't up yet reads it when it starts"


def test_a_release_command_goes_to_the_database_itself(machine: dict[str, Any]) -> None:
    known = {"login": json.dumps(LOGIN), "token": "t", "shop/api-key": "k"}
    variables = environment.build(machine, "abc123", "i-1", known)
    assert variables["DATABASE_URL"] == variables["DATABASE_DIRECT_URL"]
    assert urlsplit(variables["DATABASE_URL"]).hostname == "db.internal"


def test_a_rotated_password_is_pgbouncers_alone_and_reloads_no_worker(
    machine: dict[str, Any], manager: Any, commands: list[tuple[str, ...]]
) -> None:
    started = current.refresh(machine, manager, "i-1", starting=True)
    pool.loaded(current.write_pool(machine, manager))
    rotate(manager, "second")

    refreshed = current.refresh(machine, manager, "i-1")

    assert refreshed.digest == started.digest == current.workers_have(), "no reload"
    assert refreshed.changed == ("DATABASE_DIRECT_URL",)
    assert "password='second'" in written()["databases"]["app"]
    assert commands == [RELOAD]
    assert current.refresh(machine, manager, "i-1").changed == ()
    assert commands == [RELOAD], "once"


def test_a_direct_address_of_the_teams_own_reloads_workers(machine: dict[str, Any], manager: Any) -> None:
    manager.create_secret(Name="own", SecretString="postgresql://one")
    machine["app"]["secrets"]["DATABASE_DIRECT_URL"] = "own"
    started = current.refresh(machine, manager, "i-1", starting=True)
    manager.put_secret_value(SecretId="own", SecretString="postgresql://two")
    assert current.refresh(machine, manager, "i-1", starting=True).digest != started.digest


def test_a_reload_that_failed_is_tried_at_the_next_look(
    machine: dict[str, Any], manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*command: str) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(host, "run", refuse)
    assert current.refresh(machine, manager, "i-1").variables
    run: list[tuple[str, ...]] = []
    monkeypatch.setattr(host, "run", lambda *command: run.append(command))
    current.refresh(machine, manager, "i-1")
    assert run == [RELOAD]


def test_pgbouncer_starts_with_the_last_good_password_when_the_new_one_cannot_be_read(
    machine: dict[str, Any], manager: Any
) -> None:
    current.write_pool(machine, manager)
    manager.put_secret_value(SecretId="login", SecretString="no login")
    current.write_pool(machine, manager)
    assert "password='first'" in written()["databases"]["app"]


def test_who_holds_requests_back_may_pause_and_knows_how_the_primary_is_reached(
    machine: dict[str, Any], manager: Any
) -> None:
    current.write_pool(machine, manager)
    told = json.loads(paths.POOL_HELD.read_text())
    console = urlsplit(told["console"])
    assert (console.username, console.port, console.path) == ("expressway-hold", 6432, "/pgbouncer")
    assert f'"{console.username}" "{console.password}"' in (paths.POOL / "users.txt").read_text()
    assert written()["pgbouncer"]["admin_users"] == console.username, "and nobody else"
    assert "app-replica-1" in dict(written()["databases"])
    (name,) = told["databases"]
    primary = told["databases"][name]
    assert (name, primary["host"]) == ("app", machine["database"]["host"]), (
        "what a replica is asked, another one answers"
    )
    assert (primary["password"], primary["sslmode"]) == ("first", "verify-full")


def test_only_root_and_pgbouncer_can_read_what_it_is_told(machine: dict[str, Any], manager: Any) -> None:
    current.write_pool(machine, manager)
    mode = {each: stat.S_IMODE(each.stat().st_mode) for each in (*paths.POOL.iterdir(), paths.POOL_PASSWORDS)}
    assert mode == {
        paths.POOL / "pgbouncer.ini": 0o640,
        paths.POOL / "users.txt": 0o640,
        paths.POOL_HELD: 0o640,
        paths.POOL_PASSWORDS: 0o600,
    }


def test_the_local_passwords_stay_so_that_workers_keep_their_connections(machine: dict[str, Any], manager: Any) -> None:
    current.write_pool(machine, manager)
    first = (paths.POOL / "users.txt").read_text()
    current.write_pool(machine, manager)
    assert (paths.POOL / "users.txt").read_text() == first


@pytest.mark.usefixtures("commands")
def test_the_collector_measures_the_database_past_the_pool_and_the_pool_by_itself(
    machine: dict[str, Any], manager: Any
) -> None:
    current.refresh(machine, manager, "i-1")
    told = json.loads(paths.SERVICES.read_text())
    assert urlsplit(told["DATABASE_URL"]).hostname == "db.internal"
    pools = urlsplit(told["POOL_URL"])
    assert (pools.username, pools.port, pools.path) == ("expressway-metrics", 6432, "/pgbouncer")


@pytest.mark.usefixtures("commands")
def test_a_database_of_the_teams_own_is_what_is_measured(machine: dict[str, Any], manager: Any) -> None:
    machine["app"]["environment"]["DATABASE_URL"] = "postgresql://elsewhere/app"
    current.refresh(machine, manager, "i-1")
    told = json.loads(paths.SERVICES.read_text())
    assert told["DATABASE_URL"] == "postgresql://elsewhere/app"
    assert "POOL_URL" not in told


def test_without_a_pooler_the_app_is_told_how_many_connections_fit(machine: dict[str, Any], manager: Any) -> None:
    machine["database"] |= {"pooler": "none", "pool_size": 3}
    variables = current.refresh(machine, manager, "i-1").variables
    assert variables["DATABASE_POOL_SIZE"] == "3"
    assert urlsplit(variables["DATABASE_URL"]).hostname == "db.internal"
    assert not paths.POOL.exists()


@pytest.fixture
def sharded(machine: dict[str, Any], manager: Any) -> dict[str, Any]:
    """machine.json of an app server whose data is in three databases, each with a password of its own."""
    shards: list[dict[str, Any]] = []
    for place, (replicas, size) in enumerate(((["replica-3.internal"], 6), ([], 3)), 1):
        manager.create_secret(Name=f"login-{place}", SecretString=json.dumps(LOGIN | {"password": f"first-{place}"}))
        host = {"host": f"db-{place}.internal", "port": 5432 + place, "name": "app", "secret": f"login-{place}"}
        shards.append({**host, "replica_hosts": replicas, "pool_size": size})
    machine["database"]["shards"] = shards
    return machine


def test_each_shard_has_a_pool_its_own_password_and_the_connections_that_it_takes(
    sharded: dict[str, Any], manager: Any
) -> None:
    current.write_pool(sharded, manager)
    databases, told = written()["databases"], written()["pgbouncer"]
    assert list(databases) == [
        *("app", "app-replica-1", "app-replica-2", "app-shard-1", "app-shard-1-replica-1", "app-shard-2")
    ]
    assert databases["app-shard-1"] == "host='db-1.internal' port='5433' dbname='app' user='app' password='first-1'"
    assert databases["app-shard-1-replica-1"].startswith("host='replica-3.internal' port='5433'")
    limits = "pool_size='3' min_pool_size='2' max_db_connections='3'"
    assert databases["app-shard-2"] == (
        f"host='db-2.internal' port='5434' dbname='app' user='app' password='first-2' {limits}"
    )
    assert (told["default_pool_size"], told["max_db_connections"]) == ("6", "6")
    held = json.loads(paths.POOL_HELD.read_text())["databases"]
    assert list(held) == ["app", "app-shard-1", "app-shard-2"], "an outage of each is held for, and of no replica"
    assert (held["app-shard-1"]["host"], held["app-shard-1"]["password"]) == ("db-1.internal", "first-1")
    assert "pool_size" not in held["app-shard-2"], "libpq knows no such word"


@pytest.mark.usefixtures("commands")
def test_the_app_is_told_of_all_shards_in_their_order_through_the_pool(sharded: dict[str, Any], manager: Any) -> None:
    variables = current.refresh(sharded, manager, "i-1", starting=True).variables
    urls = variables["DATABASE_SHARD_URLS"].split(",")
    assert urls[0] == variables["DATABASE_URL"]
    assert [urlsplit(each).path for each in urls] == ["/app", "/app-shard-1", "/app-shard-2"]
    assert {urlsplit(each).netloc.partition("@")[2] for each in urls} == {"127.0.0.1:6432"}
    assert variables["DATABASE_SHARD_0_REPLICA_URLS"] == variables["DATABASE_REPLICA_URLS"]
    assert urlsplit(variables["DATABASE_SHARD_1_REPLICA_URLS"]).path == "/app-shard-1-replica-1"
    assert "DATABASE_SHARD_2_REPLICA_URLS" not in variables, "it has none"
    assert "first" not in " ".join(urls), "a shard's password is PgBouncer's alone"


@pytest.mark.usefixtures("commands")
def test_auroras_readers_have_one_address_and_a_pool_of_its_own(sharded: dict[str, Any], manager: Any) -> None:
    sharded["database"] |= {"replica_hosts": [], "reader_host": "readers.internal"}
    sharded["database"]["shards"][0]["reader_host"] = "readers-1.internal"
    variables = current.refresh(sharded, manager, "i-1", starting=True).variables
    assert variables["DATABASE_REPLICA_URLS"] == "", "the kit would ask it how far behind it is, and it can't say"
    readers = {name: urlsplit(url).path for name, url in variables.items() if "READER" in name}
    assert readers == {"DATABASE_READER_URL": "/app-reader", "DATABASE_SHARD_1_READER_URL": "/app-shard-1-reader"}
    assert urlsplit(variables["DATABASE_SHARD_1_REPLICA_URLS"]).path == "/app-shard-1-replica-1"
    current.write_pool(sharded, manager)
    databases = written()["databases"]
    assert databases["app-reader"].startswith("host='readers.internal' port='5432'")
    assert databases["app-shard-1-reader"].startswith("host='readers-1.internal' port='5433'")
    held = json.loads(paths.POOL_HELD.read_text())["databases"]
    assert not [name for name in held if "reader" in name], "what a reader is asked, another one answers"


def test_without_shards_the_app_is_told_of_none(machine: dict[str, Any], manager: Any) -> None:
    assert not [name for name in current.refresh(machine, manager, "i-1", starting=True).variables if "SHARD" in name]


def test_past_the_pool_each_shard_has_its_own_address_and_password(sharded: dict[str, Any]) -> None:
    known = {"login": json.dumps(LOGIN), "token": "t", "shop/api-key": "k"}
    known |= {f"login-{n}": json.dumps({"username": f"user{n}", "password": f"pass,{n}"}) for n in (1, 2)}
    variables = environment.build(sharded, "abc123", "i-1", known)
    urls = [urlsplit(each) for each in variables["DATABASE_SHARD_URLS"].split(",")]
    assert [(each.hostname, each.port, each.username, each.password) for each in urls] == [
        ("db.internal", 5432, "app", "first"),
        ("db-1.internal", 5433, "user1", "pass%2C1"),
        ("db-2.internal", 5434, "user2", "pass%2C2"),
    ]
    assert {each.query[:19] for each in urls} == {"sslmode=verify-full"}
    assert environment.needed_secrets(sharded) == ["login", "login-1", "login-2", "token", "shop/api-key"]


def test_a_shards_rotated_password_is_its_pools_alone(
    sharded: dict[str, Any], manager: Any, commands: list[tuple[str, ...]]
) -> None:
    started = current.refresh(sharded, manager, "i-1", starting=True)
    pool.loaded(current.write_pool(sharded, manager))
    manager.put_secret_value(SecretId="login-2", SecretString=json.dumps(LOGIN | {"password": "second-2"}))
    refreshed = current.refresh(sharded, manager, "i-1")
    assert refreshed.digest == started.digest, "no worker is reloaded"
    assert [each for each in written()["databases"].values() if "'second-2'" in each] == [
        written()["databases"]["app-shard-2"]
    ]
    assert "password='first'" in written()["databases"]["app"]
    assert commands == [RELOAD]


def test_a_shards_secret_that_holds_no_login_never_reaches_the_pool(sharded: dict[str, Any], manager: Any) -> None:
    current.write_pool(sharded, manager)
    manager.put_secret_value(SecretId="login-1", SecretString="no login")
    current.write_pool(sharded, manager)
    assert "password='first-1'" in written()["databases"]["app-shard-1"], "the last good one"


def test_who_reaches_shards_by_different_names_gets_in_with_each(sharded: dict[str, Any], manager: Any) -> None:
    manager.put_secret_value(SecretId="login-1", SecretString=json.dumps({"username": "other", "password": "x"}))
    current.write_pool(sharded, manager)
    local = pool.passwords().app
    users = (paths.POOL / "users.txt").read_text()
    assert users.startswith(f'"app" "{local}"\n"other" "{local}"\n')
    url = current.refresh(sharded, manager, "i-1", starting=True).variables["DATABASE_SHARD_URLS"].split(",")[1]
    assert urlsplit(url).username == "other"


@pytest.fixture
def proxied(sharded: dict[str, Any]) -> dict[str, Any]:
    """machine.json of one whose databases have an RDS Proxy each."""
    database = sharded["database"]
    database |= {"pooler": "rds-proxy", "proxy_host": "proxy.internal", "proxy_reader_host": ""}
    for place, each in enumerate(database["shards"], 1):
        each |= {"proxy_host": f"proxy-{place}.internal", "proxy_reader_host": ""}
    return sharded


def test_with_rds_proxy_the_app_is_told_of_it_with_the_databases_login_and_the_systems_authorities(
    proxied: dict[str, Any], manager: Any
) -> None:
    variables = current.refresh(proxied, manager, "i-1").variables
    end = "/app?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt"
    assert variables["DATABASE_URL"] == f"postgresql://app:first@proxy.internal:5432{end}"
    urls = variables["DATABASE_SHARD_URLS"].split(",")
    # A proxy has a port of its own, whatever the database's is.
    assert urls[1] == f"postgresql://app:first-1@proxy-1.internal:5432{end}"
    assert variables["DATABASE_POOL_SIZE"] == "6", "of each worker, as with none"
    assert not paths.POOL.exists(), "PgBouncer has nothing to do"


def test_past_rds_proxy_go_replicas_what_is_direct_and_what_measures(proxied: dict[str, Any], manager: Any) -> None:
    variables = current.refresh(proxied, manager, "i-1").variables
    direct = urlsplit(variables["DATABASE_DIRECT_URL"])
    assert (direct.hostname, direct.query) == (
        *("db.internal", "sslmode=verify-full&sslrootcert=/etc/expressway/rds-ca.pem"),
    )
    replicas = [urlsplit(each) for each in variables["DATABASE_REPLICA_URLS"].split(",")]
    assert [each.hostname for each in replicas] == ["replica-1.internal", "replica-2.internal"]
    assert {each.query for each in replicas} == {direct.query}
    told = json.loads(paths.SERVICES.read_text())
    assert told["DATABASE_URL"] == variables["DATABASE_DIRECT_URL"]
    assert "POOL_URL" not in told
    known = {"login": json.dumps(LOGIN), "login-1": json.dumps(LOGIN), "login-2": json.dumps(LOGIN), "token": "t1"}
    release = environment.build(proxied, "abc123", "i-1", known | {"shop/api-key": "k1"})
    assert urlsplit(release["DATABASE_URL"]).hostname == "db.internal", "migrations take locks of a session"


def test_auroras_readers_are_behind_rds_proxy_too(proxied: dict[str, Any], manager: Any) -> None:
    proxied["database"] |= {"replica_hosts": [], "reader_host": "ro.internal", "proxy_reader_host": "ro-proxy.internal"}
    variables = current.refresh(proxied, manager, "i-1").variables
    assert urlsplit(variables["DATABASE_READER_URL"]).hostname == "ro-proxy.internal"


def test_a_rotated_password_reloads_workers_behind_rds_proxy(proxied: dict[str, Any], manager: Any) -> None:
    first = current.refresh(proxied, manager, "i-1")
    rotate(manager, "second")
    second = current.refresh(proxied, manager, "i-1")
    assert "second" in second.variables["DATABASE_URL"]
    assert first.digest != second.digest, "the proxy asks its clients for the database's password"
