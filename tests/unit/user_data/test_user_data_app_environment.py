"""The app's environment: addresses, secrets, and how systemd reads them."""

import json
import re
import shlex
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pytest
from expressway_app import environment
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from components import planning

PASSWORD = "p@ss:w/o?r#d%&+ 'x' \"y\" $HOME `z` \\"
TOKEN = "t0k/en+="


@pytest.fixture
def secrets(app_machine: dict[str, Any]) -> dict[str, str]:
    return {
        app_machine["database"]["secret"]: json.dumps({"username": "us/er", "password": PASSWORD}),
        app_machine["cache"]["secret"]: TOKEN,
        app_machine["apm"]["secret"]: "licence-1\n",
        "shop/api-key": "line one\nline two",
    }


def test_the_app_is_told_all_that_was_agreed(app_machine: dict[str, Any], secrets: dict[str, str]) -> None:
    variables = environment.build(app_machine, "abc123", "i-1", secrets)
    assert variables.keys() == {
        *("PORT", "NODE_ENV", "RELEASE_ID", "INSTANCE_ID", "DATABASE_URL", "DATABASE_REPLICA_URLS", "REDIS_URL"),
        *("HOST", "NODE_EXTRA_CA_CERTS", "NODE_OPTIONS", "EXPRESSWAY_ENVIRONMENT", "GREETING", "API_KEY"),
        *("DATABASE_DIRECT_URL", "EXPRESSWAY_APM"),
    } | {name for name in variables if name.startswith("NEW_RELIC_")}
    assert (variables["HOST"], variables["PORT"]) == ("0.0.0.0", "3000"), "reached from outside the machine"  # noqa: S104
    assert variables["NODE_ENV"] == "production"
    assert (variables["RELEASE_ID"], variables["INSTANCE_ID"]) == ("abc123", "i-1")
    assert variables["API_KEY"] == "line one\nline two", "a secret's value, as it is"
    assert variables["GREETING"] == app_machine["app"]["environment"]["GREETING"], "a plain value, as it is"


def test_the_app_is_measured_without_a_line_of_its_own_and_keeps_its_options(app_machine: dict[str, Any]) -> None:
    bare = app_machine | {"database": None, "cache": None, "apm": None}

    def options(machine: dict[str, Any], **environment_: str) -> str | None:
        app = machine["app"] | {"environment": environment_, "secrets": {}}
        return environment.build(machine | {"app": app}, "abc123", "i-1", {}).get("NODE_OPTIONS")

    measured = "--require=/opt/expressway/bundle/measure.cjs"
    assert options(bare) == measured
    assert options(bare, NODE_OPTIONS="--max-http-header-size=32768 --enable-source-maps") == (
        f"{measured} --max-http-header-size=32768 --enable-source-maps"
    )
    assert options(bare | {"metrics": None}) is None
    assert options(bare | {"metrics": None}, NODE_OPTIONS="--enable-source-maps") == "--enable-source-maps"


APM = {"service": "@shop/web", "environment": "prod", "secret": "shop/apm", "endpoint": None, "controller": None}


def agent(
    app_machine: dict[str, Any], key: str | None, own: dict[str, str] | None = None, **apm: Any
) -> dict[str, str]:
    """The environment of a machine with an APM agent and nothing else; `own` are the app's variables."""
    app = app_machine["app"] | {"environment": own or {}, "secrets": {}}
    machine = app_machine | {"app": app, "database": None, "cache": None, "apm": APM | apm}
    return environment.build(machine, "abc123", "i-1", {} if key is None else {"shop/apm": key})


