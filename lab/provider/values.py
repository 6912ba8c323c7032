"""Property values between Pulumi's wire form and boto3's. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pulumi
from pulumi.output import Unknown
from pulumi.runtime import rpc

from lab.provider.errors import InputError

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
"""What marks a map as a secret on the wire; its `value` is the secret."""

UNKNOWN = rpc.UNKNOWN
"""What stands in a preview for a value that only an update gives."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_ASSET = "c44067f5952c0a294b673a41bacd8c17"

Spec = Mapping[str, "str | tuple[str, Spec] | tuple[str, Callable[[Any], Any]]"]
"""Pulumi's property name -> boto3's, with the spec of what is inside or with a conversion."""


def plain(value: Any) -> Any:
    """Without secret marks, and with whole numbers as integers: on the wire every number is a float."""
    if isinstance(value, dict):
        if is_secret(value):
            return plain(value["value"])
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def as_known(found: Any, known: Any) -> Any:
    """A document, of a policy for instance, that the API gives as text or as a map: in the words that are known if it
    says the same, else as text, or as a map where that is how it is known.
    """
    document = json.loads(found) if isinstance(found, str) else found
    if known is not None and document == (json.loads(known) if isinstance(known, str) else known):
        return known
    if isinstance(known, dict):
        return document
    return found if isinstance(found, str) else json.dumps(found)


def as_sent(value: Any) -> Any:
    """With UNKNOWN, as it is on the wire, for what the SDK has taken off it as unknown."""
    if isinstance(value, dict):
        return {key: as_sent(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_sent(item) for item in value]
    return UNKNOWN if isinstance(value, Unknown) else value


def arguments(value: Any) -> Any:
    """Plain, and with assets as the SDK's objects: what a call to the API is made from."""
    return _assets(plain(value))


def _assets(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _ASSET:
            return pulumi.StringAsset(value["text"]) if "text" in value else pulumi.FileAsset(value["path"])
        return {key: _assets(item) for key, item in value.items()}
    return [_assets(item) for item in value] if isinstance(value, list) else value


def has_secret(value: Any) -> bool:
    """Whether a secret is anywhere in it."""
    if isinstance(value, dict):
        return is_secret(value) or any(has_secret(item) for item in value.values())
    return isinstance(value, list) and any(has_secret(item) for item in value)


def secret(value: Any) -> dict[str, Any]:
    """Marked as a secret."""
    return SECRET | {"value": value}


def translate(value: Any, spec: Spec, where: str) -> Any:
    """A nested input in boto3's words. An input that `spec` doesn't have is an error that names its path."""
    if isinstance(value, list):
        return [translate(item, spec, f"{where}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a map, and is {value!r}")
    translated: dict[str, Any] = {}
    for key, item in value.items():
        if key not in spec:
            raise InputError(f"the lab does not know the input {where}.{key}")
        target = spec[key]
        if item is None:
            continue
        if isinstance(target, str):
            translated[target] = item
        elif callable(target[1]):
            translated[target[0]] = target[1](item)
        else:
            translated[target[0]] = translate(item, target[1], f"{where}.{key}")
    return translated


def untranslate(value: Any, spec: Spec, back: Mapping[Any, Callable[[Any], Any]] | None = None) -> Any:
    """What `translate` made, in Pulumi's words again. `back` has for a conversion of `spec` the one that undoes it."""
    if isinstance(value, list):
        return [untranslate(item, spec, back) for item in value]
    names: dict[str, Any] = {}
    for key, target in spec.items():
        name, inner = (target, None) if isinstance(target, str) else target
        item = value.get(name)
        if item is None:
            continue
        if inner is None:
            names[key] = item
        elif callable(inner):
            undo = (back or {}).get(inner)
            names[key] = undo(item) if undo else item
        else:
            names[key] = untranslate(item, inner, back)
    return names


def unless_default(value: Any, default: Any, known: Any) -> Any:
    """An input as the API has it; None for a default that nobody gave, as a program that leaves it out would say."""
    return None if value == default and known is None else value


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """As many at a time as AWS takes in one call."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def aws_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A map of tags as most AWS calls want them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def present(**arguments: Any) -> dict[str, Any]:
    """Keyword arguments for boto3, without those that were not given."""
    return {name: value for name, value in arguments.items() if value is not None}


def is_secret(value: Mapping[str, Any]) -> bool:
    """Whether a map is a marked secret."""
    return SECRET.items() <= value.items()
