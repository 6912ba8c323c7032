"""Writes docs/reference from the code: `make docs`. With --check, fails when what is there is stale."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pulumi.provider.experimental.analyzer import Analyzer
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
sys.path.insert(0, str(ROOT))

import components  # noqa: E402
import stack  # noqa: E402
from components import planning  # noqa: E402
from components._plugin import COMPONENTS, Plugin  # noqa: E402
from operate import deployer, doctor  # noqa: E402
from settings.fields import Ruled  # noqa: E402
from settings.model import Document, Section  # noqa: E402

NOTE = "<!-- Generated from the code by `make docs`. -->\n"


def main() -> int:
    """Write the pages, or say which are stale."""
    schema = json.loads(Plugin(COMPONENTS, components.__version__).schema or "")
    pages = {
        "schema.json": json.dumps(schema, indent=2) + "\n",
        "components.md": components_page(schema),
        "settings.md": settings_page(),
        "outputs.md": outputs_page(),
        "alarms.md": alarms_page(),
        "parameters.md": parameters_page(),
        **{f"{name}.json": json.dumps(policy, indent=2) + "\n" for name, policy in policies().items()},
    }
    stale = [name for name, text in pages.items() if not _same(REFERENCE / name, text)]
    if sys.argv[1:] == ["--check"]:
        for name in stale:
            print(f"docs/reference/{name} is not what the code says: run make docs, and read the diff", file=sys.stderr)
        return bool(stale)
    REFERENCE.mkdir(exist_ok=True)
    for name in stale:
        (REFERENCE / name).write_text(pages[name])
        print(f"wrote docs/reference/{name}")
    return 0


def policies() -> dict[str, Any]:
    """What whoever deploys must be allowed, and what whoever runs the doctor."""
    return {**deployer.documents(), "doctor-policy": doctor.policy()}


def components_page(schema: Mapping[str, Any]) -> str:
    """Each component and each type of argument, as other languages see them; Python's names are in snake_case."""
    text = ["# Components", NOTE, "Names are those of the schema; in Python they are in snake_case.\n"]
    for token, component in sorted(schema["resources"].items()):
        text += [f"## {token.rpartition(':')[2]}\n", component["description"] + "\n"]
        if component.get("inputProperties"):
            text += [_arguments(component["inputProperties"], component.get("requiredInputs", ()))]
        text += ["Outputs:\n", _table(("output", "type", "what"), _outputs(component["properties"]))]
    for token, kind in sorted(schema["types"].items()):
        text += [f"## {token.rpartition(':')[2]}\n", kind["description"] + "\n"]
        text += [_arguments(kind["properties"], kind.get("required", ()))]
    return "\n".join(text)


def settings_page() -> str:
    """Every key of a stack's configuration."""
    text = ["# Settings", NOTE]
    text += ["Keys of `Pulumi.<stack>.yaml`, under `expressway:`. Pulumi.dev.yaml is an annotated example.\n"]
    rows = list(_settings(Document, ""))
    return "\n".join([*text, _table(("key", "type", "default", "what"), rows)])


def outputs_page() -> str:
    """What the stack exports."""
    docstring = Analyzer("").get_docstring
    rows = [(f"`{name}`", docstring(stack.Outputs, name) or "") for name in get_type_hints(stack.Outputs)]
    text = ["# Stack outputs", NOTE, "Read them with `pulumi stack output`, or from another stack: a StackReference.\n"]
    return "\n".join([*text, _table(("output", "what"), rows)])


