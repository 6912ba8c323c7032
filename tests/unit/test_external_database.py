"""`engine: external`: a database that somebody else keeps, so that none is made, and machines learn where it is."""

import json
import re
from pathlib import Path
from typing import Any, cast

import database_settings
import example_args
import pulumi
import pytest
import yaml
from recording import Recording, record, unknown
from test_stack import built as built  # a fixture that applies here too

import settings
import stack
from cli.doctor.wanted import wanted as wanted_of
from components import AppServers, AppServersArgs, state
from operate.database import failover, instance, password
from operate.doctor import cost, quotas
from operate.doctor.account import Account
from operate.doctor.data import check_database
from operate.doctor.finding import Status
from operate.stack import Stack
from settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
WELL: dict[str, Any] = {"secret": "shop/citus", "egress": ["10.9.0.0/16"]}

pytestmark = pytest.mark.usefixtures("user_data")


def load(environment: str = "dev", **database: object) -> Settings:
    return database_settings.load("external", environment, {**database})


def build(environment: str = "dev", **database: Any) -> Recording:
    settled = load(environment, **{**WELL, **database})
    return record(lambda: stack.build(settled), stack="dev")


def refusals(**database: Any) -> dict[str, str]:
    return database_settings.refusals("external", database, "expressway:")


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_nothing_of_rds_is_made_in_any_environment(environment: str) -> None:
    made = build(environment)
    assert [key for key in made.resources if "rds" in key[0] or key[0].endswith(":Database")] == []
    assert not [each for each in made.all("aws:secretsmanager/secret:Secret") if "database" in each.name]
    assert not [each for each in made.all("aws:cloudwatch/logGroup:LogGroup") if "database" in each.name]
    empty = ("databaseEndpoint", "databasePasswordSecret", "databaseLogGroup")
    assert [made.outputs[each] for each in empty] == ["", "", ""]
    assert (made.outputs["databaseEndpoints"], made.outputs["databaseAppSecrets"]) == ([], [])
    assert made.outputs["databaseUrlSecret"] == "shop/citus"


def test_no_alarm_and_no_graph_is_of_rds() -> None:
    made = build()
    alarms = {each.name: each.inputs for each in made.all("aws:cloudwatch/metricAlarm:MetricAlarm")}
    assert [name for name, each in alarms.items() if each["namespace"] == "AWS/RDS"] == []
    assert {f"dev-monitoring-{each.key}" for each in load(**WELL).alarms} == set(alarms)
    body = made.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"]
    assert "AWS/RDS" not in body
    assert "AWS/ElastiCache" in body, "the others are there"


def test_app_servers_know_the_secret_and_nothing_that_is_in_it() -> None:
    made = build(maxConnections=300, port=6432, pooler="pgbouncer")
    told = made.machine("dev-app")["database"]
    assert "secret:shop/citus" in told.pop("secret")
    assert told == {"url_secret": True, "port": 6432, "pool_size": 34, "pooler": "pgbouncer"}
    policy = json.loads(made.one("aws:iam/rolePolicy:RolePolicy", "dev-app-boot").inputs["policy"])
    (reads,) = [each for each in policy["Statement"] if each["Action"] == "secretsmanager:GetSecretValue"]
    assert made.machine("dev-app")["database"]["secret"] in reads["Resource"]


def test_the_way_out_is_to_those_places_at_that_port_alone() -> None:
    made = build(egress=["10.9.0.0/16", "sg-0123456789abcdef0"], port=5433)
    rules = {each.name: each.inputs for each in made.all(EGRESS) if "database" in each.name}
    assert list(rules) == ["dev-app-database-to-10.9.0.0-16", "dev-app-database-to-sg-0123456789abcdef0"]
    assert {(each["fromPort"], each["toPort"], each["ipProtocol"]) for each in rules.values()} == {(5433, 5433, "tcp")}
    cidr, group = rules.values()
    assert (cidr.get("cidrIpv4"), cidr.get("referencedSecurityGroupId")) == ("10.9.0.0/16", None)
    assert (group.get("cidrIpv4"), group.get("referencedSecurityGroupId")) == (None, "sg-0123456789abcdef0")
    ports = {each.inputs["toPort"] for each in made.all(EGRESS) if each.inputs.get("cidrIpv4") == "0.0.0.0/0"}
    assert ports == {80, 443}


