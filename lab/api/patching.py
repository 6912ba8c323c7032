"""How the lab changes moto: one attribute of one class or module at a time, never a copy of its code."""

import functools
from collections.abc import Callable
from typing import Any


class MotoDriftError(Exception):
    """moto no longer has what the lab changes: its version moved, and the lab must follow."""


def around(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace `owner.name` by `wrapper`, which gets the original as its first argument."""
    original = existing(owner, name)
    setattr(owner, name, functools.wraps(original)(lambda *args, **kwargs: wrapper(original, *args, **kwargs)))


def instead(owner: Any, name: str, replacement: Any) -> None:
    """Replace `owner.name`, which must exist."""
    existing(owner, name)
    setattr(owner, name, replacement)


def add(owner: Any, name: str, method: Any) -> None:
    """Give `owner` something that it must not have yet: else moto has learnt it, and the lab's own has to go."""
    if hasattr(owner, name):
        raise MotoDriftError(f"moto has {owner.__name__}.{name} of its own now")
    setattr(owner, name, method)


def existing(owner: Any, name: str) -> Any:
    """`owner.name`, or a clear error."""
    try:
        return getattr(owner, name)
    except AttributeError:
        raise MotoDriftError(f"moto's {owner.__name__} has no {name} any more") from None
