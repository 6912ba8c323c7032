"""Settings against what stands of the stack: what can't be, and what waits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import settings
from components.planning import Subnet
from settings import Problem, Settings, Standing, check_standing, made_anew, waiting_for_window

ROOT = Path(__file__).resolve().parents[2]

THERE = Standing(
    cidr="10.20.0.0/16",
    subnets={
        "us-east-1a": Subnet("us-east-1a", "10.20.0.0/20", "10.20.128.0/20"),
        "us-east-1b": Subnet("us-east-1b", "10.20.16.0/20", "10.20.144.0/20"),
    },
    database_name="app",
    database_version="17.6",
    instance_class="db.t4g.micro",
    storage_gb=20,
    multi_az=False,
    maintenance_window="sun:05:00-sun:05:30",
    cache_engine="redis",
    cache_version="7.1",
)


def load(**sections: dict[str, Any]) -> Settings:
    config = {"aws:region": "us-east-1", **{f"expressway:{name}": value for name, value in sections.items()}}
    return settings.parse(config, stack="dev", base=ROOT, source="test")


def refused(there: Standing = THERE, **sections: dict[str, Any]) -> list[Problem]:
    return list(check_standing(load(**sections), there))


def test_settings_that_fit_what_stands_are_let_through() -> None:
    assert not refused()
    assert not refused(cache={"engineVersion": "7.1", "nodeType": "cache.r7g.large", "replicas": 2})
    assert not refused(
        database={"engineVersion": "18", "storageGb": 100, "multiAz": True, "instanceClass": "db.r7g.large"}
    )
    assert not refused(network={"zones": 3, "nat": "none"})


def test_before_the_first_update_anything_goes() -> None:
    assert not refused(Standing(), network={"cidr": "10.99.0.0/16"}, database={"name": "shop", "engineVersion": "13"})
    assert not waiting_for_window(load(database={"applyImmediately": False}), Standing())


@pytest.mark.parametrize("name", ["db", "user", "grant", "database"])
def test_a_word_that_rds_reserves_is_no_name_of_a_database_that_it_makes(name: str) -> None:
    for engine in ("postgresql", "aurora"):
        (problem,) = refused(Standing(), database={"engine": engine, "name": name})
        assert (problem.path, problem.value) == ("expressway:database.name", f'"{name}"')
        assert f"as in {name}_app" in problem.remedy
        assert not refused(Standing(), database={"engine": engine, "name": name, "snapshot": "before"}), "it has one"
    assert not refused(replace(THERE, has_database=True, database_name=name), database={"name": name})
    assert not refused(Standing(), database={"name": f"{name}_app"})


def test_replicas_of_a_copy_wait_until_it_is_there() -> None:
    (problem,) = refused(Standing(), database={"snapshot": "before", "replicas": 1})
    assert (problem.path, problem.value) == ("expressway:database.replicas", "1")
    assert not refused(replace(THERE, has_database=True, snapshot="before"), database={"replicas": 1})
    assert not refused(Standing(), database={"replicas": 1})


@pytest.mark.parametrize(
    ("path", "sections"),
    [
        ("network.cidr", {"network": {"cidr": "10.99.0.0/16"}}),
        ("database.name", {"database": {"name": "shop"}}),
        ("database.engineVersion", {"database": {"engineVersion": "16"}}),
        ("database.engineVersion", {"database": {"engineVersion": "16.9"}}),
        ("database.storageGb", {"database": {"storageGb": 20}}),
        ("cache.engineVersion", {"cache": {"engineVersion": "7.0"}}),
        ("cache.engineVersion", {"cache": {"engineVersion": "6.2"}}),
    ],
)
def test_what_aws_would_replace_or_refuse_is_refused_by_name(path: str, sections: dict[str, Any]) -> None:
    (problem,) = refused(replace(THERE, storage_gb=21 if path.endswith("storageGb") else 20), **sections)
    assert problem.path == f"expressway:{path}"
    assert " now" in problem.rule, "it says what stands"
    assert problem.remedy.startswith("Put it back")


def test_there_are_never_fewer_shards_than_there_were() -> None:
    there = replace(THERE, shards=3)
    (problem,) = refused(there, database={"shards": 2})
    assert (problem.path, problem.value) == ("expressway:database.shards", "2")
    assert "there are 3 now" in problem.rule
    assert problem.remedy.startswith("Put it back, or raise it")
    assert not refused(there, database={"shards": 3})
    assert not refused(there, database={"shards": 16})
    assert not refused(replace(THERE, shards=1)), "as many as there are without the setting"


def test_a_redis_may_become_a_valkey_and_a_valkey_no_redis() -> None:
    assert not refused(cache={"engine": "valkey"})
    assert not refused(cache={"engine": "valkey", "engineVersion": "7.2"})
    valkey = replace(THERE, cache_engine="valkey", cache_version="8.1")
    (problem,) = refused(valkey)
    assert (problem.path, problem.value) == ("expressway:cache.engine", '"redis"')
    assert '"valkey" now' in problem.rule
    assert problem.remedy.startswith("Put it back")
    (older,) = refused(valkey, cache={"engine": "valkey", "engineVersion": "8.0"})
    assert older.path == "expressway:cache.engineVersion"


def test_a_cache_that_becomes_a_cluster_is_another_one_which_is_said() -> None:
    there = replace(THERE, cache_engine=None, cache_version=None, other_cache=True)
    cluster = {"shards": 2, "engine": "redis", "engineVersion": "6.2"}
    assert not refused(there, cache=cluster), "a new one has no version to go back from"
    (line,) = made_anew(load(cache=cluster), there)
    assert line.startswith("expressway:cache.shards = 2: ElastiCache can't turn a cache into a cluster; ")
    (back,) = made_anew(load(), there)
    assert back.startswith("expressway:cache.shards = nothing: ElastiCache can't turn a cache back from a cluster; ")
    assert not made_anew(load(cache=cluster), THERE)
    assert not made_anew(load(), Standing())


def test_a_cluster_that_stands_does_not_begin_with_snapshots_which_the_provider_cannot() -> None:
    there = replace(THERE, cache_snapshot_days=0)
    (problem,) = refused(there, cache={"shards": 2, "snapshotDays": 3})
    assert (problem.path, problem.value) == ("expressway:cache.snapshotDays", "3")
    assert "--snapshot-retention-limit" in problem.remedy
    assert not refused(replace(there, cache_snapshot_days=3), cache={"shards": 2, "snapshotDays": 7})
    assert not refused(there, cache={"snapshotDays": 3}), "of one that is no cluster it can"
    assert not refused(Standing(), cache={"shards": 2, "snapshotDays": 3})


def test_a_subnet_that_would_move_is_refused_and_a_zone_may_come_or_go() -> None:
    def entry(zone: str, public: str, private: str) -> dict[str, str]:
        return {"zone": f"us-east-1{zone}", "public": f"10.20.{public}", "private": f"10.20.{private}"}

    same, other = entry("a", "0.0/20", "128.0/20"), entry("c", "32.0/20", "160.0/20")
    assert not refused(network={"subnets": [same, other]}), "zone b goes, zone c comes"
    (moved,) = refused(network={"subnets": [other, entry("a", "0.0/20", "192.0/20")]})
    assert moved.path == "expressway:network.subnets[1]"
    explicit = replace(THERE, subnets={"us-east-1a": Subnet("us-east-1a", "10.20.1.0/24", "10.20.2.0/24")})
    (dropped,) = refused(explicit)
    assert dropped.path == "expressway:network.subnets", "without it, the ranges would be planned ones"


@pytest.mark.parametrize("setting", ["snapshot", "restoreFrom"])
def test_a_database_that_stands_starts_from_nothing_else(setting: str) -> None:
    empty = replace(THERE, has_database=True)
    started = replace(empty, snapshot="before", restore_from="before", database_name=None)
    assert not refused(started, database={setting: "before", "name": "shop"}), "it has"
    assert not refused(started), "and need not be told any more"
    (problem,) = refused(empty, database={setting: "before"})
    assert (problem.path, problem.value) == (f"expressway:database.{setting}", '"before"')
    assert problem.rule.endswith("this one stands, and it started without one")
    (other,) = refused(started, database={setting: "after"})
    assert other.rule.endswith('it started from "before"')


def test_storage_that_has_grown_by_itself_is_not_said_to_shrink_or_to_wait() -> None:
    grown, growing = replace(THERE, storage_gb=60), {"maxStorageGb": 100, "applyImmediately": False}
    assert not refused(grown, database=growing)
    assert not waiting_for_window(load(database=growing), grown)
    (problem,) = refused(grown, database={"storageGb": 30})
    assert problem.path == "expressway:database.storageGb", "without it, the settings have to say what there is"
    (beyond,) = refused(grown, database={"maxStorageGb": 50})
    assert beyond.path == "expressway:database.storageGb"


def test_a_minor_version_is_the_oldest_that_will_do() -> None:
    assert not refused(database={"engineVersion": "17.4"}), "RDS has gone past it by itself"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("instanceClass", "db.t4g.small"), ("storageGb", 40), ("multiAz", True), ("engineVersion", "18")],
)
def test_what_waits_is_said_with_until_when_and_how_to_have_it_now(setting: str, value: object) -> None:
    (line,) = waiting_for_window(load(database={"applyImmediately": False, setting: value}), THERE)
    assert line.startswith(f"expressway:database.{setting} = ")
    assert "sun:05:00-sun:05:30 UTC" in line
    assert line.endswith("expressway:database.applyImmediately: true")
    assert not waiting_for_window(load(database={"applyImmediately": True, setting: value}), THERE)


def test_nothing_that_is_made_at_once_is_said_to_wait() -> None:
    changed = {"applyImmediately": False, "backupDays": 9, "deletionProtection": True, "engineVersion": "17.5"}
    assert not waiting_for_window(load(database=changed), THERE)
    (minor,) = waiting_for_window(load(database={"applyImmediately": False, "engineVersion": "17.10"}), THERE)
    assert '"17.10" waits' in minor, "17.10 is newer than 17.6"


def test_only_production_waits_unless_told_otherwise() -> None:
    defaults = {
        name: settings.parse(
            {"aws:region": "us-east-1", "expressway:environment": name}, stack="dev", base=ROOT, source="test"
        ).database.apply_immediately
        for name in ("dev", "staging", "prod")
    }
    assert defaults == {"dev": True, "staging": True, "prod": False}
