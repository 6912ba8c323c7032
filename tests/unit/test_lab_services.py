"""User data of the machines behind RDS and ElastiCache."""

import dataclasses
from typing import Any

import pytest
import yaml

from lab.machines.services import postgresql, redis
from lab.machines.services.postgresql import PostgresqlServer, Upstream
from lab.machines.services.redis import RedisServer

DATABASE = PostgresqlServer(
    "CERT", "KEY", username='od"d', password="it's", replication="own-way", database="app", port=5433
)
REPLICA = dataclasses.replace(DATABASE, upstream=Upstream("source.rds.amazonaws.com", 5434))
CACHE = RedisServer("CERT", "KEY", ("a-token!of#sixteen$",), "nodes-own")


def config(user_data: bytes) -> dict[str, Any]:
    assert user_data.startswith(b"#cloud-config\n"), user_data[:40]
    return yaml.safe_load(user_data)


def files(user_data: bytes) -> dict[str, dict[str, str]]:
    return {file["path"]: file for file in config(user_data)["write_files"]}


@pytest.mark.parametrize(
    "user_data", [postgresql.user_data(DATABASE), postgresql.user_data(REPLICA), redis.user_data(CACHE)]
)
def test_only_owners_read_what_is_secret(user_data: bytes) -> None:
    for path, file in files(user_data).items():
        secret = any(word in file["content"] for word in ("KEY", "it''s", "own-way", "sixteen", "nodes-own"))
        assert not secret or file["permissions"] == "0600", path


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert postgresql.user_data(DATABASE) == postgresql.user_data(DATABASE), "byte-stable"


def test_names_and_passwords_are_quoted_as_sql_wants_it() -> None:
    sql = postgresql.roles(DATABASE)
    assert 'CREATE ROLE "od""d" LOGIN' in sql, sql
    assert "PASSWORD 'it''s'" in sql, sql
    assert "SUPERUSER" not in sql.replace("rds_superuser", ""), "no superuser"


def test_statements_are_counted_and_the_master_user_may_look_at_them_as_on_rds() -> None:
    settings = next(file for path, file in files(postgresql.user_data(DATABASE)).items() if path.endswith("lab.conf"))
    assert "shared_preload_libraries = 'pg_stat_statements'" in settings["content"]
    script = config(postgresql.user_data(DATABASE))["runcmd"][0][-1]
    trusted = script.index("echo 'trusted = true' >> /usr/share/postgresql/17/extension/pg_stat_statements.control")
    assert trusted < script.index("systemctl start"), "before anybody can ask for it"


def test_a_database_is_made_only_when_it_has_a_name() -> None:
    assert "CREATE DATABASE" in postgresql.roles(DATABASE), "named"
    nameless = PostgresqlServer("CERT", "KEY", username="master", password="secret", replication="r")
    assert "CREATE DATABASE" not in postgresql.roles(nameless), "RDS makes none either"


@pytest.mark.parametrize(("force_ssl", "kind"), [(True, "hostssl"), (False, "host")])
def test_force_ssl_decides_who_may_connect(force_ssl: bool, kind: str) -> None:
    server = PostgresqlServer("CERT", "KEY", username="master", password="secret", replication="r", force_ssl=force_ssl)
    access = next(file for path, file in files(postgresql.user_data(server)).items() if path.endswith("pg_hba.conf"))
    kinds = {line.split()[1]: line.split()[0] for line in access["content"].splitlines() if "0.0.0.0/0" in line}
    assert kinds == {"all": kind, "replication": "hostssl"}, access["content"]


def test_a_replica_begins_with_a_copy_of_its_source_and_follows_it_by_its_name() -> None:
    own = files(postgresql.user_data(REPLICA))
    settings = next(file["content"] for path, file in own.items() if path.endswith("lab.conf"))
    (followed,) = [line for line in settings.splitlines() if line.startswith("primary_conninfo")]
    assert "host=source.rds.amazonaws.com port=5434 user=rdsrepladmin" in followed
    assert "sslmode=verify-full" in followed, "whoever has that name proves it"
    script = config(postgresql.user_data(REPLICA))["runcmd"][0][-1]
    steps = [script.index(step) for step in ("pg_basebackup", "standby.signal", "server.key\n", "systemctl start")]
    assert steps == sorted(steps), "a server without the signal would go its own way"
    assert not [path for path in own if path.endswith("server.key")], "the boot starts a server that has its key"
    assert not [path for path in own if path.endswith("roles.sql")], "users are its source's"
    assert "primary_conninfo" not in str(files(postgresql.user_data(DATABASE)))


def test_the_cache_has_no_port_without_tls() -> None:
    lines = redis.configuration(CACHE).splitlines()
    assert "port 0" in lines, lines
    assert "tls-port 6379" in lines, lines
    assert not [line for line in lines if line.startswith("user default") and "nopass" in line], lines


def test_a_cache_takes_its_latest_two_tokens_and_withholds_what_elasticache_does() -> None:
    server = dataclasses.replace(CACHE, tokens=("the-old-token-of-16", "the-new-token-of-16"))
    (default,) = [line for line in redis.configuration(server).splitlines() if line.startswith("user default")]
    assert '">the-old-token-of-16" ">the-new-token-of-16"' in default
    assert {"-replicaof", "-psync", "-acl|setuser"} <= set(default.split()), "a client could make itself the primary"


def test_a_cache_has_its_groups_parameters_from_the_boot_and_while_it_runs() -> None:
    server = dataclasses.replace(CACHE, parameters={"maxmemory-policy": "allkeys-lru", "reserved-memory-percent": "50"})
    lines = redis.configuration(server).splitlines()
    assert 'maxmemory-policy "allkeys-lru"' in lines
    assert 'tcp-keepalive "300"' in lines, "what the group doesn't say is the family's"
    assert not [line for line in lines if line.startswith("reserved")], "Redis would not start"
    command = redis.configure(server.parameters)
    assert command.startswith("lab-config SET ")
    assert 'maxmemory-policy "allkeys-lru"' in command
    assert 'maxmemory-policy "volatile-lru"' in redis.configure({}), "one that was taken away is the family's again"


def test_no_client_can_change_a_caches_configuration() -> None:
    lines = redis.configuration(CACHE).splitlines()
    assert "rename-command config lab-config" in lines
    assert [line for line in lines if line.startswith("user default") and " -config " in line]


def test_a_replica_follows_the_primary_and_the_primary_nobody() -> None:
    replica = redis.configuration(dataclasses.replace(CACHE, primary="10.0.0.9"))
    assert "replicaof 10.0.0.9 6379" in replica.splitlines()
    assert not [line for line in redis.configuration(CACHE).splitlines() if line.startswith("replicaof")]


def test_a_script_ends_at_the_first_command_that_fails() -> None:
    (command,) = config(postgresql.user_data(DATABASE))["runcmd"]
    assert command[:2] == ["sh", "-c"], command
    assert command[2].startswith("set -eu\n"), command
    assert "it's" not in command[2], "a password is no argument"
