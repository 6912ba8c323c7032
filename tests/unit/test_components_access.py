"""What components hand on to each other, and what else may stand in for it: data by hand, or another stack's output."""

from typing import Any, cast

import example_args
import pulumi
import pytest
from recording import Recording, record

from components import AppServers, Cache, Database, LoadBalancer

pytestmark = pytest.mark.usefixtures("user_data")

NETWORK: Any = {"vpc_id": "vpc-1", "subnet_ids": ["subnet-a", "subnet-b"]}
BY_HAND = {kind: cast(dict[str, Any], example_args.app_servers())[kind] for kind in ("database", "cache", "release")}
"""A database, a cache and a bucket that somebody else made."""


def inputs(made: Recording) -> dict[tuple[str, str], dict[str, Any]]:
    """Of every AWS resource, less the archives, each of which equals only itself."""
    return {key: {**each.inputs, "source": None} for key, each in made.resources.items() if key[0].startswith("aws:")}


def app(**changes: Any) -> Recording:
    return record(lambda: AppServers("app", cast(Any, {**example_args.app_servers(), **changes})))


@pytest.mark.parametrize("kind", BY_HAND)
def test_another_stacks_output_is_as_good_as_data_by_hand(kind: str) -> None:
    by_hand = app(**{kind: BY_HAND[kind]})
    from_output = record(
        lambda: AppServers(
            "app", cast(Any, {**example_args.app_servers(), kind: pulumi.Output.from_input(BY_HAND[kind])})
        )
    )
    assert inputs(from_output) == inputs(by_hand)
    assert example_args.SHA in str(by_hand.machine("app")), "and it is told to the machines"


def test_targets_may_be_one_output_and_leave_out_the_path() -> None:
    targets = example_args.load_balancer()["targets"]
    by_hand = record(lambda: LoadBalancer("edge", example_args.load_balancer()))
    whole = record(
        lambda: LoadBalancer("edge", {**example_args.load_balancer(), "targets": pulumi.Output.from_input(targets)})
    )
    assert inputs(whole) == inputs(by_hand)
    assert whole.machine("edge")["upstream"]["readiness_path"] == "/readyz"


def test_app_servers_of_a_database_and_a_cache_are_let_into_both() -> None:
    def program() -> None:
        database, cache = Database("db", NETWORK), Cache("cache", NETWORK)
        args = {**example_args.app_servers(), "database": database.access, "cache": cache.access}
        AppServers("app", cast(Any, args))

    made = record(program)
    let_in = {
        (rule.inputs["securityGroupId"], rule.inputs["fromPort"])
        for rule in made.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    }
    assert let_in == {("db-group-id", 5432), ("cache-group-id", 6379)}
    machine = made.machine("app")
    assert machine["database"]["host"] == "db-instance.rds.example"
    assert machine["cache"]["host"] == "cache-redis.cache.example"


@pytest.mark.parametrize(
    ("more", "host", "cluster"),
    [({}, "cache-redis.cache.example", False), ({"shards": 2}, "clustercfg.cache-slots.cache.example", True)],
)
def test_a_cache_hands_on_where_clients_begin_and_whether_it_is_a_cluster(
    more: dict[str, int], host: str, cluster: bool
) -> None:
    def program() -> None:
        cache = Cache("cache", cast(Any, {**NETWORK, **more}))
        AppServers("app", cast(Any, {**example_args.app_servers(), "cache": cache.access}))

    told = record(program).machine("app")["cache"]
    assert (told["host"], told["cluster"]) == (host, cluster)