def alarms_page() -> str:
    """The alarms of a stack that has everything, by the settings' defaults."""
    watched = planning.Watched(
        edge_type="t3.small",
        certificate=True,
        app_type="t3.small",
        fewest_servers=2,
        database_class="db.t4g.micro",
        replicas=("near",),
        cache_type="cache.t4g.micro",
        cache_nodes=2,
    )
    text = [
        "# Alarms",
        NOTE,
        "Of a stack with everything that can have one, by the settings' defaults. What a stack lacks has none: a "
        "certificate, a replica (here one that its owner calls near), standbys of the cache, burstable types. Each "
        "node of a cache has its own. In CloudWatch, one is called `<stack>-monitoring-<alarm>-<7 digits>`.\n",
    ]
    found = [each for each in planning.alarms(watched) if not each.key.startswith("cache-002")]
    rows = [(f"`{each.key}`", *_rule(each)) for each in found]
    text += [_table(("alarm", "metric", "raised when", "without data"), rows)]
    text += ["## What to do\n", "The alarm's description, which is in its message.\n"]
    text += [_table(("alarm", "what it says"), [(f"`{each.key}`", each.text) for each in found])]
    return "\n".join(text)


def parameters_page() -> str:
    """What PostgreSQL is told, and why."""
    text = [
        "# PostgreSQL's parameters",
        NOTE,
        "Those that the database's parameter group has otherwise than RDS's own, by the settings' defaults. All of "
        "them count at once, without a reboot. `database.parameters` sets others, and refuses those that the program "
        "depends on.\n",
    ]
    slow = Document.model_fields["database"].default.slow_statement_ms
    rows = [(f"`{each.name}`", each.value, each.why) for each in planning.postgres_parameters(slow)]
    return "\n".join([*text, _table(("parameter", "value", "why"), rows)])


def _rule(alarm: planning.Alarm) -> tuple[str, str, str]:
    missing = {"notBreaching": "all is well", "breaching": "raised"}[alarm.missing]
    often = f"{alarm.needed} of {alarm.periods} periods" if alarm.periods > 1 else "a period"
    when = f"{alarm.statistic} {alarm.comparison} {alarm.threshold:,} in {often} of {alarm.period} s"
    return f"{alarm.namespace} `{alarm.metric}`", when, missing


def _settings(section: type[Section], prefix: str) -> Iterable[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        key = prefix + (field.alias or name)
        nested = _section(field.annotation)
        if nested and get_origin(field.annotation) is None:
            yield from _settings(nested, f"{key}.")
            continue
        yield f"`{key}`", _kind(field), _default(field), field.description or ""
        if nested:
            yield from _settings(nested, f"{key}[].")


def _section(annotation: Any) -> type[Section] | None:
    """The section that a value is, or that a list holds."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section(each))), None)


def _kind(field: FieldInfo) -> str:
    annotation = field.annotation
    if NoneType in get_args(annotation):
        (annotation,) = set(get_args(annotation)) - {NoneType}
    metadata = list(field.metadata)
    if get_origin(annotation) is Annotated:
        # Pydantic takes a rule out of the type, unless the type is one of several.
        annotation, *rules = get_args(annotation)
        metadata += rules
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, get_args(annotation)))
    limits = "".join(f": {each.rule.range}" for each in metadata if isinstance(each, Ruled) and each.rule.range)
    names = {bool: "true or false", int: "number", str: "text", Path: "folder"}
    if get_origin(annotation) is dict:
        return "map of text"
    return names.get(annotation, "list") + limits if isinstance(annotation, type) else "list"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default()
    if value is None or value in ({}, []):
        return "none"
    return f"`{json.dumps(str(value) if isinstance(value, Path) else value)}`".replace('"', "")


def _arguments(properties: Mapping[str, Any], required: Iterable[str]) -> str:
    rows = [
        (f"`{name}`", _schema_type(each), "yes" if name in required else "", each["description"])
        for name, each in properties.items()
    ]
    return _table(("argument", "type", "required", "what"), rows)


def _outputs(properties: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(f"`{name}`", _schema_type(each), each["description"]) for name, each in properties.items()]


def _schema_type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition(":")[2]
        return f"[{name}](#{name.lower()})"
    if schema["type"] == "array":
        return f"list of {_schema_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of {_schema_type(schema['additionalProperties'])}"
    return schema["type"]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace(chr(10), ' ') for cell in line)} |" for line in lines) + "\n"


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
