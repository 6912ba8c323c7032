"""The nodes of the stack's cache in cluster mode: those of its first shard, and how the slots are shared out."""

from typing import Any, Final

from lab.api import hash_slots
from lab.controller.wanted import cache_machine
from lab.machines.observation import MachineStatus
from lab.machines.services import redis

from .cache_nodes import Nodes
from .stand import Stand, StandError, control

FIRST: Final = "0001"


class ShardNodes(Nodes):
    """The one replication group, of which the first shard is what something is done to."""

    def __init__(self, stand: Stand) -> None:
        super().__init__(stand)
        self._lab = stand

    def roles(self) -> tuple[MachineStatus, list[MachineStatus]]:
        """The machines of the first shard's primary and of its replicas: ElastiCache tells no roles of a cluster."""
        running = {one.id: one for one in self._lab.machines("cache")}
        own = [node for node in self._nodes() if node["shard"] == FIRST]
        if len(own) < 2 or not {cache_machine(node["id"]) for node in own} <= running.keys():
            raise StandError(f"the first shard must have two nodes that run, and has {len(own)}: cache.replicas=1")
        primaries, replicas = (
            [running[cache_machine(node["id"])] for node in own if node["role"] == role]
            for role in ("primary", "replica")
        )
        return primaries[0], replicas

    def reshard(self, count: int) -> None:
        """Have ElastiCache spread the slots over so many shards."""
        self._elasticache.modify_replication_group_shard_configuration(
            ReplicationGroupId=self._group()["ReplicationGroupId"], NodeGroupCount=count, ApplyImmediately=True
        )

    def slots(self) -> dict[str, set[int]]:
        """Of each shard, by its id."""
        return {shard["NodeGroupId"]: hash_slots.parse(shard["Slots"]) for shard in self._group()["NodeGroups"]}

    async def keys(self) -> dict[str, int]:
        """How many each shard has, asked of its primary."""
        found: dict[str, int] = {}
        for node in self._nodes():
            if node["role"] == "primary":
                told = await self._lab.inside(cache_machine(node["id"]), *redis.question(), given="DBSIZE\n")
                found[node["shard"]] = int(told)
        return found

    def _nodes(self) -> list[dict[str, Any]]:
        (group,) = control(self._lab.lab, "GET", "replication-groups")
        return group["nodes"]
