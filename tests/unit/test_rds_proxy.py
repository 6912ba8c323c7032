"""`pooler: rds-proxy`: the proxy that is made, what is refused, and what the app and the doctor are told."""

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import example_args
import pulumi
import pytest
from recording import Recording, Registered, record
from test_stack import built as built  # a fixture that applies here too

import settings
import stack
from cli.doctor.wanted import wanted as wanted_of
from components import AppServers, Database, DatabaseArgs
from components.planning import Budget
from lab.provider import validation
from operate.doctor import cost
from settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
PROXY = "aws:rds/proxy:Proxy"
POOL = "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup"
TARGET = "aws:rds/proxyTarget:ProxyTarget"
ENDPOINT = "aws:rds/proxyEndpoint:ProxyEndpoint"
IN, OUT = (f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Ingress", "Egress"))

pytestmark = pytest.mark.usefixtures("user_data")


def make(**more: object) -> Recording:
    arguments = {**example_args.database(), "proxy_percent": 70, **more}
    return record(lambda: Database("db", cast(DatabaseArgs, arguments)))


def load(environment: str = "dev", app: dict[str, Any] | None = None, **database: object) -> Settings:
    config = {
        "aws:region": "us-east-1",
        "expressway:environment": environment,
        "expressway:app": app or {},
        "expressway:database": {"pooler": "rds-proxy", **database},
    }
    return settings.parse(config, stack="dev", base=ROOT, source="test")


def build(**database: Any) -> Recording:
    settled = load(**database)
    return record(lambda: stack.build(settled), stack="dev")


def refusals(app: dict[str, Any] | None = None, **database: Any) -> dict[str, str]:
    """Path -> rule and remedy, as a preview says them."""
    with pytest.raises(SettingsError) as refused:
        load(app=app, **database)
    return {each.path.removeprefix("expressway:"): f"{each.rule} {each.remedy}" for each in refused.value.problems}


def test_the_proxy_speaks_tls_alone_and_logs_no_statement() -> None:
    made = make(log_retention_days=7)
    proxy = made.one(PROXY)
    assert (proxy.inputs["engineFamily"], proxy.inputs["requireTls"], proxy.inputs["debugLogging"]) == (
        *("POSTGRESQL", True, False),
    )
    assert proxy.inputs["vpcSubnetIds"] == ["subnet-a", "subnet-b"]
    group = made.one("aws:cloudwatch/logGroup:LogGroup", "db-proxy-logs")
    assert group.inputs["name"] == f"/aws/rds/proxy/{proxy.inputs['name']}"
    assert group.inputs["retentionInDays"] == 7
    assert group.name in proxy.depends_on, "RDS would make it, and keep it for good"
    assert proxy.delete_before_replace, "RDS takes no two of its name"
    assert make(export_logs=False).one("aws:cloudwatch/logGroup:LogGroup").name == "db-proxy-logs"


def test_it_has_its_share_of_the_connections_and_lets_nobody_wait_longer_than_the_edge_does() -> None:
    made = make(proxy_percent=55)
    told = made.one(POOL).inputs["connectionPoolConfig"]
    assert told == {"maxConnectionsPercent": 55, "maxIdleConnectionsPercent": 27, "connectionBorrowTimeout": 20}


def test_it_may_read_the_one_secret_that_clients_connect_with() -> None:
    made = make()
    login = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-instance"
    (auth,) = made.one(PROXY).inputs["auths"]
    assert (auth["secretArn"], auth["iamAuth"]) == (login, "DISABLED")
    assert auth["clientPasswordAuthType"] == "POSTGRES_SCRAM_SHA_256"
    assert made.statements("db-proxy-secret") == [
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": [login]}
    ]
    trust = json.loads(made.one("aws:iam/role:Role").inputs["assumeRolePolicy"])["Statement"]
    assert [each["Principal"] for each in trust] == [{"Service": "rds.amazonaws.com"}]
    assert "db-proxy-secret" in made.one(PROXY).depends_on, "it reads the secret as it is made"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"replicas": 1}, ["db-password"]),
        # The master user's as well: servers that run go on as that one until they are replaced.
        ({"app_user": "shop"}, ["db-user-shop", "db-instance"]),
        ({"app_user": "shop", "replicas": 1}, ["db-user-shop", "db-password"]),
    ],
)
def test_its_logins_are_those_that_machines_connect_with(given: dict[str, Any], names: list[str]) -> None:
    made = make(**given)
    secrets = [f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}" for name in names]
    assert [each["secretArn"] for each in made.one(PROXY).inputs["auths"]] == secrets
    (statement,) = made.statements("db-proxy-secret")
    assert statement["Resource"] == secrets


