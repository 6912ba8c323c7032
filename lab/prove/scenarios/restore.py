"""The database as it was: at a time before somebody's wrong DELETE, and in a snapshot."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lab.bench.load import Items, Outcome
from lab.controller.wanted import database_machine
from lab.prove import copies, databases
from lab.prove.holding import asked
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import PLAN, Running, Stand, StandError

MORE_SECONDS: Final = 3.0
"""Writes after the moment, and after the DELETE."""
QUIET_SECONDS: Final = 10.0
"""In which writes that are under way end."""
UNDER_WAY_SECONDS: Final = 0.5
"""Without a change, after which none is under way."""
SNAPSHOT: Final = "prove-restore"
AT_TIME, OF_SNAPSHOT = "prove-restore-time", "prove-restore-snapshot"

_STATE: Final = """\
select json_build_object(
    'at', extract(epoch from clock_timestamp()),
    'rows', count(*),
    'checksum', md5(string_agg(md5(each::text), '' order by id))
) from items as each
"""
_MAKE: Final = """\
insert into items (name, description)
select 'to-be-restored-' || number, md5(number::text) from generate_series(1, 10000) as number
"""
"""Items besides the load's, of which the wrong DELETE takes half."""
_WRONG: Final = "delete from items where name like 'to-be-restored-%' and id % 2 = 0"
_CLEAR: Final = "delete from items where name like 'to-be-restored-%'"


@dataclass(frozen=True)
class Seen:
    """What a table had when it was looked at, in one statement; `at` is the database's clock, in seconds since 1970."""

    at: float
    rows: int
    checksum: str

    @property
    def data(self) -> tuple[int, str]:
        """What counts."""
        return self.rows, self.checksum


class Paused(Items):
    """Reads and writes, or reads alone for a while."""

    writing = True

    def next(self, number: int) -> tuple[str, Any]:
        """As ever, but no write while there is to be none."""
        method, what = super().next(number)
        while method == "POST" and not self.writing:
            method, what = super().next(number)
        return method, what


def moment(before: Seen, after: Seen) -> datetime:
    """A whole second between two looks that saw the same. StandError where there is none."""
    second = int(before.at) + 1
    if before.data != after.data or second >= after.at:
        raise StandError("the table changed while nobody was to write")
    return datetime.fromtimestamp(second, UTC)


def judged(
    outcome: Outcome,
    then: Seen,
    now: Seen,
    restored: Mapping[str, Seen],
    figures: dict[str, float],
    events: Sequence[tuple[float, str]] = (),
) -> Result:
    """`then` is the moment, `now` the live table after the DELETE, `restored` each copy. Pure."""
    misses = [
        (found.data == then.data, f"{what} has {found.rows} rows, not the {then.rows} of the moment, or others")
        for what, found in restored.items()
    ]
    return Result(
        outcome,
        unmet(
            none_failed(outcome),
            (now.data != then.data and now.rows < then.rows, "the wrong DELETE took nothing"),
            *misses,
        ),
        {"rows": then.rows, "rows_after_delete": now.rows, **figures},
        tuple(events),
    )


@scenario(
    "restore",
    "the database restored to a moment before a wrong DELETE, and from a snapshot of it",
    "the row count and checksum of that moment in both copies; 0 failed of the live site meanwhile",
)
async def restore(stand: Stand) -> Result:
    """Both are made beside the live database, which the load goes on with."""
    primary = databases.primary(stand).id
    wrote = Outcome()
    requests = Paused(PLAN.writes_percent, wrote)
    async with _cleared(stand, primary), stand.load(requests=requests) as running:
        running.outcome.acknowledged, running.outcome.refused = wrote.acknowledged, wrote.refused
        await stand.inside(primary, *asked(_MAKE))
        then, at = await _moment(stand, primary, requests, running)
        await asyncio.sleep(MORE_SECONDS)
        running.note("half of the rows deleted, by mistake")
        await stand.inside(primary, *asked(_WRONG))
        await asyncio.sleep(MORE_SECONDS)
        waited = await copies.archived(stand, at)
        now = await _look(stand, primary)
        running.note("restored to the moment")
        by_time = await copies.at_time(stand, AT_TIME, at)
        running.note("restored from the snapshot")
        by_snapshot = await copies.of_snapshot(stand, OF_SNAPSHOT, SNAPSHOT)
        restored = {name: await _look(stand, database_machine(name)) for name in (AT_TIME, OF_SNAPSHOT)}
    figures = {
        "archived_after_seconds": round(waited, 1),
        "restored_to_time_seconds": by_time,
        "restored_from_snapshot_seconds": by_snapshot,
    }
    return judged(running.outcome, then, now, restored, figures, running.events)


async def _moment(stand: Stand, primary: str, requests: Paused, running: Running) -> tuple[Seen, datetime]:
    """A moment in which nobody writes: what there is, and a time of it. A snapshot is taken in it too."""
    running.note("writes pause: the moment")
    requests.writing = False
    try:
        before = await _look(stand, primary)
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(UNDER_WAY_SECONDS)
            if (again := await _look(stand, primary)).data == before.data:
                break
            before = again
        (await stand.expressway("db", "snapshot", SNAPSHOT, "--json")).sure("db snapshot")
        after = await _look(stand, primary)
    finally:
        requests.writing = True
    running.note("writes again")
    return before, moment(before, after)


@asynccontextmanager
async def _cleared(stand: Stand, primary: str) -> AsyncGenerator[None]:
    """Whatever comes of it, nothing of it stays."""
    async with copies.taken_away(stand, AT_TIME, OF_SNAPSHOT):
        try:
            yield
        finally:
            rds = stand.aws("rds")
            if any(each["DBSnapshotIdentifier"] == SNAPSHOT for each in rds.describe_db_snapshots()["DBSnapshots"]):
                rds.delete_db_snapshot(DBSnapshotIdentifier=SNAPSHOT)
            await stand.inside(primary, *asked(_CLEAR))


async def _look(stand: Stand, machine: str) -> Seen:
    return Seen(**json.loads(await stand.inside(machine, *asked(_STATE))))
