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