def test_it_is_let_into_the_database_and_calls_nobody_else() -> None:
    made = make()
    group, database = made.one(PROXY).inputs["vpcSecurityGroupIds"][0], "db-group-id"
    outs = [each.inputs for each in made.all(OUT)]
    assert [(each["securityGroupId"], each["referencedSecurityGroupId"], each["toPort"]) for each in outs] == [
        (group, database, 5432)
    ]
    assert group != database
    ins = [each.inputs for each in made.all(IN)]
    assert [(each["securityGroupId"], each["referencedSecurityGroupId"]) for each in ins] == [(database, group)]


def test_without_a_percent_there_is_no_proxy() -> None:
    made = record(lambda: Database("db", example_args.database()))
    assert not [each for each in made.resources if "roxy" in each[0]]
    assert not made.all("aws:iam/role:Role")


def test_it_leads_to_the_instance_and_to_no_replica() -> None:
    made = make(replicas=2)
    target = made.one(TARGET)
    assert target.inputs["dbInstanceIdentifier"] == "db-instance"
    assert "dbClusterIdentifier" not in target.inputs
    assert not made.all(ENDPOINT)


def test_before_a_cluster_it_has_an_endpoint_for_the_readers() -> None:
    made = make(engine="aurora", replicas=2)
    target = made.one(TARGET)
    assert target.inputs["dbClusterIdentifier"] == made.one("aws:rds/cluster:Cluster").name
    assert {"db-writer", "db-reader1", "db-reader2"} <= target.depends_on, "a cluster without an instance is no target"
    readers = made.one(ENDPOINT).inputs
    assert (readers["targetRole"], readers["vpcSecurityGroupIds"]) == (
        *("READ_ONLY", made.one(PROXY).inputs["vpcSecurityGroupIds"]),
    )
    alone = make(engine="aurora")
    assert not alone.all(ENDPOINT), "without readers it would lead nowhere"
    assert "db-writer" in alone.one(TARGET).depends_on


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"proxy_percent": 0}, "proxyPercent: .*1 to 100"),
        ({"proxy_percent": 101}, "proxyPercent: .*1 to 100"),
        ({"subnet_ids": ["subnet-a"]}, "subnetIds: .*two subnets at least, in two zones"),
    ],
)
def test_the_database_refuses_what_aws_would(given: dict[str, Any], message: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=message):
        make(**given)


def test_subnets_that_are_not_known_yet_are_no_mistake() -> None:
    def program() -> Database:
        subnets = pulumi.Output.from_input(["subnet-a"]).apply(lambda known: [*known, "subnet-b"])
        return Database("db", {**example_args.database(), "proxy_percent": 70, "subnet_ids": subnets})

    assert record(program).all(PROXY)


def servers(**database: object) -> Recording:
    arguments = cast(Any, example_args.app_servers())
    arguments = {**arguments, "pooler": "rds-proxy", "database": {**arguments["database"], **database}}
    return record(lambda: AppServers("app", cast(Any, arguments)))


KNOWN = {"proxy_host": "proxy.example", "proxy_security_group_id": "sg-proxy"}


def test_app_servers_refuse_a_database_without_a_proxy() -> None:
    message = r"database\.proxyHost: it must be there with pooler rds-proxy\. Give Database proxyPercent"
    with pytest.raises(pulumi.InputPropertiesError, match=message):
        servers()
    assert servers(**KNOWN).machine("app")["database"]["proxy_host"] == "proxy.example"


def test_a_database_that_another_resource_gives_is_held_to_it_once_it_is_known() -> None:
    def program() -> AppServers:
        arguments = cast(Any, example_args.app_servers())
        whole = pulumi.Output.from_input(arguments["database"])
        return AppServers("app", cast(Any, {**arguments, "pooler": "rds-proxy", "database": whole}))

    with pytest.raises(Exception, match=r"database\.proxy\w+: it must be there"):
        record(program)


def test_a_proxy_that_takes_what_goes_past_it_is_refused_with_the_percent_that_it_may_have() -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=r"maxSize: .*Set proxyPercent to at most 88, or take"):
        servers(**KNOWN, proxy_percent=95)
    assert servers(**KNOWN, proxy_percent=88).machine("app")["database"]["pool_size"] == 176 // 16