def test_new_relics_agent_is_told_who_and_where_it_is(app_machine: dict[str, Any]) -> None:
    told = agent(app_machine, "licence-1\n", vendor="newrelic", endpoint="https://collector.eu01.nr-data.net")
    assert (told["NEW_RELIC_APP_NAME"], told["NEW_RELIC_LICENSE_KEY"]) == ("@shop/web", "licence-1")
    assert (told["NEW_RELIC_HOST"], told["NEW_RELIC_PORT"]) == ("collector.eu01.nr-data.net", "443")
    assert told["NEW_RELIC_LABELS"] == "environment:prod;release:abc123"
    assert told["NEW_RELIC_IGNORING_RULES"] == "^/healthz$,^/readyz$", "what the machine asks by itself"
    assert told["NODE_OPTIONS"].split() == [
        "--require=/opt/expressway/bundle/measure.cjs",
        "--require=/opt/expressway/bundle/apm.cjs",
    ]
    elsewhere = agent(app_machine, "licence-1", vendor="newrelic")
    assert "NEW_RELIC_HOST" not in elsewhere, "the agent finds it by its key"


def test_appdynamics_is_told_over_otlp_and_of_its_controller(app_machine: dict[str, Any]) -> None:
    controller, endpoint = "acme.saas.appdynamics.com:8090", "https://pdx-sls-agent-api.saas.appdynamics.com"
    told = agent(app_machine, "k=1,2", vendor="appdynamics", endpoint=endpoint, controller=controller)
    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint
    assert told["OTEL_EXPORTER_OTLP_HEADERS"] == "x-api-key=k%3D1%2C2", "a key of any characters"
    attributes = dict(each.split("=") for each in told["OTEL_RESOURCE_ATTRIBUTES"].split(","))
    assert attributes["service.namespace"] == "%40shop%2Fweb"
    assert attributes["appdynamics.controller.account"] == "acme"
    assert attributes["appdynamics.controller.host"] == "acme.saas.appdynamics.com"
    assert attributes["appdynamics.controller.port"] == "8090"


def test_datadogs_intake_gets_the_key_and_an_agent_of_the_teams_does_not(app_machine: dict[str, Any]) -> None:
    intake = agent(app_machine, "key", vendor="datadog")
    assert (intake["DD_API_KEY"], intake["DD_AGENTLESS_ENABLED"]) == ("key", "true")
    assert (intake["DD_SERVICE"], intake["DD_ENV"], intake["DD_VERSION"]) == ("@shop/web", "prod", "abc123")
    there = agent(app_machine, "key", vendor="datadog", endpoint="http://10.0.0.9:8126")
    assert there["DD_TRACE_AGENT_URL"] == "http://10.0.0.9:8126"
    assert "key" not in there.values()
    assert "DD_AGENTLESS_ENABLED" not in there


def test_opentelemetry_needs_no_secret_and_takes_headers_as_they_are(app_machine: dict[str, Any]) -> None:
    bare = agent(app_machine, None, vendor="opentelemetry", secret=None, endpoint="http://10.0.0.9:4318")
    assert json.loads(bare["EXPRESSWAY_APM"])["ready"] is True
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in bare
    assert bare["OTEL_SERVICE_NAME"] == "@shop/web"
    told = agent(app_machine, "api-key=1,team=2", vendor="opentelemetry", endpoint="http://10.0.0.9:4318")
    assert told["OTEL_EXPORTER_OTLP_HEADERS"] == "api-key=1,team=2"


def test_a_teams_own_variables_win_over_what_the_agent_is_told(app_machine: dict[str, Any]) -> None:
    own = {"DD_SITE": "datadoghq.eu", "DD_ENV": "live", "NODE_OPTIONS": "--enable-source-maps"}
    told = agent(app_machine, "key", own, vendor="datadog")
    assert (told["DD_SITE"], told["DD_ENV"]) == ("datadoghq.eu", "live")
    assert told["NODE_OPTIONS"].endswith("apm.cjs --enable-source-maps")


