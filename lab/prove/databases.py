"""The machines of the stack's database: which is which, and ways to take them away or hold them back."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from lab.machines.access import MachineError
from lab.machines.observation import MachineStatus

from . import breaking, holding
from .stand import Running, Stand, StandError, control

ASKED: Final = 4
"""Times that a server is asked on a connection of its own: its two workers take turns, and the load's come between."""
_READY: Final = f"http://127.0.0.1:3000/readyz?verbose&[1-{ASKED}]"


def every(stand: Stand) -> list[Stand]:
    """The stand as if it had one of its shards alone, for each of them."""
    outputs = stand.outputs
    return [replace(stand, outputs={**outputs, "databaseEndpoint": each}) for each in outputs["databaseEndpoints"]]


def named(stand: Stand) -> list[str]:
    """What says to a command which of several shards the database is."""
    there: list[str] = stand.outputs["databaseEndpoints"]
    return ["--shard", str(there.index(stand.outputs["databaseEndpoint"]))] if len(there) > 1 else []


def primary(stand: Stand) -> MachineStatus:
    """The machine that takes writes."""
    return _machine(stand, described(stand))


def replica(stand: Stand) -> MachineStatus:
    """The machine of the read replica. StandError where there is none."""
    found = [each for each in _instances(stand) if each["source"] is not None]
    if not found:
        raise StandError("the database has no replica, and there must be one: database.replicas=1")
    return _machine(stand, found[0])


async def synchronous(stand: Stand) -> bool:
    """Whether the database has a standby that has all."""
    found = described(stand)
    return found["status"] == "available" and bool(found["standby"]) and found["standby"]["synchronous"]


@asynccontextmanager
async def standby(stand: Stand) -> AsyncGenerator[None]:
    """The database has a standby while the body runs."""

    async def alone() -> bool:
        return described(stand)["standby"] is None

    def ask(multi_az: bool) -> None:
        _modify(stand, MultiAZ=multi_az)

    if not await alone():
        yield
        return
    ask(True)
    try:
        await stand.until(lambda: synchronous(stand), "a standby that has all")
        yield
    finally:
        ask(False)
        await stand.until(alone, "a database without a standby")


async def lose_primary(stand: Stand, running: Running) -> float:
    """Power it off, and wait until the database's name leads to the standby; how long that took, in seconds."""
    lost = primary(stand)
    running.note("primary powered off")
    breaking.power_off(lost)

    async def promoted() -> bool:
        return described(stand)["address"] != lost.address

    moved = await stand.until(promoted, "the standby in its place", pause=0.1)
    running.note("the name leads to the standby")
    return moved


async def change(stand: Stand, what: str, **asked: Any) -> None:
    """Have RDS change it at once, and wait until it is through. `what` says so when it isn't."""

    async def through() -> bool:
        return instance(stand)["DBInstanceStatus"] == "available"

    _modify(stand, **asked)
    await stand.until(through, f"a database with another {what}")


def next_major(stand: Stand) -> dict[str, Any]:
    """What asks for its next major version, with a parameter group that says what the present one says."""
    rds, found = stand.aws("rds"), instance(stand)
    version = str(int(found["EngineVersion"].partition(".")[0]) + 1)
    group, family = f"proof-{version}", f"postgres{version}"
    present = found["DBParameterGroups"][0]["DBParameterGroupName"]
    rds.create_db_parameter_group(DBParameterGroupName=group, DBParameterGroupFamily=family, Description="of the proof")
    told = rds.describe_db_parameters(DBParameterGroupName=present, Source="user")["Parameters"]
    given = [{name: each[name] for name in ("ParameterName", "ParameterValue", "ApplyMethod")} for each in told]
    if given:
        rds.modify_db_parameter_group(DBParameterGroupName=group, Parameters=given)
    return {"EngineVersion": version, "AllowMajorVersionUpgrade": True, "DBParameterGroupName": group}


async def cut_off(stand: Stand, running: Running, seconds: float) -> None:
    """No packet passes between app servers and the primary for so many seconds."""
    servers = [each.address for each in stand.machines("app")]
    running.note("way cut")
    with breaking.cut(servers, [primary(stand).address]):
        await asyncio.sleep(seconds)
    running.note("way healed")


@asynccontextmanager
async def replay_paused(stand: Stand, machine: MachineStatus) -> AsyncGenerator[None]:
    """The replica falls behind while the body runs: it receives all that its source writes, and applies nothing."""
    await stand.inside(machine.id, *holding.asked("select pg_wal_replay_pause()"))
    try:
        yield
    finally:
        await stand.inside(machine.id, *holding.asked("select pg_wal_replay_resume()"))


async def behind(stand: Stand, machine: MachineStatus) -> float:
    """For how many seconds a replica has applied nothing."""
    asked = "select extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())"
    return float(await stand.inside(machine.id, *holding.asked(asked)))


async def names(stand: Stand, machine: str) -> list[str]:
    """The name of each item that a machine has."""
    return (await stand.inside(machine, *holding.asked("select name from items"))).splitlines()


async def scans(stand: Stand, machine: MachineStatus) -> int:
    """How often items were looked for on this machine until now, but for the last second or so."""
    asked = "select coalesce(sum(idx_scan + seq_scan), 0) from pg_stat_user_tables where relname = 'items'"
    return int(await stand.inside(machine.id, *holding.asked(asked)))


async def in_rotation(stand: Stand) -> list[bool]:
    """Whether replicas are in rotation, as each answer of each app server's workers has it."""
    asked = ["curl", "--silent", "--header", "Connection: close", "--write-out", "\\n"]
    told = await asyncio.gather(*(stand.inside(one.id, *asked, _READY) for one in stand.machines("app")))
    parts = [json.loads(line)["parts"] for each in told for line in each.splitlines()]
    return [replica["inRotation"] for each in parts for replica in each["database"]["replicas"]]


async def all_in_rotation(stand: Stand) -> bool:
    """Whether every worker reads from the replicas."""
    try:
        found = await in_rotation(stand)
    except (StandError, MachineError, ValueError):  # a server that is ending, or isn't there yet
        return False
    return bool(found) and all(found)


def _instances(stand: Stand) -> list[dict[str, Any]]:
    """As the lab's API knows them."""
    return control(stand.lab, "GET", "db-instances")


def identifier(stand: Stand) -> str:
    """Of the stack's database; of its first shard, where it has many."""
    return str(stand.outputs["databaseEndpoint"]).partition(".")[0]


def described(stand: Stand) -> dict[str, Any]:
    """The stack's database, as the lab's API knows it."""
    name = identifier(stand)
    return next(each for each in _instances(stand) if each["id"] == name)


def instance(stand: Stand) -> dict[str, Any]:
    """The stack's database, as RDS describes it."""
    return stand.aws("rds").describe_db_instances(DBInstanceIdentifier=identifier(stand))["DBInstances"][0]


def _modify(stand: Stand, **asked: Any) -> None:
    stand.aws("rds").modify_db_instance(DBInstanceIdentifier=identifier(stand), ApplyImmediately=True, **asked)


def _machine(stand: Stand, instance: dict[str, Any]) -> MachineStatus:
    found = next((each for each in stand.machines("database") if each.address == instance["address"]), None)
    if found is None:
        raise StandError(f"no machine of {instance['id']} runs")
    return found
