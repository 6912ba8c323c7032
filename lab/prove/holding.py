"""A database that answers nobody for a moment, so that what waits for it piles up."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from lab.machines.services import postgresql

from .stand import Stand

PORT = 5432
_HELD = "select 1 from pg_locks where relation = 'items'::regclass and mode = 'AccessExclusiveLock' and granted"


def asked(statement: str) -> list[str]:
    """The command that asks the app's database something, with all rights, on its machine."""
    return [*postgresql.questions(PORT), "--dbname=app", f"--command={statement}"]


@contextlib.asynccontextmanager
async def held(stand: Stand, seconds: float) -> AsyncGenerator[None]:
    """Nobody reads or writes an item for so many seconds; the body begins with them, and ends with them or later."""
    database = stand.machines("database")[0].id
    lock = f"begin; lock table items in access exclusive mode; select pg_sleep({seconds:g}); commit"
    locking = asyncio.create_task(stand.inside(database, *asked(lock)))

    async def look() -> bool:
        return locking.done() or bool((await stand.inside(database, *asked(_HELD))).strip())

    try:
        await stand.until(look, "a lock on all items", 10, pause=0.05)
        yield
    finally:
        await locking