def test_what_the_stack_asks_is_what_the_page_says() -> None:
    page = (ROOT / "docs/database.md").read_text().partition("## Data that outgrows one database")[2]
    said = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    settled = settings.parse({"aws:region": "us-east-1", **said}, stack="dev", base=ROOT, source="the page")
    made = record(lambda: stack.build(settled), stack="dev")
    assert made.outputs["databaseUrlSecret"] == said["expressway:database"]["secret"]


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("engineVersion", "17", "where the database is kept"),
        ("instanceClass", "db.t4g.micro", "where the database is kept"),
        ("storageGb", 20, "where the database is kept"),
        ("maxStorageGb", 100, "where the database is kept"),
        ("multiAz", False, "where the database is kept"),
        ("replicas", 0, "an engine made for more spreads them itself"),
        ("shards", 1, "spreads the rows itself"),
        ("backupDays", 7, "where the database is kept"),
        ("deletionProtection", True, "where the database is kept"),
        ("applyImmediately", True, "where the database is kept"),
        ("name", "app", "the URL has the database's name"),
        ("appUser", "shop", "make the role there"),
        ("slowStatementMs", 100, "where the database is kept"),
        ("backupWindow", "03:00-03:30", "where the database is kept"),
        ("maintenanceWindow", "sun:04:00-sun:04:30", "where the database is kept"),
        ("insights", "none", "where the database is kept"),
        ("parameters", {"max_connections": "300"}, "maxConnections says how many it takes"),
        ("snapshot", "before", "where the database is kept"),
        ("restoreFrom", "shop", "where the database is kept"),
        ("serverless", {"min": 1, "max": 2}, "where the database is kept"),
        ("maxReplicas", 2, "where the database is kept"),
        ("replicaCpu", 50, "where the database is kept"),
    ],
)
def test_what_only_a_database_of_the_stack_has_is_refused_with_the_mend(name: str, value: Any, mend: str) -> None:
    found = refusals(**WELL, **{name: value})
    assert list(found) == [f"database.{name}"]
    assert re.search(rf"with engine external.*{mend}", found[f"database.{name}"]), found


@pytest.mark.parametrize(
    ("given", "path", "rule"),
    [
        ({"egress": ["10.9.0.0/16"]}, "database.secret", "must be there with engine external"),
        ({"secret": "shop/citus"}, "database.egress", "must be there with engine external"),
        ({**WELL, "egress": []}, "database.egress", "no app server reaches it"),
        ({**WELL, "egress": ["10.9.0.1/16"]}, "database.egress[0]", "CIDR, or a security group's id"),
        ({**WELL, "egress": ["10.9.0.0"]}, "database.egress[0]", "CIDR, or a security group's id"),
        ({**WELL, "egress": ["db.example"]}, "database.egress[0]", "Write it like 10.9.0.0/16 or sg-"),
        ({**WELL, "egress": ["10.9.0.0/16", "10.9.0.0/16"]}, "database.egress[1]", "given once"),
        ({**WELL, "port": 0}, "database.port", "1 to 65535"),
        ({**WELL, "maxConnections": 0}, "database.maxConnections", "1 to 5000"),
        ({**WELL, "maxConnections": 20}, "app.maxSize", "of max_connections 20 Set maxConnections to what"),
        ({**WELL, "pooler": "rds-proxy"}, "database.pooler", "a database of its own alone Set it to pgbouncer"),
        ({**WELL, "poolSize": 50}, "database.poolSize", "of max_connections 100 Set poolSize to at most 9"),
        ({"engine": "postgresql", "secret": "shop/citus"}, "database.secret", "set engine to external"),
        ({"engine": "aurora", "egress": ["10.9.0.0/16"]}, "database.egress", "set engine to external"),
        ({"engine": "postgresql", "maxConnections": 50}, "database.maxConnections", "set engine to external"),
        ({"engine": "postgresql", "port": 5433}, "database.port", "set engine to external"),
    ],
)
def test_what_does_not_fit_is_refused_at_preview_with_the_mend(given: dict[str, Any], path: str, rule: str) -> None:
    found = refusals(**given)
    assert list(found) == [path]
    assert re.search(rule, found[path]), found[path]


