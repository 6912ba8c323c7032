"""The nodes of the stack's cache: which there are, what they refuse, and ways to take them away."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from lab.controller.wanted import cache_machine
from lab.machines.access import MachineError
from lab.machines.observation import MachineStatus, State
from lab.machines.services import redis

from .stand import Stand, StandError

PORT: Final = 6379
LOOK_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 5.0
"""Without a refusal, and one time of refusals has ended."""


class Nodes:
    """The one replication group."""

    def __init__(self, stand: Stand) -> None:
        """A client of the API is made once: under load that would take a second from the requests."""
        self._stand = stand
        self._elasticache = stand.aws("elasticache")

    def roles(self) -> tuple[MachineStatus, list[MachineStatus]]:
        """The primary's machine and its replicas'. StandError where there is no replica, or one doesn't run."""
        running = {one.id: one for one in self._stand.machines("cache")}
        members = self._group()["NodeGroups"][0]["NodeGroupMembers"]
        ids = {each["CurrentRole"]: cache_machine(each["CacheClusterId"]) for each in members}
        primary, replicas = ids["primary"], {cache_machine(each["CacheClusterId"]) for each in members}
        if len(members) < 2 or not replicas <= running.keys():
            raise StandError(
                f"of the cache's {len(members)} nodes {len(running)} run, and there must be two: cache.replicas=1"
            )
        return running[primary], [running[each] for each in sorted(replicas - {primary})]

    def fail_over(self) -> None:
        """Have ElastiCache make a replica the primary."""
        group = self._group()
        shard = group["NodeGroups"][0]["NodeGroupId"]
        self._elasticache.test_failover(ReplicationGroupId=group["ReplicationGroupId"], NodeGroupId=shard)

    async def whole(self) -> bool:
        """Whether the group is available with all of its nodes."""
        group = await asyncio.to_thread(self._group)
        wanted = {cache_machine(each) for each in group["MemberClusters"]}
        ready = {one.id for one in self._stand.machines("cache") if one.state is State.READY}
        return group["Status"] == "available" and ready == wanted

    @contextlib.asynccontextmanager
    async def stopped(self) -> AsyncGenerator[None]:
        """Redis stopped on every node while the body runs. It comes back empty, with the roles as they were."""
        primary, replicas = self.roles()
        inside, every = self._stand.inside, (primary, *replicas)
        await asyncio.gather(*(inside(one.id, "systemctl", "stop", redis.UNIT) for one in every))
        try:
            yield
        finally:
            # Each begins with the role that it had at its boot, and a failover may have changed that since.
            for one in every:
                role = redis.become(None if one is primary else primary.address, PORT)
                await inside(one.id, "systemctl", "start", redis.UNIT)
                told = await inside(one.id, *redis.question(), given=role)
                if not told.startswith("OK"):  # also where it has that role already
                    raise StandError(f"{one.id}: {role.strip()}: {told.strip()}")

    async def watch(self, clock: Callable[[], float], seen: list[tuple[float, int]]) -> None:
        """Until canceled, write down again and again how many commands were refused as READONLY meanwhile."""
        counted: dict[str, int] = {}
        while True:
            new = 0
            for one in self._stand.machines("cache"):
                # A node that is just ending, or isn't there yet, refuses nothing.
                with contextlib.suppress(StandError, MachineError):
                    count = await self._refusals(one.id)
                    before = counted.get(one.id, count)
                    new += count - before if count >= before else count  # made anew, it counts anew
                    counted[one.id] = count
            seen.append((clock(), new))
            await asyncio.sleep(LOOK_SECONDS)

    async def _refusals(self, machine: str) -> int:
        told = await self._stand.inside(machine, *redis.question(), given="INFO errorstats\n")
        return int(redis.read(told).get("errorstat_READONLY", "count=0").partition("=")[2])

    def _group(self) -> dict[str, Any]:
        return self._elasticache.describe_replication_groups()["ReplicationGroups"][0]


def longest(seen: Sequence[tuple[float, int]]) -> float:
    """For how long refusals went on at the most, in seconds: from the look before the first to that after the last."""
    most, begun, last = 0.0, 0.0, -2 * QUIET_SECONDS
    for (before, _), (at, new) in pairwise(seen):
        if not new:
            continue
        if before - last > QUIET_SECONDS:
            begun = before
        last = at
        most = max(most, last - begun)
    return most
