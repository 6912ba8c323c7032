"""A stack's configuration as the lab hands it to the program."""

from pathlib import Path
from typing import Any

import pytest

from lab.engine import stack_config
from lab.provider import tags

PROJECT = """\
name: expressway
runtime: python
config:
  environment: {type: string, default: dev}
  expressway:app: {type: object}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text(PROJECT)
    return tmp_path


def _load(project: Path, stack: str, *overrides: str) -> dict[str, Any]:
    file = project / "Pulumi.lab.yaml"
    file.write_text(stack)
    return stack_config.load(project, file, overrides)


def test_the_projects_defaults_come_first_and_overrides_last(project: Path) -> None:
    assert _load(project, "config: {}") == {"expressway:environment": "dev"}
    values = _load(project, "config: {expressway:environment: prod}")
    assert values["expressway:environment"] == "prod", "the stack's own value wins"
    values = _load(project, "config: {expressway:environment: prod}", "expressway:environment=staging")
    assert values["expressway:environment"] == "staging", "and the override wins over both"


def test_a_key_without_a_namespace_is_the_projects(project: Path) -> None:
    assert _load(project, "config: {app: {port: 1}}")["expressway:app"] == {"port": 1}


def test_an_override_reaches_into_a_map_and_keeps_its_neighbours(project: Path) -> None:
    stack = "config: {expressway:app: {port: 3000, environment: {A: x}}}"
    values = _load(
        project, stack, "expressway:app.port=8080", "expressway:app.environment.B=y", "expressway:edge.image=i"
    )
    assert values["expressway:app"] == {"port": 8080, "environment": {"A": "x", "B": "y"}}
    assert values["expressway:edge"] == {"image": "i"}, "a map that was not there is made"


def test_values_reach_the_sdk_as_text_or_json() -> None:
    given = {"a:text": "x", "a:number": 3, "a:map": {"b": [True]}}
    assert stack_config.as_text(given) == {"a:text": "x", "a:number": "3", "a:map": '{"b": [true]}'}


@pytest.mark.parametrize("given", [{"tags": {"a": 1}}, '{"tags": {"a": 1}}'])
def test_default_tags_are_read_from_a_map_or_its_json(given: object) -> None:
    assert tags.default({"aws:defaultTags": given}) == {"a": "1"}
    assert tags.default({}) == {}


@pytest.mark.parametrize(
    ("stack", "override", "message"),
    [
        ("config: {expressway:password: {secure: v1:x}}", "a=1", "encrypted"),
        ("config: {}", "nothing", "not of the form key=value"),
        ("config: {expressway:app: text}", "expressway:app.port=1", "nothing inside"),
        ("config: [", "a=1", "not YAML"),
        ("[]", "a=1", "must be a map"),
    ],
)
def test_what_cannot_be_used_is_a_clear_error(project: Path, stack: str, override: str, message: str) -> None:
    with pytest.raises(stack_config.ConfigError, match=message):
        _load(project, stack, override)


def test_a_missing_file_is_a_clear_error(project: Path) -> None:
    with pytest.raises(stack_config.ConfigError, match=r"cannot read .*Pulumi\.nowhere\.yaml"):
        stack_config.load(project, project / "Pulumi.nowhere.yaml", [])
