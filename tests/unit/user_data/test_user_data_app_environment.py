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
        "shop/api-key": "line one\nline two",
    }


def test_the_app_is_told_all_that_was_agreed(app_machine: dict[str, Any], secrets: dict[str, str]) -> None:
    variables = environment.build(app_machine, "abc123", "i-1", secrets)
    assert variables.keys() == {
        *("PORT", "NODE_ENV", "RELEASE_ID", "INSTANCE_ID", "DATABASE_URL", "DATABASE_REPLICA_URLS", "REDIS_URL"),
        *("HOST", "NODE_EXTRA_CA_CERTS", "NODE_OPTIONS", "EXPRESSWAY_ENVIRONMENT", "GREETING", "API_KEY"),
    }
    assert (variables["HOST"], variables["PORT"]) == ("0.0.0.0", "3000"), "reached from outside the machine"  # noqa: S104
    assert variables["NODE_ENV"] == "production"
    assert (variables["RELEASE_ID"], variables["INSTANCE_ID"]) == ("abc123", "i-1")
    assert variables["API_KEY"] == "line one\nline two", "a secret's value, as it is"
    assert variables["GREETING"] == app_machine["app"]["environment"]["GREETING"], "a plain value, as it is"


def test_the_app_is_measured_without_a_line_of_its_own_and_keeps_its_options(app_machine: dict[str, Any]) -> None:
    bare = app_machine | {"database": None, "cache": None}

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


def test_without_database_and_cache_there_is_nothing_of_them(app_machine: dict[str, Any]) -> None:
    machine = app_machine | {"database": None, "cache": None}
    assert environment.wanted_secrets(machine) == ["shop/api-key"], "no more secrets than that"
    variables = environment.build(machine, "abc123", "i-1", {"shop/api-key": "k"})
    assert not [name for name in variables if "DATABASE" in name or "REDIS" in name], variables


UNIT = Path(__file__).resolve().parents[3] / "user_data/app/files/units/expressway-app.service"


def test_the_program_and_the_rule_agree_on_whose_value_counts(
    app_machine: dict[str, Any], secrets: dict[str, str]
) -> None:
    """One decision, in two rooms: components refuse a reserved name, and machines let any other name be the team's."""
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
    """Within double quotes systemd reads as a POSIX shell does: tests/lab asks systemd itself."""
    text = environment.as_environment_file(variables)
    read = dict(word.split("=", 1) for word in shlex.split(text.replace("\\$", "$").replace("\\`", "`")))
    assert read == variables
