"""Where configuration comes from: a stack's file, or the running Pulumi program."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from .model import Settings
from .parsing import NAMESPACE, parse
from .problems import Problem, SettingsError

_FILE_NAME = re.compile(r"Pulumi\.(?P<stack>.+)\.ya?ml")
_FILE_KEYS = frozenset({"config", "encryptedkey", "encryptionsalt", "environment", "secretsprovider"})


def stack_of(path: Path) -> str:
    """The stack that a configuration file is for. SettingsError when its name doesn't tell."""
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        rule = "a stack's configuration must be in Pulumi.<stack>.yaml"
        raise SettingsError(str(path), [Problem(str(path), "", rule, "Name such a file.")])
    return match["stack"]


def read(path: Path) -> dict[str, object]:
    """The configuration in a stack's file: full keys and plain values. SettingsError when it can't be read as such."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        beside = ", ".join(sorted(each.name for each in path.parent.glob("Pulumi.*.yaml")))
        remedy = f"There are {beside}." if beside else "Copy it from an example."
        rule = f"the file must be there to read: {error.strerror}"
        raise SettingsError(str(path), [Problem(str(path), "", rule, remedy)]) from error
    except UnicodeDecodeError as error:
        raise SettingsError(str(path), [Problem(str(path), "", "it must be UTF-8", "Save it as such.")]) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        problems = list(_repeated(node, "")) if node else []
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else str(path)
        rule = f"it must be valid YAML: {getattr(error, 'problem', None) or error}"
        raise SettingsError(str(path), [Problem(place, "", rule, "Check indentation, colons and quotes.")]) from error
    content = {} if content is None else content
    config = content.get("config") if isinstance(content, dict) else content
    config = {} if config is None else config
    if isinstance(content, dict):
        problems += [
            Problem(str(key), "", "there is no such key at the top", "Settings go below `config:`.")
            for key in cast(dict[object, object], content).keys() - _FILE_KEYS
        ]
    if not isinstance(config, dict):
        problems.append(Problem("config", "", "it must be a mapping", "Write its keys below it, indented."))
    if problems:
        raise SettingsError(str(path), problems)
    # Like Pulumi, take a key without a namespace for the project's own.
    entries = cast(dict[str, object], _with_text_keys(config)).items()
    return {key if ":" in key else f"{NAMESPACE}:{key}": value for key, value in entries}


def from_file(path: Path) -> Settings:
    """The settings in Pulumi.<stack>.yaml, without Pulumi. SettingsError with every mistake."""
    stack = stack_of(path)
    return parse(read(path), stack=stack, base=path.absolute().parent, source=str(path))


def from_pulumi() -> Settings:
    """The running program's settings. SettingsError with every mistake."""
    import pulumi  # checking a file needs no engine's SDK
    from pulumi.runtime import config as runtime

    # pulumi.Config answers for keys that one asks for; to find the ones nobody knows, take them all.
    given: dict[str, Any] = {**runtime.get_config_env(), **runtime.CONFIG.get()}
    encrypted = {key for key in given if runtime.is_config_secret(key)} | set(runtime.get_config_secret_keys_env())
    stack = pulumi.get_stack()
    return parse(
        {key: _plain(value) for key, value in given.items()},
        stack=stack,
        base=Path.cwd(),
        source=f"stack {stack}",
        project=pulumi.get_project(),
        encrypted=frozenset(encrypted),
    )


def _with_text_keys(value: Any) -> Any:
    """`value` with every key as text, as Pulumi reads YAML's numbers and booleans among them."""
    if isinstance(value, list):
        return [_with_text_keys(each) for each in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    entries = cast(dict[Any, Any], value).items()
    return {str(key).lower() if isinstance(key, bool) else str(key): _with_text_keys(each) for key, each in entries}


def _plain(value: object) -> object:
    """A value as its author wrote it: Pulumi hands mappings and lists on as JSON text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def _repeated(node: yaml.Node, path: str, outer: tuple[yaml.Node, ...] = ()) -> Iterator[Problem]:
    """Keys given twice in one mapping: YAML would let the last one win, silently. And values that hold themselves."""
    if any(node is each for each in outer):
        line = node.start_mark.line + 1
        rule = f"it must not be a part of itself, which begins on line {line}"
        yield Problem(path.removeprefix("config."), "", rule, "Write it without the alias.")
        return
    outer = (*outer, node)
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield from _repeated(entry, f"{path}[{index}]", outer)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        name = str(key.value)
        full = f"{path}.{name}" if path else name
        line = key.start_mark.line + 1
        if name in seen:
            rule = f"a key must be given once, and line {seen[name]} has it too"
            yield Problem(full.removeprefix("config."), f"on line {line}", rule, "Remove one of them.")
        seen.setdefault(name, line)
        yield from _repeated(value, full, outer)
