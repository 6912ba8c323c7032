"""Configuration values to settings, and every mistake that can be made on the way."""

import json
from pathlib import Path
from typing import Any

import pytest

import settings
from components.planning import HIDDEN, NAME_LIMITS
from settings import Problem, Settings, SettingsError
from settings.model import ENVIRONMENTS
from settings.rules import COMPONENTS

LONGEST_STACK_NAME = min(NAME_LIMITS[kind] - len(f"-{role}") for role, kind in COMPONENTS.items())

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with an app in the default place."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "package.json").write_text(json.dumps({"name": "shop", "main": "index.js"}))
    (tmp_path / "app" / "index.js").write_text("")
    return tmp_path


def parse(base: Path, stack: str = "dev", **sections: Any) -> Settings:
    """The settings of configuration with `expressway:` keys as given, in us-east-1 unless `aws` says else."""
    config: dict[str, object] = {"aws:region": "us-east-1", **sections.pop("aws", {})}
    config |= {f"expressway:{key}": value for key, value in sections.items()}
    return settings.parse(config, stack=stack, base=base, source="test")


def problems(base: Path, stack: str = "dev", **sections: Any) -> dict[str, Problem]:
    """The mistakes of such configuration, by path."""
    with pytest.raises(SettingsError) as caught:
        parse(base, stack, **sections)
    found = {each.path: each for each in caught.value.problems}
    assert len(found) == len(caught.value.problems), f"one mistake was reported twice: {caught.value}"
    return found


def test_nothing_but_the_region_has_to_be_given(base: Path) -> None:
    settled = parse(base)
    assert settled.environment == "dev"
    assert settled.app.path == base / "app"
    assert settled.app.node_version == 24
    assert settled.database.engine_version == "17"
    assert settled.tags == {}


def test_an_environments_defaults_give_way_to_what_is_set(base: Path) -> None:
    settled = parse(base, environment="prod", database={"multiAz": False})
    assert settled.database.multi_az is False, "what is set counts"
    assert settled.database.deletion_protection is True, "prod's default stays for the rest"
    assert settled.cache.replicas == 1
    assert settled.production
    staging = parse(base, environment="staging")
    assert (staging.database.backup_days, staging.database.multi_az) == (7, False)


def test_settings_cannot_be_changed(base: Path) -> None:
    settled = parse(base)
    with pytest.raises(ValueError, match="frozen"):
        settled.app.port = 1


def test_a_section_left_empty_has_its_defaults(base: Path) -> None:
    assert parse(base, app=None, cache=None) == parse(base), "a key with nothing but comments below it is null in YAML"


def test_versions_may_be_written_without_quotes(base: Path) -> None:
    settled = parse(base, database={"engineVersion": 16}, cache={"engineVersion": 7.0})
    assert (settled.database.engine_version, settled.cache.engine_version) == ("16", "7.0")


def test_default_tags_are_the_providers_own(base: Path) -> None:
    tags = {"team": "web"}
    assert parse(base, aws={"aws:defaultTags": {"tags": tags}}).tags == tags


def test_other_packages_configuration_is_none_of_our_business(base: Path) -> None:
    parse(base, aws={"aws:profile": "work", "cloudflare:apiToken": "x"})


