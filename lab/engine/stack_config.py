"""A stack's configuration as the Pulumi CLI would hand it to the program."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.provider.errors import ProviderError


class ConfigError(ProviderError):
    """The project's or the stack's file can't be used."""


def project_name(directory: Path) -> str:
    """The name in Pulumi.yaml."""
    return str(_read(directory / "Pulumi.yaml").get("name", directory.name))


def load(directory: Path, stack_file: Path, overrides: Iterable[str]) -> dict[str, Any]:
    """Every value by its full key: the project's defaults, the stack's own, and `key.path=value` overrides last."""
    project = _read(directory / "Pulumi.yaml")
    namespace = str(project.get("name", directory.name))
    values: dict[str, Any] = {}
    for key, declared in project.get("config", {}).items():
        if isinstance(declared, dict) and ("default" in declared or "value" in declared):
            values[_full(key, namespace)] = declared.get("value", declared.get("default"))
    for key, value in (_read(stack_file).get("config") or {}).items():
        if isinstance(value, dict) and set(value) == {"secure"}:
            raise ConfigError(f"{stack_file.name}: {key} is encrypted, and only the Pulumi CLI can read it")
        values[_full(key, namespace)] = value
    for override in overrides:
        _set(values, override, namespace)
    return values


def as_text(values: Mapping[str, Any]) -> dict[str, str]:
    """As the SDK reads it: text as it is, everything else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _set(values: dict[str, Any], override: str, namespace: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ConfigError(f"{override!r} is not of the form key=value")
    head, *rest = _full(path, namespace).split(".")
    value = yaml.safe_load(text) if text else ""
    if not rest:
        values[head] = value
        return
    inner = values[head] = dict(_mapping(values.get(head, {}), head))
    for key in rest[:-1]:
        inner[key] = dict(_mapping(inner.get(key, {}), path))
        inner = inner[key]
    inner[rest[-1]] = value


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is {value!r}, and has nothing inside that could be set")
    return value


def _full(key: str, namespace: str) -> str:
    return key if ":" in key else f"{namespace}:{key}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must be a map")
    return content