def test_the_app_is_told_of_the_proxy_and_let_in_there_as_well_as_at_the_database() -> None:
    made = build(shards=2)
    told = made.machine("dev-app")["database"]
    assert (told["pooler"], told["proxy_host"]) == ("rds-proxy", "dev-database-proxy.proxy-x.rds.example")
    assert told["host"] == "dev-database-instance.rds.example", "what measures and migrates goes past the proxy"
    assert told["proxy_reader_host"] == ""
    assert told["shards"][0]["proxy_host"] == "dev-database-2-proxy.proxy-x.rds.example"
    assert {each.name for each in made.all(OUT)} >= {
        *("dev-app-database-proxy-out", "dev-app-database-2-proxy-out", "dev-app-database-out"),
    }
    rule = made.one(IN, "dev-app-database-proxy-in").inputs
    assert rule["securityGroupId"] in made.one(PROXY, "dev-database-proxy").inputs["vpcSecurityGroupIds"]
    assert (rule["fromPort"], rule["toPort"]) == (5432, 5432)


def test_nothing_of_it_is_what_aws_or_its_provider_refuses() -> None:
    made = build(shards=2, replicas=1)
    found = {each.name: list(map(str, _findings(each))) for each in made.resources.values() if "proxy" in each.name}
    assert len(found) > 10
    assert not any(found.values()), found


def _findings(resource: Registered) -> Iterable[Exception]:
    return validation.findings(
        resource.type, {name: each for name, each in resource.inputs.items() if each is not None}
    )


def test_with_another_pooler_nothing_is_made_and_nobody_told() -> None:
    made = build(pooler="none", instanceClass="db.t4g.medium")
    assert not made.all(PROXY)
    assert not [name for name in made.machine("dev-app")["database"] if "proxy" in name]


@pytest.mark.parametrize("pooler", ["pgbouncer", "none"])
def test_one_that_stays_is_where_it_was_and_servers_of_before_still_reach_it(pooler: str) -> None:
    made, before = (build(pooler=each, keepProxy=True, instanceClass="db.t4g.medium") for each in (pooler, "rds-proxy"))
    for kind in (PROXY, TARGET):
        assert [(each.name, each.inputs) for each in made.all(kind)] == [
            (each.name, each.inputs) for each in before.all(kind)
        ]
    rules = [(each.name, each.inputs) for each in made.all(OUT)]
    assert rules == [(each.name, each.inputs) for each in before.all(OUT)]
    assert not [name for name in made.machine("dev-app")["database"] if "proxy" in name], "new ones don't go by it"


def test_what_one_that_stays_may_have_is_not_left_to_the_pools() -> None:
    alone, beside = Budget(most=189, servers=4), Budget(most=189, servers=4, percent=40)
    assert beside.line == (
        "2 x 4 servers while rolling x (11 in its pool + 1 to measure) + 75 of an RDS Proxy (40 %) + 15 kept = 186 "
        "of max_connections 189"
    )
    assert (alone.size, beside.size, beside.check()) == (20, 11, [])
    told = build(pooler="pgbouncer", keepProxy=True, instanceClass="db.t4g.small")
    assert told.one(POOL).inputs["connectionPoolConfig"]["maxConnectionsPercent"] == 40
    pool = told.machine("dev-app")["database"]["pool_size"]
    assert pool == load(pooler="pgbouncer", keepProxy=True, instanceClass="db.t4g.small").connections.size
    assert pool < load(pooler="pgbouncer", instanceClass="db.t4g.small").connections.size
    message = refusals(pooler="pgbouncer", keepProxy=True, instanceClass="db.t4g.small", poolSize=pool + 1)
    assert f"Set poolSize to at most {pool}" in message["database.poolSize"]


def test_while_it_is_gone_by_a_proxy_that_stays_has_its_whole_share() -> None:
    assert load(keepProxy=True).connections == load().connections


def test_servers_refuse_to_keep_a_proxy_that_there_is_not() -> None:
    arguments = cast(Any, {**example_args.app_servers(), "keep_proxy": True})
    message = (
        r"database\.proxyHost: it must be there with keepProxy\. Give Database proxyPercent, or leave keepProxy out"
    )
    with pytest.raises(pulumi.InputPropertiesError, match=message):
        record(lambda: AppServers("app", arguments))
    known = cast(Any, {**arguments, "database": {**arguments["database"], **KNOWN}})
    assert record(lambda: AppServers("app", known)).machine("app")["database"]["pooler"] == "pgbouncer"