@pytest.mark.parametrize(
    ("sections", "path", "value", "words"),
    [
        ({"app": {"minsize": 2}}, "app.minsize", "2", "Did you mean expressway:app.minSize?"),
        ({"ap": {}}, "ap", "a mapping", "Did you mean expressway:app?"),
        ({"edge": {"nodeVersion": 24}}, "edge.nodeVersion", "24", "Did you mean expressway:app.nodeVersion?"),
        ({"nodeVersion": 24}, "nodeVersion", "24", "Did you mean expressway:app.nodeVersion?"),
        ({"cache": {"zzz": 1}}, "cache.zzz", "1", "The keys here are engine, engineVersion, nodeType, shards, replic"),
        ({"app": []}, "app", "a list", "must be a mapping"),
        ({"app": {"port": "3000"}}, "app.port", '"3000"', "must be a whole number"),
        ({"app": {"port": 3000.5}}, "app.port", "3000.5", "must be a whole number"),
        ({"app": {"minSize": True}}, "app.minSize", "true", "must be a whole number"),
        ({"app": {"port": 80}}, "app.port", "80", "1024 to 65535"),
        ({"app": {"port": 65536}}, "app.port", "65536", "1024 to 65535"),
        ({"app": {"environment": {"DEBUG": True}}}, "app.environment.DEBUG", "true", "Put it in quotes."),
        ({"app": {"environment": {"N": 5}}}, "app.environment.N", "5", "Put it in quotes."),
        ({"app": {"livenessPath": "healthz"}}, "app.livenessPath", '"healthz"', "Start it with a slash"),
        ({"app": {"readinessPath": "/a;b"}}, "app.readinessPath", '"/a;b"', "absolute URL path"),
        ({"app": {"nodeVersion": 20}}, "app.nodeVersion", "20", "Choose 24 or 26."),
        ({"app": {"nodeVersion": "24"}}, "app.nodeVersion", '"24"', "without quotes"),
        ({"app": {"instanceType": "t3"}}, "app.instanceType", '"t3"', "must be an EC2 instance type"),
        ({"database": {"poolSize": 0}}, "database.poolSize", "0", "it must be 1 to 5000"),
        ({"database": {"poolSize": 40}}, "database.poolSize", "40", "2 x 4 servers while rolling x (40 in its pool"),
        ({"database": {"poolSize": 40}}, "database.poolSize", "40", "Set poolSize to at most 6, or take a larger"),
        (
            {"database": {"pooler": "none"}},
            "database.pooler",
            '"none"',
            "2 workers x 10 + 1 to measure) + 15 kept = 183 of",
        ),
        ({"app": {"maxSize": 60}}, "app.maxSize", "60", "Lower maxSize to 10, or take a larger instanceClass"),
        ({"edge": {"image": "ami-xyz"}}, "edge.image", '"ami-xyz"', "must be debian-13, an AMI's id"),
        ({"edge": {"maxBodySize": "1 MB"}}, "edge.maxBodySize", '"1 MB"', "Nginx's notation"),
        ({"app": {"minSize": 5, "maxSize": 2}}, "app.minSize", "5", "at most maxSize, 2"),
        ({"app": {"targetCpu": 100}}, "app.targetCpu", "100", "10 to 90"),
        ({"cache": {"engineVersion": "8.0"}}, "cache.engineVersion", '"8.0"', "Choose 6.2, 7.0 or 7.1."),
        ({"cache": {"nodeType": "t4g.micro"}}, "cache.nodeType", '"t4g.micro"', "like cache.t4g.micro"),
        ({"cache": {"replicas": 6}}, "cache.replicas", "6", "0 to 5"),
        ({"database": {"engineVersion": 9}}, "database.engineVersion", "9", "Choose 13, 14, 15, 16, 17 or 18"),
        ({"database": {"engineVersion": "17."}}, "database.engineVersion", '"17."', "RDS has"),
        ({"database": {"instanceClass": "t4g.micro"}}, "database.instanceClass", '"t4g.micro"', "like db.t4g.micro"),
        ({"database": {"multiAz": "yes"}}, "database.multiAz", '"yes"', "must be true or false"),
        ({"database": {"backupDays": 0}}, "database.backupDays", "0", "1 to 35"),
        ({"database": {"name": "My-App"}}, "database.name", '"My-App"', "lower-case letters"),
        ({"database": {"name": "postgres"}}, "database.name", '"postgres"', "free PostgreSQL name"),
        ({"environment": "production"}, "environment", '"production"', "'dev', 'staging' or 'prod'"),
        ({"network": {"cidr": "10.20.0.0"}}, "network.cidr", '"10.20.0.0"', "must be an IPv4 CIDR"),
        ({"network": {"cidr": "10.20.3.0/16"}}, "network.cidr", '"10.20.3.0/16"', "Did you mean 10.20.0.0/16?"),
        ({"network": {"cidr": "10.20.0.0/28"}}, "network.cidr", '"10.20.0.0/28"', "/24 (smallest)"),
        ({"network": {"zones": 1}}, "network.zones", "1", "2 or 3"),
        ({"network": {"zones": 4}}, "network.zones", "4", "2 or 3"),
        ({"network": {"nat": "instance"}}, "network.nat", '"instance"', "gateway or none"),
    ],
)
def test_a_mistake_is_told_with_path_value_and_remedy(
    base: Path, sections: dict[str, Any], path: str, value: str, words: str
) -> None:
    found = problems(base, **sections)
    assert list(found) == [f"expressway:{path}"], "one mistake makes one problem"
    problem = found[f"expressway:{path}"]
    assert problem.value == value
    assert words in f"{problem.rule} {problem.remedy}"