def test_app_servers_of_several_shards_are_let_into_each_and_read_its_secret() -> None:
    def program() -> None:
        first, *shards = (Database(name, NETWORK) for name in ("db", "db-2", "db-3"))
        args = {**example_args.app_servers(), "database": first.access, "shards": [each.access for each in shards]}
        AppServers("app", cast(Any, args))

    made = record(program)
    rules = made.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert {each.name: each.inputs["securityGroupId"] for each in rules if each.inputs["fromPort"] == 5432} == {
        "app-database-in": "db-group-id",
        "app-database-2-in": "db-2-group-id",
        "app-database-3-in": "db-3-group-id",
    }
    group = made.one("aws:autoscaling/group:Group", "app-group")
    assert {"app-database-2-in", "app-database-3-in"} <= group.depends_on, "a machine connects as soon as it boots"
    told = made.machine("app")["database"]
    assert [each["host"] for each in told["shards"]] == ["db-2-instance.rds.example", "db-3-instance.rds.example"]
    secrets = [told["secret"], *(each["secret"] for each in told["shards"])]
    assert len(set(secrets)) == 3
    policy = made.one("aws:iam/rolePolicy:RolePolicy", "app-boot").inputs["policy"]
    assert all(f'"{each}"' in policy for each in secrets)


def test_each_shard_has_the_pool_that_it_takes_and_shards_may_be_outputs_too() -> None:
    smaller = {**BY_HAND["database"], "host": "db-2.example", "max_connections": 100}
    machine = app(shards=[smaller]).machine("app")["database"]
    assert (machine["pool_size"], machine["shards"][0]["pool_size"]) == ((200 - 15) // 8 - 1, (100 - 15) // 8 - 1)
    keys = {"host", "port", "name", "secret", "master_secret", "replica_hosts", "reader_host", "pool_size"}
    assert machine["shards"][0].keys() == keys

    def program() -> None:
        AppServers("app", cast(Any, {**example_args.app_servers(), "shards": [pulumi.Output.from_input(smaller)]}))

    assert record(program).machine("app")["database"] == machine


def test_without_shards_machines_are_told_what_they_were_before_there_were_any() -> None:
    assert app(shards=[]).machine("app") == app().machine("app")
    assert "shards" not in app().machine("app")["database"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"database": None}, "shards: there is no database, which is the first of them. Give the first as database."),
        ({"shards": [BY_HAND["database"]] * 16}, "shards: it must have at most 15 entries, and has 16"),
        ({"shards": [{**BY_HAND["database"], "host": "a b"}]}, r"shards\[0\].host: \"a b\": it must be a DNS name"),
        ({"shards": [{**BY_HAND["database"], "hosts": "x"}]}, r"shards\[0\].hosts: there is no such argument"),
        ({"shards": [{**BY_HAND["database"], "max_connections": 20}]}, r"maxSize: 4: .* of max_connections 20"),
    ],
)
def test_shards_that_cannot_be_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=said):
        app(**{"shards": [BY_HAND["database"]], **changes})


def test_a_shard_of_too_few_connections_is_refused_once_that_is_known() -> None:
    def program() -> None:
        shard = pulumi.Output.from_input({**BY_HAND["database"], "max_connections": 20})
        AppServers("app", cast(Any, {**example_args.app_servers(), "shards": [shard]}))

    with pytest.raises(pulumi.InputPropertiesError, match=r"maxSize: 4: .* of max_connections 20"):
        record(program)


def test_port_and_path_are_given_once() -> None:
    def program() -> None:
        servers = AppServers("app", {**example_args.app_servers(), "port": 8080, "readiness_path": "/up"})
        LoadBalancer("edge", {**example_args.load_balancer(), "targets": servers.targets})

    made = record(program)
    assert made.machine("app")["app"]["port"] == 8080
    upstream = made.machine("edge")["upstream"]
    assert (upstream["port"], upstream["readiness_path"]) == (8080, "/up")
    rule = made.one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "edge-app-in")
    assert (rule.inputs["fromPort"], rule.inputs["securityGroupId"]) == (8080, "app-group-id")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "database: the output that was given for it lacks host, name, port, secret_arn, security_group_id"),
        ("db.example", "database: the output that was given for it lacks host"),
        ({"host": "db.example", "port": 5432}, "database: the output that was given for it lacks name, secret_arn"),
    ],
)
def test_an_output_that_is_no_access_is_refused_by_name(given: Any, said: str) -> None:
    def program() -> None:
        AppServers("app", cast(Any, {**example_args.app_servers(), "database": pulumi.Output.from_input(given)}))

    with pytest.raises(pulumi.InputPropertiesError, match=said):
        record(program)
