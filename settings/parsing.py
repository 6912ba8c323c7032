"""From plain configuration values to settings, with every mistake found in one go."""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from components import planning
from components.planning import HIDDEN, show

from . import rules
from .model import ENVIRONMENTS, Document, Settings
from .problems import Problem, SettingsError

NAMESPACE = "expressway"

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")

_TYPES = {
    "bool_type": ("it must be true or false", "Write it without quotes."),
    "dict_type": ("it must be a mapping", "Write its keys below it, indented."),
    "float_type": planning.SHAPES[float],
    "int_from_float": (planning.SHAPES[int][0], "Round it."),
    "int_type": planning.SHAPES[int],
    "list_type": planning.SHAPES[list],
    "model_type": ("it must be a mapping", "Write its keys below it, indented."),
    "string_type": planning.SHAPES[str],
}
"""Rule and remedy, by pydantic's name for the error."""

Location = tuple[str | int, ...]


def parse(
    config: Mapping[str, object],
    *,
    stack: str,
    base: Path,
    source: str,
    project: str = NAMESPACE,
    encrypted: frozenset[str] = frozenset(),
) -> Settings:
    """The settings in `config`, whose keys are full (`expressway:app`, `aws:region`) and whose values are plain.

    `base` is the folder that app.path starts from, `source` what messages call the configuration, `project` the Pulumi
    project's name, `encrypted` the keys whose values Pulumi decrypted. SettingsError with every mistake. Reads the
    app's folder, and nothing else.
    """
    problems = [*_foreign(config), *_misplaced(config, project)]
    region, tags = _region(config, problems), _tags(config, problems)
    values: dict[str, object] = {}
    for key, value in config.items():
        name = key.removeprefix(f"{NAMESPACE}:")
        if name == key:
            continue
        if key in encrypted or _is_ciphertext(value):
            problems.append(_not_encrypted(key))
        else:
            values[name] = _without_ciphertext(value, key, problems)
    document, mistakes = _validate(_with_defaults(values), base)
    problems += mistakes
    bad = [each.path for each in problems]

    def sound(path: str) -> bool:
        full = f"{NAMESPACE}:{path}"
        # Neither it, nor what it is in, nor what is in it.
        return not any(full == each or _within(full, each) or _within(each, full) for each in bad)

    problems += rules.check(document, stack, region, sound)
    if problems:
        raise SettingsError(source, problems)
    return Settings.model_construct(**dict(document), stack=stack, region=cast(str, region), tags=tags)


def _within(path: str, outer: str) -> bool:
    return path.startswith((f"{outer}.", f"{outer}["))


def _foreign(config: Mapping[str, object]) -> Iterator[Problem]:
    """Keys whose namespace is nearly ours; other namespaces belong to other packages."""
    for key in config:
        namespace, _, name = key.partition(":")
        if namespace != NAMESPACE and difflib.get_close_matches(namespace, [NAMESPACE], cutoff=0.8):
            yield Problem(key, "", "there is no such namespace", f"Did you mean {NAMESPACE}:{name}?")


def _misplaced(config: Mapping[str, object], project: str) -> Iterator[Problem]:
    """Settings under another project's name: Pulumi.yaml declares them there, with defaults."""
    for name, field in Document.model_fields.items():
        key = f"{project}:{name}"
        default: object = field.default if isinstance(field.default, str) else {}
        if project != NAMESPACE and config.get(key, default) != default:
            rule = f"settings are read from the namespace {NAMESPACE}, whatever the project is called"
            yield Problem(key, "", rule, f"Set {NAMESPACE}:{name} instead.")


def _region(config: Mapping[str, object], problems: list[Problem]) -> str | None:
    region = config.get("aws:region")
    if isinstance(region, str) and (partition := planning.partition(region)) != "aws":
        rule = (
            f"it must be in AWS's commercial partition, and is in {partition}: Debian's images, RDS's certificates and "
            "names of services differ there, and this program knows only the commercial ones"
        )
        problems.append(Problem("aws:region", show("aws:region", region), rule, "Choose one such as us-east-1."))
        return None
    if isinstance(region, str) and _REGION.fullmatch(region):
        return region
    given = show("aws:region", region) if "aws:region" in config else ""
    problems.append(Problem("aws:region", given, "it must name an AWS region", "Set it, for example to us-east-1."))
    return None


def _tags(config: Mapping[str, object], problems: list[Problem]) -> dict[str, str]:
    """The provider's default tags. They don't reach what a launch template launches, so the stack hands them on."""
    given = config.get("aws:defaultTags", {})
    tags = cast(dict[str, object], given).get("tags", {}) if isinstance(given, dict) else None
    if not isinstance(tags, dict):
        rule, remedy = "it must be a mapping with the key tags", "Write the tags below aws:defaultTags: tags:"
        problems.append(Problem("aws:defaultTags", show("aws:defaultTags", given), rule, remedy))
        return {}
    wrong = planning.check_tags("aws:defaultTags.tags", cast(dict[str, object], tags))
    problems += [Problem.of(each) for each in wrong]
    return {} if wrong else cast(dict[str, str], tags)