def test_every_mistake_is_told_at_once(base: Path) -> None:
    found = problems(
        base,
        "Dev",
        aws={"aws:region": None, "aws:defaultTags": {"tags": {"team": 5}}},
        environment="qa",
        network={"cidr": "10.20.0.0/28", "nat": "maybe"},
        app={"path": "./nowhere", "minSize": 9, "maxSize": 3, "livenessPath": "x", "environment": {"DB_PASSWORD": "p"}},
        cache={"engineVersion": "5"},
        database={"engineVersion": "12", "bakupDays": 3},
        egde={},
    )
    assert set(found) == {
        "the stack's name",
        "aws:region",
        "aws:defaultTags.tags.team",
        "expressway:environment",
        "expressway:network.cidr",
        "expressway:network.nat",
        "expressway:app.path",
        "expressway:app.minSize",
        "expressway:app.livenessPath",
        "expressway:app.environment.DB_PASSWORD",
        "expressway:cache.engineVersion",
        "expressway:database.engineVersion",
        "expressway:database.bakupDays",
        "expressway:egde",
    }


def test_the_message_is_for_people(base: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(base, app={"minSize": 5, "maxSize": 2, "port": "x"})
    assert str(caught.value) == (
        "test: 2 mistakes\n"
        "  expressway:app.minSize = 5\n"
        "    it must be at most maxSize, 2\n"
        "    Lower it, or raise maxSize.\n"
        '  expressway:app.port = "x"\n'
        "    it must be a whole number\n"
        "    Write it in digits, without quotes."
    )


def test_a_mistake_is_not_followed_by_ones_that_only_it_causes(base: Path) -> None:
    found = problems(base, app={"minSize": "two", "maxSize": 1}, network={"cidr": 5, "subnets": subnets()})
    assert set(found) == {"expressway:app.minSize", "expressway:network.cidr"}, (
        "the default of minSize is not the user's"
    )


def subnets(**first: str) -> list[dict[str, str]]:
    """Two zones' ranges; `first` changes the first's."""
    return [
        {"zone": "us-east-1a", "public": "10.20.0.0/24", "private": "10.20.1.0/24", **first},
        {"zone": "us-east-1b", "public": "10.20.2.0/24", "private": "10.20.3.0/24"},
    ]


def test_explicit_subnets_are_taken(base: Path) -> None:
    settled = parse(base, network={"subnets": subnets()})
    assert settled.network.subnets is not None
    assert settled.network.subnets[1].private == "10.20.3.0/24"


@pytest.mark.parametrize(
    ("first", "path", "words"),
    [
        ({"private": "10.20.2.128/25"}, "subnets[1].public", "must not overlap subnets[0].private"),
        ({"public": "10.21.0.0/24"}, "subnets[0].public", "must lie within cidr"),
        ({"public": "10.20.0.0/29"}, "subnets[0].public", "/28 (smallest)"),
        ({"public": "10.20.0.1/24"}, "subnets[0].public", "Did you mean 10.20.0.0/24?"),
        ({"zone": "us-east-1b"}, "subnets[1].zone", "must appear once"),
        ({"zone": "eu-west-1a"}, "subnets[0].zone", "must be a zone of us-east-1"),
        ({"zones": "a"}, "subnets[0].zones", "Did you mean expressway:network.subnets[0].zone?"),
    ],
)
def test_a_bad_subnet_is_told_by_its_place(base: Path, first: dict[str, str], path: str, words: str) -> None:
    found = problems(base, network={"subnets": subnets(**first)})
    assert list(found) == [f"expressway:network.{path}"]
    problem = found[f"expressway:network.{path}"]
    assert words in f"{problem.rule} {problem.remedy}"


def test_a_subnet_that_lacks_something_is_told_what(base: Path) -> None:
    (first, second) = subnets()
    del first["private"]
    assert list(problems(base, network={"subnets": [first, second]})) == ["expressway:network.subnets[0].private"]


def test_the_agents_key_is_a_file_with_a_public_key(base: Path) -> None:
    key = (ROOT / "tests/fixtures/session_manager/signer.asc").read_text()
    (base / "agent.gpg").write_text(key)
    assert parse(base, sessionManager={"agentKey": "./agent.gpg"}).session_manager_key == key
    assert parse(base).session_manager_key is None
    (base / "agent.gpg").write_text("<html>")
    for name in ("agent.gpg", "missing.gpg", "."):
        (problem,) = problems(base, sessionManager={"agentKey": name}).values()
        assert problem.path == "expressway:sessionManager.agentKey"
        assert "verify-agent-signature" in problem.remedy


def test_more_zones_than_the_region_has_are_refused(base: Path) -> None:
    found = problems(base, aws={"aws:region": "us-west-1"}, network={"zones": 3})
    assert "the zones of us-west-1" in found["expressway:network.zones"].rule
    parse(base, aws={"aws:region": "eu-south-9"}, network={"zones": 3})  # nobody knows that one; AWS will say


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_a_region_of_another_partition_is_refused_with_its_reason(base: Path, region: str, partition: str) -> None:
    (problem,) = problems(base, aws={"aws:region": region}).values()
    assert problem.path == "aws:region"
    assert f"is in {partition}: Debian's images" in problem.rule


@pytest.mark.parametrize("region", [None, "", "us-east", "us-east-1a", 5])
def test_a_region_that_cannot_be_one_is_refused(base: Path, region: object) -> None:
    assert list(problems(base, aws={"aws:region": region})) == ["aws:region"]


def test_a_missing_region_is_refused(base: Path) -> None:
    with pytest.raises(SettingsError, match="must name an AWS region"):
        settings.parse({}, stack="dev", base=base, source="test")


@pytest.mark.parametrize("given", ["web", {"tags": "web"}, {"tags": {"aws:x": "y"}}, {"tags": {"x": "y" * 257}}])
def test_tags_that_aws_would_refuse_are_refused(base: Path, given: object) -> None:
    (path,) = problems(base, aws={"aws:defaultTags": given})
    assert path.startswith("aws:defaultTags")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "the app's folder must exist"),
        ({}, "there must be a package.json"),
        ({"package.json": "{"}, "must be valid JSON"),
        ({"package.json": '{"main": "server.js"}'}, "the entry point server.js doesn't exist"),
    ],
)
def test_an_app_that_cannot_run_is_refused(base: Path, files: dict[str, str] | None, words: str) -> None:
    if files is not None:
        (base / "mine").mkdir()
        for name, text in files.items():
            (base / "mine" / name).write_text(text)
    problem = problems(base, app={"path": "./mine"})["expressway:app.path"]
    assert words in problem.rule
    assert problem.value == str(base / "mine")