def test_without_its_key_the_agent_isnt_started_and_the_app_is(app_machine: dict[str, Any]) -> None:
    told = agent(app_machine, None, vendor="newrelic")
    assert json.loads(told["EXPRESSWAY_APM"]) == {
        **{"vendor": "newrelic", "unit": "events", "endpoint": None},
        **{"ready": False, "quiet": ["/healthz", "/readyz"]},
    }
    assert not [name for name in told if name.startswith("NEW_RELIC_")]
    assert "apm.cjs" in told["NODE_OPTIONS"], "in place for the key that comes later: a reload can't add it"


def test_the_agents_secret_is_followed_and_not_needed(app_machine: dict[str, Any]) -> None:
    secret = app_machine["apm"]["secret"]
    assert secret in environment.wanted_secrets(app_machine)
    assert secret not in environment.needed_secrets(app_machine)
    shared = app_machine | {"apm": app_machine["apm"] | {"secret": "shop/api-key"}}
    assert "shop/api-key" in environment.needed_secrets(shared), "the app's own, too"
    assert len(environment.wanted_secrets(shared)) == 3, "asked for once"


def test_user_and_password_survive_the_url(app_machine: dict[str, Any], secrets: dict[str, str]) -> None:
    variables = environment.build(app_machine, "abc123", "i-1", secrets)
    urls = [variables["DATABASE_URL"], *variables["DATABASE_REPLICA_URLS"].split(",")]
    assert [urlsplit(url).hostname for url in urls] == ["db.internal", "replica-1.internal", "replica-2.internal"]
    for url in urls:
        parts = urlsplit(url)
        assert (unquote(parts.username or ""), unquote(parts.password or "")) == ("us/er", PASSWORD), url
        assert (parts.scheme, parts.port, parts.path) == ("postgresql", 5432, "/app"), url
        assert parts.query == "sslmode=verify-full&sslrootcert=/etc/expressway/rds-ca.pem", "the server is checked"
    redis = urlsplit(variables["REDIS_URL"])
    assert (redis.scheme, redis.username, unquote(redis.password or "")) == ("rediss", "", TOKEN), "TLS and token"
    assert (redis.hostname, redis.port) == ("cache.internal", 6379)


def test_an_app_hears_that_its_cache_is_a_cluster_unless_a_team_points_it_at_another(
    app_machine: dict[str, Any], secrets: dict[str, str]
) -> None:
    def told(**app: Any) -> str | None:
        machine = app_machine | {
            "app": app_machine["app"] | app,
            "cache": app_machine["cache"] | {"cluster": True},
        }
        return environment.build(machine, "abc123", "i-1", secrets).get("REDIS_CLUSTER")

    assert told() == "true"
    assert told(environment={"REDIS_URL": "redis://elsewhere.example"}) is None
    assert told(secrets={"REDIS_URL": "shop/api-key"}) is None, "whose Redis is theirs to describe"
    assert told(environment={"REDIS_CLUSTER": "no"}) == "no"
    assert "REDIS_CLUSTER" not in environment.build(app_machine, "abc123", "i-1", secrets)


def test_without_database_and_cache_there_is_nothing_of_them(app_machine: dict[str, Any]) -> None:
    machine = app_machine | {"database": None, "cache": None, "apm": None}
    assert environment.wanted_secrets(machine) == ["shop/api-key"], "no more secrets than that"
    variables = environment.build(machine, "abc123", "i-1", {"shop/api-key": "k"})
    assert not [name for name in variables if "DATABASE" in name or "REDIS" in name], variables


UNIT = Path(__file__).resolve().parents[3] / "user_data/app/files/units/expressway-app.service"