def _not_encrypted(path: str) -> Problem:
    rule = "a setting must not be encrypted: its decrypted value would be in the user data of every machine"
    remedy = "Put the value into Secrets Manager, and the secret's name at expressway:app.secrets.<VARIABLE>."
    return Problem(path, repr(HIDDEN), rule, remedy)


def _is_ciphertext(value: object) -> bool:
    return isinstance(value, dict) and list(cast(dict[str, object], value)) == ["secure"]


def _without_ciphertext(value: object, path: str, problems: list[Problem]) -> object:
    """`value` less what Pulumi wrote encrypted into it; each such place is a problem."""
    if isinstance(value, list):
        entries = enumerate(cast(list[object], value))
        return [_without_ciphertext(each, f"{path}[{index}]", problems) for index, each in entries]
    if not isinstance(value, dict):
        return value
    plain: dict[str, object] = {}
    for key, each in cast(dict[str, object], value).items():
        if _is_ciphertext(each):
            problems.append(_not_encrypted(f"{path}.{key}"))
        else:
            plain[key] = _without_ciphertext(each, f"{path}.{key}", problems)
    return plain


def _with_defaults(values: Mapping[str, object]) -> dict[str, object]:
    """`values` over the defaults of their environment; a section left empty counts as not given."""
    environment = values.get("environment", "dev")
    defaults = ENVIRONMENTS.get(environment, {}) if isinstance(environment, str) else {}
    merged: dict[str, object] = {"app": {}, **defaults}
    given = values.get("database")
    if isinstance(given, dict) and given.get("engine") == planning.AURORA:
        merged["database"] = _defaults_of_aurora(defaults.get("database", {}), cast(dict[str, object], given))
    if isinstance(given, dict) and given.get("engine") == planning.EXTERNAL:
        merged["database"] = {}
    for key, value in values.items():
        if value is None:
            continue
        beneath = merged.get(key, {})
        both = isinstance(beneath, dict) and isinstance(value, dict)
        merged[key] = {**cast(dict[str, object], beneath), **cast(dict[str, object], value)} if both else value
    return merged


def _defaults_of_aurora(defaults: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """An environment's, less what Aurora has not; and its own class."""
    own = planning.database_class(planning.AURORA, None, given.get("serverless") is not None)
    kept = {key: value for key, value in defaults.items() if key not in planning.RDS_ONLY}
    return {**kept, "instanceClass": own}


def _validate(values: dict[str, object], base: Path) -> tuple[Document, list[Problem]]:
    """The document, with defaults where `values` has mistakes, so that rules about the sound rest still apply."""
    problems: list[Problem] = []
    while True:
        try:
            return Document.model_validate(values, context={"base": base}), problems
        except ValidationError as error:
            details = error.errors()
        # A bad value that had to be there is missing once it is taken out.
        known = {each.path for each in problems}
        problems += [found for each in details if (found := _problem(each)).path not in known]
        for each in details:
            # What a key is missing in can't stay without it.
            _remove(values, each["loc"][:-1] if each["type"] == "missing" else each["loc"])
        values.setdefault("app", {})


def _remove(values: dict[str, object], location: Location) -> None:
    """Take out what is at `location`, or the whole list that it is in."""
    holder: Any = values
    for part, following in zip(location, (*location[1:], None), strict=True):
        if following is None or isinstance(following, int):
            holder.pop(part, None)
            return
        if part not in holder:
            return
        # Values belong to whoever gave them: change a copy.
        holder[part] = dict(holder[part])
        holder = holder[part]


def _problem(error: ErrorDetails) -> Problem:
    location, kind, context = error["loc"], error["type"], error.get("ctx", {})
    path = _path(location)
    value = show(path, error["input"])
    if kind == "extra_forbidden":
        return Problem(path, value, "there is no such key", _nearest(location))
    if kind == "missing":
        return Problem(path, "", "it must be given", "Add it.")
    if kind == "rule":
        return Problem(path, value, context["rule"], context["remedy"])
    if kind == "literal_error":
        return Problem(path, value, f"it must be {context['expected']}", "Choose one of them.")
    rule, remedy = _TYPES.get(kind, (error["msg"], "Correct it."))
    return Problem(path, value, rule, remedy)


def _path(location: Location) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{NAMESPACE}:{path.removeprefix('.')}"


def _nearest(location: Location) -> str:
    """What an unknown key may have been meant for: a similar one beside it, or its namesake elsewhere."""
    *outer, key = location
    model: type[BaseModel] = Document
    for part in outer:
        if isinstance(part, str):
            model = _section(model, part) or model
    known = _keys(model)
    if similar := difflib.get_close_matches(str(key).lower(), [each.lower() for each in known], n=1):
        match = next(each for each in known if each.lower() == similar[0])
        return f"Did you mean {_path((*outer, match))}?"
    for section in _keys(Document):
        beneath = _section(Document, section)
        if beneath and key in _keys(beneath):
            return f"Did you mean {_path((section, str(key)))}?"
    return f"The keys here are {', '.join(known)}."


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _section(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model of the mapping, or of the list's mappings, at `key`."""
    field = next(field for name, field in model.model_fields.items() if (field.alias or name) == key)
    candidates: list[Any] = [field.annotation]
    while candidates:
        candidate = candidates.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        candidates += get_args(candidate)
    return None
