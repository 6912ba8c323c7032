"""What policies say of a call: every resource needs a statement that allows it and none that denies it. Pure.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from lab.api.authorization.conditions import hold

ANY: Final = "*"


@dataclass(frozen=True)
class Statement:
    """A statement of a policy: `number` is its place there, from 0."""

    policy: str
    number: int
    document: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Use:
    """What let a call through: a statement, and which of its actions and resources. `resource` may be any (`*`)."""

    statement: Statement
    action: str
    resource: str


@dataclass(frozen=True)
class Decision:
    """Whether a call may go on, and by what (`uses`); else which resource is refused, and whether by a Deny."""

    allowed: bool
    uses: tuple[Use, ...] = ()
    refused: str | None = None
    denied: bool = False


def statements(name: str, document: Mapping[str, Any]) -> list[Statement]:
    """A policy's statements; one alone needs no list around it."""
    return [Statement(name, number, each) for number, each in enumerate(_list(document["Statement"]))]


def decide(
    policies: Sequence[Statement], action: str, resources: Sequence[str] | None, context: Mapping[str, str]
) -> Decision:
    """Decide on `action` (as `s3:GetObject`) on all of `resources`; None where nobody can say which they are.

    Then the action alone decides: allowed on some resource, it is allowed, and denied on all, it is denied. Raises
    NotImplementedError for a policy that can't be judged.
    """
    uses: list[Use] = []
    for resource in [None] if resources is None else resources:
        matching = [(each, _matching(each.document, action, resource, context)) for each in policies]
        applying = [(each, found) for each, found in matching if found]
        if any(each.document["Effect"] == "Deny" for each, _ in applying):
            return Decision(False, refused=resource, denied=True)
        allowing = [Use(each, *found) for each, found in applying]
        if not allowing:
            return Decision(False, refused=resource)
        uses += allowing
    return Decision(True, tuple(dict.fromkeys(uses)))


def _matching(
    document: Mapping[str, Any], action: str, resource: str | None, context: Mapping[str, str]
) -> tuple[str, str] | None:
    """Which of a statement's actions and resources cover the call; None where it does not apply."""
    by_action = _covering(document, "Action", action, re.IGNORECASE)
    if by_action is None:
        return None
    if resource is not None:
        by_resource = _covering(document, "Resource", resource)
    elif document["Effect"] == "Deny":
        by_resource = _covering(document, "Resource", ANY)
    else:
        by_resource = ANY
    if by_resource is None or not hold(document.get("Condition", {}), context):
        return None
    return by_action, by_resource


def _covering(document: Mapping[str, Any], element: str, value: str, flags: int = 0) -> str | None:
    """The first pattern of `element` that covers `value`, or the name of its negation where that holds."""
    if element in document:
        return next((each for each in _list(document[element]) if _pattern(each, flags).fullmatch(value)), None)
    negation = f"Not{element}"
    if any(_pattern(each, flags).fullmatch(value) for each in _list(document[negation])):
        return None
    return negation


@lru_cache(maxsize=1024)
def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Wildcards as IAM has them: `*` is any text, slashes and colons included, and `?` any character."""
    if "${" in text:
        raise NotImplementedError(f"the policy variable in {text}")
    parts: Iterable[str] = re.split(r"([*?])", text)
    return re.compile("".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts), flags | re.DOTALL)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
