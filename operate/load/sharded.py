"""What is said of a tier that shards its data, a cache in cluster mode or a database with shards: by shard. Pure.

A shard's load is that of its busiest node; sums over nodes say of none whether it is full.
"""

import re
from collections.abc import Iterator

from operate.load.comparison import Comparison, figure
from operate.load.model import Tier

UNEVEN = 0.5
"""Of the busiest shard's load; where another has less, few keys have much of it."""
_NODE = re.compile(r".*-(\d{4})-\d{3}")
"""A node of a cluster, as ElastiCache names it: the group, the shard, the node."""


def shards(seen: Comparison, tier: Tier) -> int | None:
    """How many the tier has; None where it has none, or nobody may ask."""
    if seen.sizes is None:
        return None
    if tier == "cache":
        return seen.sizes.cache_shards
    several = tier == "database" and seen.sizes.database_shards > 1
    return seen.sizes.database_shards if several else None


def loads(seen: Comparison, tier: Tier, resource: str) -> dict[str, float]:
    """Of each shard that tells it, what its busiest node has; where it wasn't measured beyond the knee, at it.

    None of clusters of Aurora, whose instances don't say which one they are of.
    """
    found: dict[str, float] = {}
    if tier == "database" and seen.sizes and seen.sizes.aurora:
        return found
    for step in (seen.over, seen.knee):
        for each in step.readings if step and not found else ():
            if (each.tier, each.resource) == (tier, resource) and each.who:
                node = _NODE.fullmatch(each.who)
                shard = node[1] if node else each.who
                found[shard] = max(each.value, found.get(shard, 0.0))
    return found


def told(seen: Comparison, tier: Tier, resource: str) -> Iterator[str]:
    """How far apart its shards are, where there are several."""
    found = loads(seen, tier, resource)
    if shards(seen, tier) and len(found) > 1:
        first, last = max(found, key=lambda each: found[each]), min(found, key=lambda each: found[each])
        most, least = (f"{each}, has {figure(found[each])} %" for each in (first, last))
        yield f"Of {len(found)} shards, the busiest, {most}, and the least busy, {least}."


def is_uneven(seen: Comparison, tier: Tier, resource: str) -> bool:
    """Whether one shard has much more to do than another, which one shard more doesn't mend."""
    found = loads(seen, tier, resource).values()
    return len(found) > 1 and min(found) < UNEVEN * max(found)


def steps(seen: Comparison, tier: Tier, resource: str) -> Iterator[str]:
    """What divides its load; nothing of a tier without shards."""
    if not (there := shards(seen, tier)):
        return
    if is_uneven(seen, tier, resource):
        what = "keys" if tier == "cache" else "keys and their rows"
        yield f"See which {what} one shard has so much to do with: what one key takes, no shard more divides."
    if tier == "cache":
        yield f"More shards (cache.shards, {there} now): each has its part of keys, writes, commands and memory."
    else:
        yield f"One shard more (database.shards, {there} now; expressway db add-shard): each has its part of the keys."
