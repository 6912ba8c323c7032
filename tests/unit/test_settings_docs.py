"""What people read of the settings, held against the code: defaults, those of environments, and bounds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import yaml
from pydantic.fields import FieldInfo

from components.planning import Rule
from settings.fields import Ruled
from settings.model import ENVIRONMENTS, Document, Section

ROOT = Path(__file__).resolve().parents[2]
SECTIONS: dict[str, type[Section]] = {
    field.alias or name: field.annotation
    for name, field in Document.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
IN_WORDS = {
    "engineVersion": "7.1, with valkey 8.1",
    "subnets": "planned from cidr",
    "poolSize": "as many as fit",
    "port": "5432 with external",
    "replicaCpu": "60 with maxReplicas",
}
"""What is said of a default that the code has no value for; of others that have none: none."""


def fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting: its section, its key and what the code knows of it."""
    for section, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            yield section, field.alias or name, field


FIELDS = [pytest.param(*each, id=f"{each[0]}.{each[1]}") for each in fields()]


def as_text(value: object) -> str:
    """A value as YAML, and so people, write it."""
    if isinstance(value, Path):
        return f"./{value}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def by_environment(section: str, key: str) -> list[tuple[str, str]]:
    """Which environments have a default of their own, as people list them, and that default."""
    found: dict[str, list[str]] = {}
    for environment, sections in ENVIRONMENTS.items():
        if key in sections.get(section, {}):
            found.setdefault(as_text(sections[section][key]), []).append(environment)
    return [(" and ".join(environments), value) for value, environments in found.items()]


def comments() -> dict[tuple[str, str], str]:
    """What Pulumi.dev.yaml says before each setting. A key without a comment shares the one before it."""
    found: dict[tuple[str, str], str] = {}
    section, block, ended = "", "", False
    for line in (ROOT / "Pulumi.dev.yaml").read_text().splitlines():
        # What has no default is commented out, and ends its comment as other keys do.
        if named := re.fullmatch(r"  (?:# )?expressway:(\w+):.*", line):
            section, ended = named[1], True
        elif key := re.fullmatch(r"  (?:  |# {1,3}|  # )(\w+):( .*)?", line):
            found.setdefault((section, key[1]), block)
            ended = True
        elif comment := re.fullmatch(r" +# (?! )(.*)", line):
            block, ended = comment[1] if ended else f"{block} {comment[1]}", False
    return found


COMMENTS = comments()


@pytest.mark.parametrize("section", SECTIONS)
def test_the_project_file_states_the_defaults_that_the_code_has(section: str) -> None:
    description = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"][section]["description"]
    stated = dict(re.findall(r"(\w+) \(([^()]*)\)", description))
    expected: dict[str, str] = {}
    for name, field in SECTIONS[section].model_fields.items():
        key, default = field.alias or name, field.default
        text = IN_WORDS.get(key, "none") if default in (None, {}, []) else as_text(default)
        expected[key] = "; ".join([text, *(f"in {where} {value}" for where, value in by_environment(section, key))])
    assert stated == expected


@pytest.mark.parametrize(("section", "key", "field"), FIELDS)
def test_descriptions_and_comments_state_the_defaults_of_environments(section: str, key: str, field: FieldInfo) -> None:
    expected = by_environment(section, key)
    assert re.findall(r"\bIn ([a-z ]+): (\S+)\.", field.description or "") == expected, "docs/reference has it"
    assert re.findall(r"\bDefault in ([a-z ]+): (\S+?)\.", COMMENTS[section, key]) == expected, "Pulumi.dev.yaml"


def rule_of(field: FieldInfo) -> Rule | None:
    """The rule that a setting is held to, where its bounds can be said in short."""
    return next((each.rule for each in field.metadata if isinstance(each, Ruled) and each.rule.range), None)


@pytest.mark.parametrize(
    ("section", "key", "field"), [each for each in FIELDS if rule_of(cast(FieldInfo, each.values[2]))]
)
def test_comments_state_the_bounds_that_the_code_has(section: str, key: str, field: FieldInfo) -> None:
    rule = rule_of(field)
    assert rule
    comment = COMMENTS[section, key]
    unsaid = [each for each in re.findall(r"[\w.]+", rule.range) if not re.search(rf"(?<![\w.]){each}(?!\w)", comment)]
    assert not unsaid, f"the values are {rule.range}, and Pulumi.dev.yaml says: {comment}"


def test_the_comments_of_every_setting_were_found() -> None:
    """Or the tests above would compare nothing."""
    assert {(section, key) for section, key, _ in fields()} <= COMMENTS.keys()
    assert COMMENTS["app", "minSize"] == COMMENTS["app", "maxSize"]
    assert COMMENTS["cache", "replicas"].startswith("Standby nodes")
