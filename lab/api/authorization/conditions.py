"""The conditions of a statement, as far as the lab can tell what they ask about. Pure.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any, Final


def _like(value: str, pattern: str) -> bool:
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), value) is not None


def _same(value: str, wanted: str) -> bool:
    return value == wanted


def _same_but_for_case(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


_OPERATORS: Final[dict[str, tuple[Callable[[str, str], bool], bool]]] = {
    "StringEquals": (_same, True),
    "StringNotEquals": (_same, False),
    "StringEqualsIgnoreCase": (_same_but_for_case, True),
    "StringNotEqualsIgnoreCase": (_same_but_for_case, False),
    "StringLike": (_like, True),
    "StringNotLike": (_like, False),
    "ArnEquals": (_like, True),
    "ArnLike": (_like, True),
    "ArnNotEquals": (_like, False),
    "ArnNotLike": (_like, False),
    "Bool": (_same_but_for_case, True),
}


def hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Whether all of a statement's conditions hold.

    Raises NotImplementedError for one that can't be judged: a key that the context lacks may well have a value on AWS.
    """
    return all(
        _holds(operator, key, wanted if isinstance(wanted, list) else [wanted], context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, key: str, wanted: list[Any], context: Mapping[str, str]) -> bool:
    test = _OPERATORS.get(operator.removesuffix("IfExists"))
    # A key's name is the same in any case.
    value = next((each for name, each in context.items() if name.lower() == key.lower()), None)
    if value is None or test is None:
        raise NotImplementedError(f"the condition {operator} {key} in a policy")
    same, positive = test
    return any(same(value, str(each)) for each in wanted) is positive