@pytest.mark.parametrize("path", ["x" * 256, "../" + "ä" * 128 + "/app", "my\0app"])
@pytest.mark.parametrize(("section", "key"), [("app", "path"), ("sessionManager", "agentKey")])
def test_a_path_that_no_file_system_takes_is_refused(base: Path, section: str, key: str, path: str) -> None:
    given: dict[str, Any] = {section: {key: path}}
    problem = problems(base, **given)[f"expressway:{section}.{key}"]
    assert "names have 255 bytes at most" in problem.rule


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter2"),
        ("JWT_SECRET", "hunter2"),
        ("github_token", "hunter2"),
        ("STRIPE_KEY", "hunter2"),
        ("APIKEY", "hunter2"),
        ("MONGO", "mongodb://me:hunter2@db.example/shop"),
        ("CACHE", "redis://:hunter2@cache.example"),
        ("AWS_ID", "AKIAHUNTER2HUNTER2AB"),
        ("PEM", "-----BEGIN RSA PRIVATE KEY----- hunter2"),
    ],
)
def test_a_secret_in_plain_text_is_refused_and_not_repeated(base: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(base, app={"environment": {name: value}})
    assert "hunter2" not in str(caught.value).lower()
    (problem,) = caught.value.problems
    assert problem.path == f"expressway:app.environment.{name}"
    assert problem.value == str(HIDDEN)
    assert f"at secrets.{name}" in problem.remedy


@pytest.mark.parametrize("name", ["PUBLIC_KEY", "KEYCLOAK_URL", "HOMEPAGE", "MONKEY"])
def test_what_only_resembles_a_secret_is_taken(base: Path, name: str) -> None:
    assert parse(base, app={"environment": {name: "https://example.com/a@b"}}).app.environment[name]


@pytest.mark.parametrize(
    "sections",
    [
        {"app": {"dbPassword": "hunter2"}},
        {"database": {"password": "hunter2"}},
        {"app": {"environment": {"API_TOKEN": ["hunter2"]}}},
        {"app": {"secrets": {"API_TOKEN": "hunter2 is not a name!"}}},
        {"app": {"secrets": {"A": {"nested": "hunter2"}}}},
        {"apiToken": "hunter2"},
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated_either(base: Path, sections: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(base, **sections)
    assert "hunter2" not in str(caught.value)


def test_an_encrypted_value_is_refused_since_machines_would_have_it_in_plain_text(base: Path) -> None:
    found = problems(base, app={"environment": {"STRIPE_KEY": {"secure": "v1:abc"}, "LOG_LEVEL": "info"}})
    assert list(found) == ["expressway:app.environment.STRIPE_KEY"]
    assert list(problems(base, environment={"secure": "v1:abc"})) == ["expressway:environment"]
    assert list(problems(base, app={"secure": "v1:abc"})) == ["expressway:app"]
    with pytest.raises(SettingsError) as caught:
        settings.parse(
            {"aws:region": "us-east-1", "expressway:app": {"environment": {"X": "hunter2"}}},
            stack="dev",
            base=base,
            source="test",
            encrypted=frozenset({"expressway:app"}),
        )
    assert [each.path for each in caught.value.problems] == ["expressway:app"]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["shop/stripe", "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/stripe-AbCdEf", "a.b@c=d+e"]
)
def test_a_secret_is_named_by_name_or_arn(base: Path, secret: str) -> None:
    assert parse(base, app={"secrets": {"STRIPE_KEY": secret}}).app.secrets == {"STRIPE_KEY": secret}


def test_variables_that_cannot_be_set_are_refused(base: Path) -> None:
    found = problems(
        base,
        app={
            "environment": {"LOG-LEVEL": "x", "PORT": "1", "TWICE": "x", "LINES": "a\nb"},
            "secrets": {"TWICE": "name", "RELEASE_ID": "name"},
        },
    )
    assert set(found) == {
        "expressway:app.environment.LOG-LEVEL",
        "expressway:app.environment.PORT",
        "expressway:app.environment.LINES",
        "expressway:app.secrets.TWICE",
        "expressway:app.secrets.RELEASE_ID",
    }


def test_a_namespace_that_is_nearly_ours_is_told(base: Path) -> None:
    found = problems(base, aws={"expresway:app": {}})
    assert found["expresway:app"].remedy == "Did you mean expressway:app?"


@pytest.mark.parametrize("stack", ["Dev", "my_stack", "s" * (LONGEST_STACK_NAME + 1), "a--b", "1st"])
def test_a_stack_name_that_aws_would_refuse_is_refused(base: Path, stack: str) -> None:
    assert list(problems(base, stack)) == ["the stack's name"]


def test_the_longest_stack_name_is_taken(base: Path) -> None:
    settled = parse(base, "s" * LONGEST_STACK_NAME)
    assert settled.name("cache") == f"{'s' * LONGEST_STACK_NAME}-cache"


def test_environments_change_only_settings_that_there_are(base: Path) -> None:
    for environment in ENVIRONMENTS:
        parse(base, environment=environment)


def test_rules_know_every_component() -> None:
    assert set(COMPONENTS) == {"app", "cache", "database", "edge", "monitoring", "network", "release"}