def test_auroras_readers_are_reached_by_the_proxy_too() -> None:
    told = build(engine="aurora", replicas=1).machine("dev-app")["database"]
    assert told["proxy_reader_host"] == "dev-database-proxy-readers.endpoint.proxy-x.rds.example"


def test_its_share_is_what_those_that_go_past_it_leave() -> None:
    budget = Budget(most=78, servers=4, pooler="rds-proxy")
    assert budget.line == (
        "54 of RDS Proxy (70 %) for 2 x 4 servers while rolling x 2 workers x 3, + 8 to measure + 15 kept = 77 "
        "of max_connections 78"
    )
    assert (budget.size, budget.used, budget.check()) == (3, 54 + 8 + 15, [])
    made = build()
    assert made.one(POOL).inputs["connectionPoolConfig"]["maxConnectionsPercent"] == 70
    assert made.machine("dev-app")["database"]["pool_size"] == 3


@pytest.mark.parametrize("most", [60, 78, 100, 189, 405, 811, 5000])
@pytest.mark.parametrize("servers", [1, 2, 4, 12, 50, 400])
@pytest.mark.parametrize("workers", [2, 8])
def test_the_database_takes_what_the_proxy_and_the_others_open_or_it_is_refused(
    most: int, servers: int, workers: int
) -> None:
    budget = Budget(most, servers, "rds-proxy", workers=workers)
    if budget.check():
        assert budget.used > most or budget.fitting < 1
        return
    share = most * budget.proxy_percent // 100
    assert share + 2 * servers + 15 <= most
    assert 2 * servers * workers * budget.size <= share, "a client that the proxy pins keeps a connection"
    assert most * (budget.proxy_percent + 1) / 100 + 2 * servers + 15 > most, "nothing is left to nobody"
    for greater in (most + 1, 2 * most):
        known = dataclasses.replace(budget, most=greater, percent=budget.proxy_percent)
        assert known.used <= greater, "the database may take more than is sure"


def test_more_servers_than_the_proxy_has_connections_for_their_workers_are_refused() -> None:
    found = refusals(app={"maxSize": 12, "minSize": 2})
    assert list(found) == ["app.maxSize"]
    assert re.search(
        r"39 of RDS Proxy \(50 %\) for 2 x 12 servers .*Lower maxSize to 10, or take", found["app.maxSize"]
    )
    assert load(app={"maxSize": 10}).connections.size == 1
    assert "to measure + 15 kept = " in refusals(app={"maxSize": 200})["app.maxSize"]


def test_pools_may_be_larger_than_the_proxys_share_but_not_than_what_a_replica_takes() -> None:
    assert load(poolSize=20).connections.size == 20, "clients that wait are the proxy's business"
    found = refusals(poolSize=20, replicas=1)
    assert list(found) == ["database.poolSize"]
    assert re.search(r"x 20 \+ 15 kept = 335 of max_connections 78.*to at most 3", found["database.poolSize"])
    assert load(poolSize=3, replicas=1).connections.size == 3
    assert load(engine="aurora", poolSize=100, replicas=1).connections.size == 100, "a cluster's are behind it too"


def test_a_proxy_is_part_of_the_price() -> None:
    def item(**database: Any) -> cost.Item:
        estimate = cost.estimate(wanted_of(load(**database), ROOT))
        return next(each for each in estimate.items if each.name.startswith("RDS Proxy"))

    assert item().price == pytest.approx(2 * 0.015 * 730), "two vCPUs are the least"
    large = item(instanceClass="db.m7g.2xlarge", shards=2)
    assert (large.name, large.count, large.price) == ("RDS Proxy, 8 vCPUs", 2, pytest.approx(8 * 0.015 * 730))
    assert item(engine="aurora").price is None, "the file has no price of Aurora's"
    assert not [each for each in cost.estimate(wanted_of(load(pooler="pgbouncer"), ROOT)).items if "Proxy" in each.name]


def test_the_doctor_tells_the_arithmetic() -> None:
    assert wanted_of(load(), ROOT).database.connections.startswith("54 of RDS Proxy (70 %) for 2 x 4 servers")