def test_the_program_and_the_rule_agree_on_whose_value_counts(
    app_machine: dict[str, Any], secrets: dict[str, str]
) -> None:
    """One decision, in two rooms: components refuse a reserved name, and machines let any other name be the team's."""
    app_machine["apm"] = None  # a vendor's variables are all the team's to change
    bare = app_machine | {"app": app_machine["app"] | {"environment": {}, "secrets": {}}}
    by_program = environment.build(bare, "abc123", "i-1", secrets)
    by_unit = re.findall(r"^Environment=(\w+)=", UNIT.read_text(), re.MULTILINE)
    assert {"PORT", "DATABASE_URL", "REDIS_URL", "NODE_ENV"} <= by_program.keys()
    assert {"PATH", "PM2_HOME"} <= set(by_unit)
    assert planning.RESERVED_VARIABLES.keys() <= {*by_program, *by_unit}, "nothing is reserved that no machine sets"
    for name in by_program:
        reserved = name in planning.RESERVED_VARIABLES
        for app in ({"environment": {name: "team"}, "secrets": {}}, {"environment": {}, "secrets": {name: "mine"}}):
            machine = app_machine | {"app": app_machine["app"] | app}
            told = environment.build(machine, "abc123", "i-1", {**secrets, "mine": "team"})
            assert told[name].endswith("team") is not reserved, f"the machine has another mind about {name}"
            assert bool(planning.check_variables(**app)) is reserved, f"the rule has another mind about {name}"
    # systemd lets the environment file, which has the team's values, win over these.
    refused = {name for name in by_unit if planning.check_variables({name: "team"}, {})}
    assert refused == {"HOME", "PATH", "PM2_HOME"}, "the service would break"


@pytest.mark.parametrize(
    "value", ["not json, s3cret", '{"username": "s3cret"}', '["s3cret"]', '{"username": 1, "password": 2}']
)
def test_a_database_secret_of_another_shape_is_named_and_not_shown(
    value: str, app_machine: dict[str, Any], secrets: dict[str, str]
) -> None:
    with pytest.raises(environment.SecretError, match="rds!db-1") as raised:
        environment.build(app_machine, "abc123", "i-1", secrets | {app_machine["database"]["secret"]: value})
    assert "s3cret" not in str(raised.value), "it would end in the log"
    shown = "".join(traceback.format_exception(raised.value))
    assert "s3cret" not in shown, "a JSON error, or a traceback of it, quotes what it read"


@pytest.fixture
def manager() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


def test_a_secret_is_fetched_by_name(manager: Any, app_machine: dict[str, Any]) -> None:
    manager.create_secret(Name="one", SecretString="1")
    assert environment.fetch_secret(manager, app_machine, "one") == "1"


def test_a_secret_that_is_missing_is_named(manager: Any, app_machine: dict[str, Any]) -> None:
    with pytest.raises(environment.SecretError, match=r"secret nothing: .*ResourceNotFound"):
        environment.fetch_secret(manager, app_machine, "nothing")


def test_a_secret_that_no_variable_can_hold_is_refused(manager: Any, app_machine: dict[str, Any]) -> None:
    manager.create_secret(Name="binary", SecretBinary=b"\x00\x01")
    manager.create_secret(Name="nul", SecretString="a\0b")
    for name, said in (("binary", "secret binary is binary"), ("nul", "secret nul holds a NUL character")):
        with pytest.raises(environment.SecretError, match=said):
            environment.fetch_secret(manager, app_machine, name)


def test_a_database_secret_without_a_login_is_refused_when_it_is_fetched(
    manager: Any, app_machine: dict[str, Any]
) -> None:
    manager.create_secret(Name="login", SecretString="s3cret")
    app_machine["database"]["secret"] = "login"
    with pytest.raises(environment.SecretError, match="secret login doesn't hold username and password"):
        environment.fetch_secret(manager, app_machine, "login")


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(ValueError, match="KEY"):
        environment.as_environment_file({"KEY": "a\0b"})


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text(st.characters(exclude_characters="\0", codec="utf-8"))
    )
)
def test_any_text_can_be_a_value(variables: dict[str, str]) -> None:
    """Within double quotes systemd reads as a POSIX shell does: tests/machines asks systemd itself."""
    text = environment.as_environment_file(variables)
    read = dict(word.split("=", 1) for word in shlex.split(text.replace("\\$", "$").replace("\\`", "`")))
    assert read == variables