def test_the_url_itself_in_place_of_the_secrets_name_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError) as refused:
        load(egress=["10.9.0.0/16"], secret="postgresql://app:hunter2@citus.example/shop")
    assert "the name or ARN of a secret" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("kind", ["instance", "cluster"])
def test_a_stacks_own_database_is_not_deleted_for_another(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = state.DATABASE if kind == "instance" else state.CLUSTER
    standing = state.Standing(token, f"dev-database-{kind}", {"dbName": "app", "databaseName": "app"})
    monkeypatch.setattr(state, "read", lambda: state.State((standing,)))
    with pytest.raises(stack.StandingError) as refused:
        build()
    assert re.findall(r"expressway:\S+ = \S+", str(refused.value)) == ['expressway:database.engine = "external"']


def servers(**more: Any) -> AppServersArgs:
    given = {**example_args.app_servers(), "external_database": example_args.EXTERNAL, **more}
    return cast(AppServersArgs, {name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, r"externalDatabase: .*one of them"),
        ({"database": None, "external_database": {"secret": "s", "egress": []}}, r"externalDatabase\.egress: "),
        ({"database": None, "external_database": {"secret": "s"}}, r"external_database\.egress: it is missing"),
        (
            {"database": None, "external_database": {**example_args.EXTERNAL, "max_connections": 30}},
            "max_connections 30.*set maxConnections to what the database takes",
        ),
        ({"database": None, "pooler": "rds-proxy"}, "pooler: .*of its own alone"),
        ({"database": None, "shards": [example_args.SHARD]}, "shards: there is no database"),
    ],
)
def test_the_component_alone_refuses_the_same(more: dict[str, Any], message: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=message):
        record(lambda: AppServers("shop", servers(**more)))


def test_the_secret_may_be_another_resources_to_make() -> None:
    def make() -> None:
        AppServers("shop", servers(database=None, external_database={**example_args.EXTERNAL, "secret": unknown()}))

    preview = record(make, preview=True)
    assert [each.name for each in preview.all(EGRESS) if "database" in each.name] == ["shop-database-to-10.9.0.0-16"]


def there(**outputs: str) -> Stack:
    return cast(Stack, type("There", (), {"outputs": outputs, "region": "us-east-1"})())


@pytest.mark.parametrize("call", [instance.find, failover.failover, password.rotate])
def test_db_commands_say_in_one_line_that_the_database_is_not_the_stacks(call: Any) -> None:
    with pytest.raises(
        instance.DatabaseError, match=r"isn't the stack's.*engine is external.*secret shop/citus"
    ) as told:
        call(there(databaseEndpoint="", databaseUrlSecret="shop/citus"))
    assert "\n" not in str(told.value)


def test_the_doctor_says_the_same_and_whether_the_connections_are_known() -> None:
    def found(**more: Any) -> list[tuple[Status, str]]:
        wanted = wanted_of(load(**WELL, **more), ROOT)
        return [(each.status, each.what) for each in check_database(cast(Account, None), wanted, [])]

    (guessed, line), (stands, what) = found()
    assert (guessed, stands) == (Status.WARNING, Status.OK)
    assert line.endswith("max_connections 100, which is PostgreSQL's own number: this database's isn't known")
    assert "isn't the stack's" in what
    assert [status for status, _ in found(maxConnections=300)] == [Status.OK, Status.OK]


def test_the_doctor_counts_no_price_and_no_quota_of_it_and_looks_for_its_secret() -> None:
    wanted = wanted_of(load(**WELL), ROOT)
    assert not [each.name for each in cost.estimate(wanted).items if "database" in each.name.lower()]
    own = next(each for each in cost.estimate(wanted).items if each.name == "secret")
    assert own.count == 2, "the cache's token, and this one"
    assert list(quotas.check_databases(cast(Account, None), wanted)) == []
    assert wanted.secrets["expressway:database.secret"] == "shop/citus"
