"""The database's password changes."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Final

from lab.bench import rotated, rotation
from lab.bench.load import Outcome
from lab.prove import databases
from lab.prove.scenario import Result, none_failed, scenario, unmet
from lab.prove.stand import Running, Stand

CHANGES: Final = 2
"""The second while machines are just noticing the first."""


def judged(
    outcome: Outcome,
    stored: Sequence[str],
    servers: int,
    noticed: Mapping[str, float],
    events: Sequence[tuple[float, str]] = (),
) -> Result:
    """`stored` are the names of the database's items, `noticed` the seconds until each server had the last. Pure."""
    lost = len(outcome.acknowledged.keys() - set(stored))
    return Result(
        outcome,
        unmet(
            none_failed(outcome),
            (bool(outcome.acknowledged) and lost == 0, f"{lost} acknowledged POST are not in the database"),
            (len(noticed) == servers, f"{len(noticed)} of {servers} servers have the last password"),
        ),
        {"changes": CHANGES, "lost": lost, "noticed_seconds": max(noticed.values(), default=0.0)},
        tuple(events),
    )


async def rotate(stand: Stand, running: Running) -> None:
    """Change it through the command line, whoever keeps it, and wait until every worker has it."""
    running.note("password changed")
    done = await stand.expressway("db", "rotate-password", "--json", *databases.named(stand))
    done.sure("db rotate-password")

    def follow(secret: str) -> None:
        login = json.loads(stand.aws("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
        rotation.settled([f":{login['password']}@"], time.monotonic())

    await asyncio.to_thread(follow, done.json()["secret"])
    running.note("every server has it")


@scenario("password", "the database's password changed twice", "0 failed, 0 acknowledged writes lost")
async def password(stand: Stand) -> Result:
    """As RDS rotates it: PostgreSQL first, and the secret a second later. With `appUser`, as rotate-password does."""
    database = rotated.password(rotated.aws())
    servers = len(stand.machines("app"))
    async with stand.load() as running:
        for number in range(CHANGES):
            await asyncio.sleep(rotation.SECOND_AFTER if number else 0)
            running.note("changed")
            await asyncio.to_thread(database.rotate)
        noticed = await asyncio.to_thread(rotation.settled, [database.expected()], time.monotonic())
        running.note("every server has the last one")
    stored = await asyncio.to_thread(rotation.stored_names)
    return judged(running.outcome, stored, servers, noticed, running.events)
