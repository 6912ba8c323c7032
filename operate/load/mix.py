"""A mix: which routes are asked, how often, with what, and by whom; and the file that says so.

Every mistake of a file is told at once, each with its line and column.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

PLACEHOLDER: Final = re.compile(r"\{(\d+)\.\.(\d+)\}|\{user\}")
"""A number of a range, drawn for each request; and the number of the user who asks."""

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}
_KINDS = {
    "missing": "it must be given",
    "extra_forbidden": "there is no such key",
    "string_type": "it must be text",
    "list_type": "it must be a list",
    "too_short": "it must have an entry",
    "model_type": "it must be a mapping",
    "dict_type": "it must be a mapping",
    "greater_than": "it must be more than 0",
    "finite_number": "it must be a number",
    "float_type": "it must be a number",
}


class MixError(Exception):
    """A mix can't be used: every mistake, one a line."""


def _path(path: str) -> str:
    if not path.startswith("/") or re.search(r"[\s#]", path):
        raise PydanticCustomError("path", "it must begin with / and have neither spaces nor #")
    rest = PLACEHOLDER.sub("", path)
    if "{" in rest or "}" in rest:
        raise PydanticCustomError("path", "a placeholder must be a range such as {1..100}, or {user}")
    _check_ranges(path)
    return path


def _check_ranges(text: str) -> None:
    for found in PLACEHOLDER.finditer(text):
        if found[1] and int(found[1]) > int(found[2]):
            raise PydanticCustomError(
                "range", "a range must begin with its lower number, and {range} doesn't", {"range": found[0]}
            )


def _body(body: Any) -> Any:
    if body is not None and not isinstance(body, str | dict | list):
        raise PydanticCustomError("body", "it must be text, or what is sent as JSON: a mapping or a list")
    _check_ranges(str(body))
    return body


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\0]", value):
            raise PydanticCustomError("header", "{name} can't be a header", {"name": repr(name)})
    return headers


def _span(given: object) -> object:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    match = _SPAN.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise PydanticCustomError("span", "it must be a time such as 2s or 500ms")
    return float(match[1]) * _UNITS[match[2]]


def _upper(method: object) -> object:
    return method.upper() if isinstance(method, str) else method


Method = Annotated[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], BeforeValidator(_upper)]
HttpPath = Annotated[str, AfterValidator(_path)]
Body = Annotated[Any, AfterValidator(_body)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A mapping of the file: frozen, camelCase, exact types, no unknown keys."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Request(Section):
    """What is asked. Path and body may have placeholders: `{1..100}`, `{user}`."""

    method: Method = "GET"
    """The HTTP method."""
    path: HttpPath
    """From the site's root on, with its query."""
    body: Body = None
    """Text is sent as it is; a mapping or a list as JSON."""
    headers: Headers = {}
    """Further headers."""


class Route(Request):
    """One of the requests of a mix."""

    weight: Positive = 1
    """How often, against the others' weights."""


class Login(Request):
    """The request that opens a user's session; its cookies are sent with all that the user asks."""

    method: Method = "POST"
    """The HTTP method."""


class Session(Section):
    """Users that are known to the app."""

    login: Login
    """Sent once for each user, before the step that needs it."""


class Mix(Section):
    """What is sent. A mix of many users: so many as it takes for each to ask every `thinkTime`."""

    routes: Annotated[list[Route], Field(min_length=1)]
    """Which requests, in what proportion."""
    think_time: Annotated[Positive, BeforeValidator(_span)] | None = None
    """Seconds between two requests of a user; in the file also as 2s or 500ms. None: nobody counts users."""
    session: Session | None = None
    """None: nobody logs in."""

    @model_validator(mode="after")
    def _users_are_counted(self) -> "Mix":
        if self.session and self.think_time is None:
            raise PydanticCustomError(
                "session", "a session needs thinkTime beside it: it says how many users there are"
            )
        return self

    def described(self) -> tuple[str, ...]:
        """One line a route, the most frequent first."""
        total = sum(each.weight for each in self.routes)
        shown = sorted(self.routes, key=lambda each: -each.weight)
        return tuple(f"{100 * each.weight / total:.4g} %  {each.method} {each.path}" for each in shown)


def read(path: Path) -> Mix:
    """The mix in a YAML file. MixError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MixError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MixError(f"{path}: it must be UTF-8") from error
    return parse(text, str(path))


def parse(text: str, source: str) -> Mix:
    """The mix in YAML. `source` is what messages call it. MixError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        marks = dict(_marks(node, ())) if node else {}
        repeated = list(_repeated(node, source)) if node else []
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise MixError(f"{place}: it must be YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(content, dict):
        raise MixError(f"{source}:1:1: it must be a mapping with the key routes")
    try:
        mix = Mix.model_validate(content)
    except ValidationError as error:
        raise MixError("\n".join([*repeated, *(_told(each, marks, source) for each in error.errors())])) from error
    if repeated:
        raise MixError("\n".join(repeated))
    return mix


Location = tuple[str | int, ...]


def _marks(node: yaml.Node, at: Location) -> Iterator[tuple[Location, yaml.Mark]]:
    """Where each value stands: a mapping's by its key."""
    if not at:
        yield at, node.start_mark
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield (*at, index), entry.start_mark
            yield from _marks(entry, (*at, index))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*at, str(key.value))
            yield place, key.start_mark
            yield from _marks(value, place)


def _repeated(node: yaml.Node, source: str) -> Iterator[str]:
    """Keys given twice in one mapping: YAML would let the last one win, silently."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _repeated(entry, source)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if (name := str(key.value)) in seen:
            mark = key.start_mark
            yield f"{source}:{mark.line + 1}:{mark.column + 1}: {name} must be given once"
        seen.add(name)
        yield from _repeated(value, source)


def _told(error: ErrorDetails, marks: Mapping[Location, yaml.Mark], source: str) -> str:
    location = error["loc"]
    # What is missing stands nowhere: its mapping does.
    known = next(location[:length] for length in range(len(location), -1, -1) if location[:length] in marks)
    mark = marks[known]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    kind, given = error["type"], error["input"]
    rule = _KINDS.get(kind, error["msg"])
    if kind == "literal_error":
        rule = f"it must be {error.get('ctx', {}).get('expected')}"
    shown = f" = {given!r}" if isinstance(given, str | int | float) else ""
    return f"{source}:{mark.line + 1}:{mark.column + 1}: {name}{shown}{': ' if name else ''}{rule}"
