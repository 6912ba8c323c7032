"""User data of the machines behind RDS and ElastiCache."""

import dataclasses
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.machines.services import backups, postgresql, redis
from lab.machines.services.postgresql import PostgresqlServer, Upstream
from lab.machines.services.redis import RedisServer

DATABASE = PostgresqlServer(
    "CERT", "KEY", username='od"d', password="it's", replication="own-way", database="app", port=5433
)
REPLICA = dataclasses.replace(DATABASE, upstream=Upstream("source.rds.amazonaws.com", 5434))
KEPT = dataclasses.replace(DATABASE, kept="/kept/db-OWN")
LATER = dataclasses.replace(
    KEPT, source=backups.Source("/kept/db-OLD", "b4", archived=True, at="2026-11-26 09:30:00+00")
)
CACHE = RedisServer("CERT", "KEY", ("a-token!of#sixteen$",), "nodes-own")


def config(user_data: bytes) -> dict[str, Any]:
    assert user_data.startswith(b"#cloud-config\n"), user_data[:40]
    return yaml.safe_load(user_data)


def files(user_data: bytes) -> dict[str, dict[str, str]]:
    return {file["path"]: file for file in config(user_data)["write_files"]}


@pytest.mark.parametrize(
    "user_data", [*map(postgresql.user_data, (DATABASE, REPLICA, KEPT, LATER)), redis.user_data(CACHE)]
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


@pytest.mark.parametrize(("force_ssl", "kind"), [("1", "hostssl"), ("0", "host"), (None, "hostssl")])
def test_force_ssl_decides_who_may_connect(force_ssl: str | None, kind: str) -> None:
    server = dataclasses.replace(DATABASE, settings={"rds.force_ssl": force_ssl} if force_ssl else {})
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


def test_a_database_begins_with_a_backup_up_to_a_time_and_with_the_passwords_that_count_now() -> None:
    own = files(postgresql.user_data(LATER))
    (recovery,) = [file["content"] for path, file in own.items() if path.endswith("recovery.conf")]
    assert "restore_command = 'cp /kept/db-OLD/wal/%f %p" in recovery
    assert "recovery_target_time = '2026-11-26 09:30:00+00'" in recovery
    assert "recovery_target_action = 'promote'" in recovery
    script = config(postgresql.user_data(LATER))["runcmd"][0][-1]
    steps = ("cp --archive", "postgresql.auto.conf", "recovery.signal", "server.key\n", "/recover ", "roles.sql")
    found = [script.index(step) for step in steps]
    assert found == sorted(found), "a server without the signal would take the base for all there is"
    assert not [path for path in own if path.endswith("server.key")], "the boot starts a server that has its key"
    (users,) = [file["content"] for path, file in own.items() if path.endswith("roles.sql")]
    assert users.count("ALTER ROLE") == 2, users
    assert "CREATE" not in users


def test_a_database_that_begins_with_a_snapshot_has_nothing_that_came_later() -> None:
    server = dataclasses.replace(KEPT, source=backups.Source("/kept/db-OLD", "b4", archived=False))
    assert "recovery.signal" not in config(postgresql.user_data(server))["runcmd"][0][-1]
    (recovery,) = [file["content"] for path, file in files(postgresql.user_data(server)).items() if "recovery" in path]
    assert "recovery_target_time = " not in recovery


def archive(into: Path, segment: str, name: str, cwd: Path) -> int:
    """What PostgreSQL does with a segment that is full, as the settings say."""
    server = dataclasses.replace(DATABASE, kept=str(into))
    own = files(postgresql.user_data(server))
    (script,) = [file["content"] for path, file in own.items() if path.endswith("/archive")]
    (settings,) = [file["content"] for path, file in own.items() if path.endswith("lab.conf")]
    (line,) = [line for line in settings.splitlines() if line.startswith("archive_command")]
    (cwd / name).write_text(segment)
    (cwd / "archive.sh").write_text(script)
    command = line.partition("'")[2].rstrip("'").replace("%p", name).replace("%f", name)
    return subprocess.run(["sh", "archive.sh", *command.split()[2:]], check=False, cwd=cwd, timeout=20).returncode


def test_wal_is_archived_once_and_never_another_one_s_under_its_name(tmp_path: Path) -> None:
    kept, data = tmp_path / "kept", tmp_path / "data"
    data.mkdir()
    assert archive(kept, "one", "0001", data) == 0, "no backups are kept, and the server goes on"
    assert not kept.exists()
    (kept / "wal").mkdir(parents=True)
    assert archive(kept, "one", "0001", data) == 0
    assert (kept / "wal/0001").read_text() == "one"
    assert archive(kept, "one", "0001", data) == 0, "an attempt that was cut short is made again"
    assert archive(kept, "two", "0001", data) != 0
    assert (kept / "wal/0001").read_text() == "one"


def test_a_standby_leaves_the_wal_to_its_primary_and_hands_over_what_is_missing_once_it_is_promoted(
    tmp_path: Path,
) -> None:
    kept, data = tmp_path / "kept", tmp_path / "data"
    (kept / "wal").mkdir(parents=True)
    data.mkdir()
    signal = data / "standby.signal"
    signal.touch()
    (kept / "wal/0001").write_text("one")
    assert archive(kept, "one", "0001", data) == 0, "the primary was there first"
    early: list[bool] = []

    def promote() -> None:
        early.append((kept / "wal/0002").exists())
        signal.unlink()

    threading.Timer(1, promote).start()
    assert archive(kept, "two", "0002", data) == 0
    assert early == [False], "it was not its turn"
    assert (kept / "wal/0002").read_text() == "two"


def recover(folder: Path, server: PostgresqlServer, *outcomes: str) -> tuple[int, str, list[str]]:
    """The exit status, the settings at its end and what systemd was told, where the server's starts end so.

    `over`: it takes writes; `failed`: it ends, as when it doesn't find its target.
    """
    own = files(postgresql.user_data(server))
    (script,) = [file["content"] for path, file in own.items() if path.endswith("/recover")]
    settings, told, starts = (folder / name for name in ("recovery.conf", "told", "starts"))
    told.write_text("")
    settings.write_text(next(file["content"] for path, file in own.items() if path.endswith("recovery.conf")))
    starts.write_text("".join(f"{outcome}\n" for outcome in outcomes))
    (folder / "systemctl").write_text(f"""#!/bin/sh
echo "$1 $(grep -c '^recovery_target_time =' {settings})" >> {told}
[ "$1" != start ] || {{ head -n 1 {starts} > {folder}/state; sed -i 1d {starts}; }}
[ "$1" != is-active ] || {{ [ "$(cat {folder}/state)" = over ] && echo active || cat {folder}/state; }}
""")
    (folder / "runuser").write_text(f"""#!/bin/sh
[ "$(cat {folder}/state)" = over ] && echo f
""")
    for program in ("systemctl", "runuser"):
        (folder / program).chmod(0o755)
    run = subprocess.run(
        ["sh", "-c", script, "recover", "unit", "5432", "/programs", str(settings)],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        check=False,
        timeout=20,
    )
    starts_told = [line for line in told.read_text().splitlines() if line.startswith("start")]
    return run.returncode, settings.read_text(), starts_told


def test_a_server_that_finds_no_commit_after_its_time_has_all_there_is(tmp_path: Path) -> None:
    status, settings, started = recover(tmp_path, LATER, "over")
    assert (status, started) == (0, ["start 1"]), "it stopped at its time"
    assert "recovery_target_time = " in settings
    status, settings, started = recover(tmp_path, LATER, "failed", "over")
    assert (status, started) == (0, ["start 1", "start 0"])
    assert "recovery_target_timeline = 'latest'" in settings


def test_a_server_that_ends_for_another_reason_is_not_started_for_ever(tmp_path: Path) -> None:
    status, _, started = recover(tmp_path, LATER, "failed", "failed")
    assert (status, started) == (1, ["start 1", "start 0"])


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
    command = redis.configure(server.parameters, 2**28)
    assert " maxmemory 268435456\n" in command, "reserved-memory-percent may have changed"
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
