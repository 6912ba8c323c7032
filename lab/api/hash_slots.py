"""Hash slots of a cache in cluster mode: as text, shared out evenly, and moved as little as can be. Pure.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

COUNT: Final = 16384
"""Of every cluster."""


def parse(text: str) -> set[int]:
    """The slots of `0-5460,6000`, as the API and Redis have them; none of an empty text. ValueError for another one."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def show(slots: Collection[int]) -> str:
    """The text of slots, in ascending ranges."""
    ranges: list[list[int]] = []
    for slot in sorted(slots):
        if ranges and ranges[-1][1] == slot - 1:
            ranges[-1][1] = slot
        else:
            ranges.append([slot, slot])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def share(shards: Sequence[str]) -> dict[str, set[int]]:
    """All slots over new shards, as even as can be, each in one range."""
    edges = [round(index * COUNT / len(shards)) for index in range(len(shards) + 1)]
    return {shard: set(range(edges[index], edges[index + 1])) for index, shard in enumerate(shards)}


def spread(present: Mapping[str, Collection[int]], shards: Sequence[str]) -> dict[str, set[int]]:
    """All slots over `shards`, evenly; what a shard of them has already it keeps, as far as it is not too much."""
    fair = {shard: COUNT // len(shards) + (index < COUNT % len(shards)) for index, shard in enumerate(shards)}
    after = {shard: set(sorted(present.get(shard, ()))[: fair[shard]]) for shard in shards}
    kept = set[int]().union(*after.values())
    moving = [slot for slot in range(COUNT) if slot not in kept]
    for shard in shards:
        missing = fair[shard] - len(after[shard])
        after[shard].update(moving[:missing])
        moving = moving[missing:]
    return after
