"""How a component refuses its arguments: every finding at once, before it asks AWS for anything."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args, is_typeddict

import pulumi

from .planning import NOTHING, UNKNOWN, Each, Finding, Rule, check_name

Checked = Rule | Each
"""What a value is held to."""

Check = Callable[[str, Any], list[Finding]]
"""What is wrong with a value at a path."""


def require(component: str, name: str, findings: list[Finding]) -> None:
    """Raise InputPropertiesError when the name or an argument breaks a rule.

    The message repeats every detail: a plugin host hands only the message on to programs in other languages.
    """
    wrong = check_name(component, name) + findings
    if not wrong:
        return
    details: list[pulumi.InputPropertyErrorDetails] = [
        {"property_path": each.path, "reason": f"{each.shown}: {each.rule}. {each.remedy}".removeprefix(": ")}
        for each in wrong
    ]
    lines = [f"{detail['property_path']}: {detail['reason']}" for detail in details]
    raise pulumi.InputPropertiesError("\n".join([f"{component} {name!r} can't be made:", *lines]), details)


def require_names(component: str, name: str, args: Mapping[str, Any], kind: type) -> None:
    """Refuse arguments that `kind` doesn't have, and the lack of those that it must have, before any value is read."""
    if wrong := check_names(args, kind):
        require(component, name, wrong)


def check_names(args: Mapping[str, Any], kind: type, path: str = "") -> list[Finding]:
    """Arguments that `kind` doesn't have, and those of it that are missing: Python itself takes any name, silently.

    What a plugin gets was held to the schema before; this is for programs in Python that no type checker has read.
    """
    there_are: dict[str, Any] = kind.__annotations__
    findings: list[Finding] = []
    for name, value in args.items():
        if name not in there_are:
            near = difflib.get_close_matches(name, there_are, 1)
            remedy = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(there_are))}."
            findings.append(Finding(f"{path}{name}", NOTHING, "there is no such argument", remedy))
        elif inner := _typed_dict(there_are[name]):
            for place, entry in _entries(value):
                findings += check_names(entry, inner, f"{path}{name}{place}.")
    required = cast(frozenset[str], cast(Any, kind).__required_keys__)
    missing = [name for name in sorted(required) if args.get(name) is None]
    return findings + [Finding(f"{path}{name}", NOTHING, "it is missing", "There is no default.") for name in missing]


def _typed_dict(annotation: Any) -> type | None:
    """The TypedDict in an annotation like `NotRequired[Input[AccessArgs]]`."""
    if is_typeddict(annotation):
        return annotation
    return next((found for each in get_args(annotation) if (found := _typed_dict(each))), None)


def _entries(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The mappings that a value is or lists, each with its place; none while another resource has yet to give it."""
    given = enumerate(cast(list[Any], value)) if isinstance(value, list) else [(-1, value)]
    return [("" if index < 0 else f"[{index}]", each) for index, each in given if isinstance(each, Mapping)]


def check_values(args: object, rules: Mapping[str, Checked], path: str = "") -> list[Finding]:
    """What is wrong with those of `args` that are given and have a rule; `path` is what they are in.

    Nothing, when `args` themselves are not given, or not known yet.
    """
    if not isinstance(args, Mapping):
        return []
    args = cast(Mapping[str, Any], args)
    return [
        finding
        for name, rule in rules.items()
        if name in args
        for finding in rule.check(f"{path}{camel(name)}", known(args[name]))
    ]


def known(value: Any) -> Any:
    """A plain value as it is; UNKNOWN for one that another resource will give."""
    return UNKNOWN if isinstance(value, pulumi.Output) or inspect.isawaitable(value) else value


def known_each(values: Mapping[str, Any]) -> dict[str, Any]:
    """`known` of each value of a map."""
    return {name: known(value) for name, value in values.items()}


class Later:
    """Values that other resources give to one component, each held to its rule when it becomes known.

    Too late for the preview, and in time for what counts: such a value ends in a file, or in a URL, all the same.
    """

    def __init__(self, component: str, name: str) -> None:
        self._component = component
        self._name = name

    def check(self, path: str, value: Any, check: Check) -> Any:
        """`value`; as an output that fails where it breaks the rule, unless it is known already."""
        if known(value) is not UNKNOWN:
            return value

        def held(given: Any) -> Any:
            require(self._component, self._name, check(path, given))
            return given

        return pulumi.Output.from_input(value).apply(held)

    def check_values(self, args: Mapping[str, Any], rules: Mapping[str, Checked], path: str) -> dict[str, Any]:
        """`args`, those that have a rule as `check` gives them."""
        held = {
            name: self.check(f"{path}{camel(name)}", args[name], rules[name].check) for name in rules if name in args
        }
        return {**args, **held}

    def check_each(self, values: Mapping[str, Any], check: Check, path: str) -> dict[str, Any]:
        """A map's values as `check` gives them; keys are their users' own."""
        return {name: self.check(f"{path}{name}", value, check) for name, value in values.items()}


def camel(name: str) -> str:
    """A property's name in the schema."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
