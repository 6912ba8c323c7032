"""Copies of the stack's database, restored by the command line beside the live one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from lab.controller.wanted import database_machine

from . import databases
from .stand import Stand

ARCHIVED_SECONDS: Final = 60.0


async def archived(stand: Stand, at: datetime) -> float:
    """Wait until the database can be restored to this moment; how long that took, in seconds."""

    async def look() -> bool:
        latest = databases.instance(stand).get("LatestRestorableTime")
        return latest is not None and latest >= at

    return await stand.until(look, "backups up to the moment", ARCHIVED_SECONDS)


async def at_time(stand: Stand, name: str, at: datetime) -> float:
    """Have a copy of the moment made; how many seconds the command says that this took."""
    return await _restored(stand, name, "--time", f"{at:%Y-%m-%dT%H:%M:%SZ}")


async def of_snapshot(stand: Stand, name: str, snapshot: str) -> float:
    """Have a copy made of a snapshot; how many seconds the command says that this took."""
    return await _restored(stand, name, "--snapshot", snapshot)


@asynccontextmanager
async def taken_away(stand: Stand, *names: str) -> AsyncGenerator[None]:
    """Whatever comes of the body, none of these copies stays."""
    ours = {database_machine(name) for name in names}

    async def gone() -> bool:
        return not ours & {each.id for each in stand.machines("database")}

    try:
        yield
    finally:
        rds = stand.aws("rds")
        there = {each["DBInstanceIdentifier"] for each in rds.describe_db_instances()["DBInstances"]}
        for name in there.intersection(names):
            rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        await stand.until(gone, "the end of the copies")


async def _restored(stand: Stand, name: str, *whence: str) -> float:
    done = await stand.expressway("db", "restore", "--as", name, *whence, "--json")
    return float(done.sure(f"db restore {' '.join(whence)}").json()["seconds"])
