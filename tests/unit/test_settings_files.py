"""Where settings come from: files, and the running program."""

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from recording import record

import settings
from settings import Settings, SettingsError
from settings.model import (
    AppSettings,
    CacheSettings,
    DatabaseSettings,
    Document,
    EdgeSettings,
    NetworkSettings,
    Section,
)
from tests.paths import ROOT

# Named, not looked for: whoever uses this repository has files of stacks of their own beside these.
EXAMPLES = ["Pulumi.dev.yaml", "Pulumi.lab.yaml", "Pulumi.prod.yaml", "Pulumi.staging.yaml"]
SECTIONS: dict[str, type[Section]] = {
    "network": NetworkSettings,
    "edge": EdgeSettings,
    "app": AppSettings,
    "cache": CacheSettings,
    "database": DatabaseSettings,
}


def aliases(model: type[Section]) -> dict[str, Any]:
    """A section's keys and defaults."""
    return {field.alias or name: field.default for name, field in model.model_fields.items()}


@pytest.fixture
def stack_file(tmp_path: Path) -> Path:
    """Pulumi.dev.yaml beside an app."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "package.json").write_text(json.dumps({"main": "index.js"}))
    (tmp_path / "app" / "index.js").write_text("")
    return tmp_path / "Pulumi.dev.yaml"


def problems(path: Path) -> Iterator[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        settings.from_file(path)
    return ((each.path, f"{each.value} {each.rule} {each.remedy}") for each in caught.value.problems)


def test_the_annotated_example_serves_as_a_stack_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "app").symlink_to(ROOT / "app")
    copy = shutil.copy(ROOT / "Pulumi.dev.yaml", tmp_path / "Pulumi.mine.yaml")
    mine, dev = settings.from_file(Path(copy)), settings.from_file(ROOT / "Pulumi.dev.yaml")
    assert mine.model_dump(exclude={"app", "stack"}) == dev.model_dump(exclude={"app", "stack"})


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_loads(name: str) -> None:
    settled = settings.from_file(ROOT / name)
    assert settled.stack == name.split(".")[1]
    assert settled.tags["stack"] == settled.stack, "a stack's bill must be told from another's"


def test_the_examples_differ_where_the_environments_do() -> None:
    dev, staging, prod = (settings.from_file(ROOT / f"Pulumi.{name}.yaml") for name in ("dev", "staging", "prod"))
    assert prod.database.multi_az
    assert prod.database.deletion_protection
    assert not dev.database.multi_az
    assert (dev.database.backup_days, staging.database.backup_days, prod.database.backup_days) == (1, 7, 7)
    assert len({each.network.cidr for each in (dev, staging, prod)}) == 3, "their networks can be connected"


def test_the_annotated_example_has_every_key_with_its_default() -> None:
    config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    assert {key for key in config if key.startswith("expressway:")} == {
        f"expressway:{key}" for key in aliases(Document)
    }
    for section, model in SECTIONS.items():
        expected = {key: value for key, value in aliases(model).items() if value is not None}
        given = config[f"expressway:{section}"]
        if section == "app":
            assert given.pop("path") == f"./{expected.pop('path')}"
        assert given == expected, f"the example says something else of {section} than the code"


def test_the_annotated_example_comments_on_every_key() -> None:
    lines = (ROOT / "Pulumi.dev.yaml").read_text().splitlines()
    bare = [
        line.strip()
        for before, line in pairwise(lines)
        if line.strip().partition(":")[0] in {key for model in SECTIONS.values() for key in aliases(model)}
        and not before.strip().startswith("#")
        and line.strip().partition(":")[0] not in {"image", "maxSize"}  # told with the key before
    ]
    assert not bare


def test_what_is_commented_out_in_the_annotated_example_is_valid_too(tmp_path: Path) -> None:
    (tmp_path / "app").symlink_to(ROOT / "app")
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    for line in ("# subnets:", "#   - zone:", "#     public:", "#     private:"):
        assert line in text
        text = text.replace(line, line.replace("# ", "", 1))
    for key, example in (("environment", "LOG_LEVEL: info"), ("secrets", "STRIPE_KEY: shop/stripe")):
        text = (
            text.replace(f"    {key}: {{}}\n", "")
            .replace(f"# {key}:", f"{key}:")
            .replace(f"#   {example}", f"  {example}")
        )
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    settled = settings.from_file(tmp_path / "Pulumi.dev.yaml")
    assert settled.network.subnets
    assert settled.app.environment == {"LOG_LEVEL": "info"}
    assert settled.app.secrets == {"STRIPE_KEY": "shop/stripe"}


def test_the_project_declares_every_key_with_type_description_and_default() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert set(declared) == set(aliases(Document))
    for key, declaration in declared.items():
        assert set(declaration) == {"type", "description", "default"}, key
    for section in SECTIONS:
        assert declared[section]["type"] == "object"
        assert declared[section]["default"] == {}, "a default in here would hide those of the environment"


def test_relative_paths_start_at_the_file_and_not_at_the_shell(
    stack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_file.write_text("config:\n  aws:region: us-east-1\n  expressway:app:\n    path: app/../app\n")
    monkeypatch.chdir("/")
    assert settings.from_file(stack_file).app.path == stack_file.parent / "app"


def test_a_key_without_a_namespace_is_the_projects_own(stack_file: Path) -> None:
    stack_file.write_text("config:\n  aws:region: us-east-1\n  environment: prod\n")
    assert settings.from_file(stack_file).production, "Pulumi reads it so"


def test_a_file_that_is_not_there_is_told_with_those_that_are(stack_file: Path) -> None:
    (stack_file.parent / "Pulumi.prod.yaml").write_text("")
    ((path, words),) = problems(stack_file)
    assert path == str(stack_file)
    assert "There are Pulumi.prod.yaml." in words


@pytest.mark.parametrize("name", ["dev.yaml", "Pulumi.yaml", "Pulumi.dev.json"])
def test_a_file_whose_name_tells_no_stack_is_refused(tmp_path: Path, name: str) -> None:
    ((_, words),) = problems(tmp_path / name)
    assert "Pulumi.<stack>.yaml" in words


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("config: [", "line 1", "valid YAML"),
        ("config:\n  a: b: c\n", "line 2", "valid YAML"),
        ("config:\n\taws:region: x\n", "line 2", "valid YAML"),
        ("config: 5\n", "config", "must be a mapping"),
        ("- a\n", "config", "must be a mapping"),
        ("confg: {}\n", "confg", "no such key"),
        ("config:\n  aws:region: a\n  aws:region: b\n", "aws:region", "on line 3 a key must be given once, and line 2"),
        (
            "config:\n  expressway:app:\n    port: 3000\n    minSize: 2\n    port: 4000\n",
            "expressway:app.port",
            "on line 5 a key must be given once, and line 3",
        ),
        (
            "config:\n  expressway:app: &all\n    environment: *all\n",
            "expressway:app.environment",
            "must not be a part of itself, which begins on line 2",
        ),
        ("config:\n  a:b: &all [1, [*all]]\n", "a:b[1][0]", "must not be a part of itself, which begins on line 2"),
    ],
)
def test_a_file_that_is_not_configuration_is_told_where(stack_file: Path, text: str, path: str, words: str) -> None:
    stack_file.write_text(text)
    found = dict(problems(stack_file))
    assert path in found, found
    assert words in found[path]


def test_keys_that_yaml_takes_for_something_else_are_told_as_written(stack_file: Path) -> None:
    stack_file.write_text(
        "config:\n  aws:region: us-east-1\n  5: x\n  expressway:app:\n    true: x\n    environment: {7: a}\n"
    )
    assert [path for path, _ in problems(stack_file)] == [
        "expressway:5",
        "expressway:app.environment.7",
        "expressway:app.true",
    ]


def test_a_file_that_is_not_text_is_refused(stack_file: Path) -> None:
    stack_file.write_bytes(b"\xff\xfe\x00")
    ((_, words),) = problems(stack_file)
    assert "UTF-8" in words


def test_an_empty_file_lacks_only_the_region(stack_file: Path) -> None:
    stack_file.write_text("")
    assert [path for path, _ in problems(stack_file)] == ["aws:region"]


def from_pulumi(
    config: dict[str, str], base: Path, monkeypatch: pytest.MonkeyPatch, project: str = "expressway"
) -> Settings:
    """The settings that a program sees, whose configuration is as Pulumi hands it on."""
    seen: list[Settings] = []
    monkeypatch.chdir(base)
    record(lambda: seen.append(settings.from_pulumi()), project=project, stack="dev", config=config)
    return seen[0]


def test_the_program_sees_what_the_file_says(stack_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "aws:region": "us-east-1",
        "aws:defaultTags": {"tags": {"team": "web"}},
        "expressway:environment": "staging",
        "expressway:app": {"minSize": 3, "environment": {"LOG_LEVEL": "{plain}"}},
    }
    stack_file.write_text(yaml.safe_dump({"config": config}))
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    assert from_pulumi(text, stack_file.parent, monkeypatch) == settings.from_file(stack_file)


def test_the_program_refuses_keys_that_nobody_asks_for(stack_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"Did you mean expressway:app\?"):
        from_pulumi({"aws:region": "us-east-1", "expressway:appp": "{}"}, stack_file.parent, monkeypatch)


def test_the_program_sees_configuration_that_the_cli_hands_on_in_the_environment(
    stack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"aws:region": "us-east-1", "expressway:app": json.dumps({"environment": {"X": "hunter2"}})}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
    assert from_pulumi({}, stack_file.parent, monkeypatch).app.environment == {"X": "hunter2"}
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(["expressway:app"]))
    with pytest.raises(SettingsError, match="must not be encrypted") as caught:
        from_pulumi({}, stack_file.parent, monkeypatch)
    assert "hunter2" not in str(caught.value)


def test_json_that_is_none_is_taken_for_text(stack_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="must be a mapping"):
        from_pulumi({"aws:region": "us-east-1", "expressway:app": "{oops"}, stack_file.parent, monkeypatch)


def test_a_project_of_another_name_keeps_its_settings_under_expressway(
    stack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "aws:region": "us-east-1",
        "expressway:environment": "prod",
        # What Pulumi makes of the defaults that Pulumi.yaml declares.
        "shop:environment": "dev",
        "shop:cache": "{}",
    }
    assert from_pulumi(given, stack_file.parent, monkeypatch, project="shop").environment == "prod"
    with pytest.raises(SettingsError, match=r"shop:app\s.*\s.*Set expressway:app instead") as caught:
        from_pulumi({**given, "shop:app": '{"minSize": 3}'}, stack_file.parent, monkeypatch, project="shop")
    assert "shop:environment" not in str(caught.value), "what is left at its default is not held against anybody"
