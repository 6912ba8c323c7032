"""Which of the stack's databases a command works on, where the stack has several (`database.shards`)."""

from dataclasses import replace
from typing import Any

from operate.database.instance import RequestError
from operate.stack import Stack


def choose(stack: Stack, number: int | None) -> Stack:
    """The stack as if it had that shard alone, counted from 0.

    RequestError for one that there isn't, and without a number where there are several: what is done to one of them
    must not pass for done to all.
    """
    there = _endpoints(stack)
    if number is None and len(there) == 1:
        return stack
    known = "the stack has one database, shard 0" if len(there) == 1 else f"the stack has shards 0 to {len(there) - 1}"
    if number is None:
        raise RequestError(f"{known}, each a database of its own: which one? Give its number with --shard")
    if not 0 <= number < len(there):
        raise RequestError(f"there is no shard {number}: {known}")
    told: dict[str, Any] = {**stack.outputs, "databaseEndpoint": there[number]}
    if number:
        told["databasePasswordSecret"] = _nth(stack, "databasePasswordSecrets", number) or ""
    if app := _nth(stack, "databaseAppSecrets", number):
        told["databaseAppSecrets"] = [app]
    return replace(stack, outputs=told)


def every(stack: Stack) -> list[Stack]:
    """The stack as if it had one of its shards alone, for each of them."""
    return [choose(stack, number) for number in range(len(_endpoints(stack)))]


def _endpoints(stack: Stack) -> list[str]:
    return stack.outputs.get("databaseEndpoints") or [stack.outputs.get("databaseEndpoint") or ""]


def _nth(stack: Stack, output: str, number: int) -> str | None:
    told = stack.outputs.get(output) or []
    return str(told[number]) if number < len(told) else None
