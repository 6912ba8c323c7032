"""A cache in cluster mode: a shard's primary is gone, and slots move to a shard that is new."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from lab.api import hash_slots
from lab.bench.load import Outcome
from lab.prove.edits import Edits
from lab.prove.scenario import Own, Result, none_failed, scenario, unmet
from lab.prove.scenarios import cache
from lab.prove.shard_nodes import ShardNodes
from lab.prove.stand import PLAN, Stand

SHARDS: Final = 2
OWN: Final = Own((f"expressway:cache.shards={SHARDS}",))
RESHARD_SECONDS: Final = 600.0
LEAST, MOST = 0.30, 0.37
"""Of the slots, that a third shard has."""


def judged(
    outcome: Outcome,
    slots: Mapping[str, set[int]],
    keys: Mapping[str, int],
    seconds: float,
    events: Sequence[tuple[float, str]] = (),
) -> Result:
    """What of a resharding was not as it must be: its shards' slots and keys at the end, and how long it took. Pure."""
    shares = {shard: len(own) / hash_slots.COUNT for shard, own in slots.items()}
    owned = sum(len(own) for own in slots.values())
    even = all(LEAST <= share <= MOST for share in shares.values())
    told = ", ".join(f"{shard} {share:.1%}" for shard, share in shares.items())
    return Result(
        outcome,
        unmet(
            none_failed(outcome),
            (len(slots) == SHARDS + 1, f"there are {len(slots)} shards"),
            (owned == hash_slots.COUNT, f"{owned} of {hash_slots.COUNT} slots have a shard"),
            (even, f"the slots are not shared out evenly: {told}"),
            (len(keys) == len(slots) and all(keys.values()), f"a shard has no key: {dict(keys)}"),
        ),
        {
            "slots_moved": len(slots.get(f"{SHARDS + 1:04}", ())),
            "keys_on_new_shard": keys.get(f"{SHARDS + 1:04}", 0),
            "keys_all": sum(keys.values()),
            "reshard_seconds": round(seconds, 1),
        },
        tuple(events),
    )


@scenario(
    "cluster-primary",
    f"Redis in cluster mode, {SHARDS} shards: a shard's primary is powered off",
    cache.TARGET,
    own=OWN,
)
async def primary_off(stand: Stand) -> Result:
    """Its replica takes over, and the dead node is made anew; the other shard has nothing to do with it."""
    # Half of the keys are elsewhere, so the database may well not notice.
    return await cache.disturbed(stand, ShardNodes(stand), cache.lose_primary, noticed=False)


@scenario(
    "cluster-reshard",
    f"Redis in cluster mode: {SHARDS} shards become {SHARDS + 1} at {PLAN.rate}/s",
    "0 failed, none older than a write that was acknowledged; each shard has a third of the slots, and keys",
    own=OWN,
)
async def reshard(stand: Stand) -> Result:
    """ElastiCache's own online resharding. The last scenario of its lab, which has another shard afterwards."""
    nodes = ShardNodes(stand)
    await stand.until(nodes.whole, "a cache with all of its nodes")
    async with stand.load(PLAN, Edits(PLAN.writes_percent), lead=cache.NORMAL_SECONDS) as running:
        began = running.note(f"{SHARDS + 1} shards are asked for")
        await asyncio.to_thread(nodes.reshard, SHARDS + 1)
        await stand.until(nodes.whole, "slots that have moved", RESHARD_SECONDS, pause=1)
        seconds = running.note("the slots have moved") - began
    slots = await asyncio.to_thread(nodes.slots)
    return judged(running.outcome, slots, await nodes.keys(), seconds, running.events)
