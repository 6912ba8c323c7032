"""Which database a rate takes: a class of RDS or Aurora, shards of it, or capacity that follows its load. Pure.

docs/capacity.md.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from operate import sizes
from operate.load.capacity import Line, Measured
from operate.load.choice import Budget, Choice, scaled, single
from operate.load.verdict import NO_CONNECTIONS

MOST_DATABASES: Final = 16
"""The most that database.shards may be."""
_AURORA: Final = re.compile(r"db\.(t(3|4g)\.(medium|large)|[rx]\d\w*\.(large|\d*xlarge))")
"""https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.DBInstanceClass.html"""


def choose(
    seen: Measured, rate: float, target: float, servers: Choice, pool: int | None, prices: Mapping[str, float]
) -> tuple[Choice | None, Budget | None]:
    """The database, and the connections that `servers` make to it; None where the run had none."""
    current = seen.sizes.database_class
    if current is None:
        return None, None
    each = pool or (math.ceil(seen.pool) if seen.pool else None)
    budget: Budget | None = None
    if each:
        has = sizes.size(servers.type)
        workers = max(2, has.vcpus) if has and seen.workers > 1 else 1
        budget = Budget(servers.count, workers, each, None)
    needed = budget.rolling if budget else 0
    if seen.sizes.capacity:
        chosen = _following(seen.database, seen.sizes.capacity, rate, target, needed)
        most = sizes.capacity_connections(chosen.capacity or seen.sizes.capacity)
    else:
        offered = _of_aurora(prices) if seen.sizes.aurora else prices
        chosen = single("database", seen.database, current, rate, target, offered, needed)
        most = sizes.connections(chosen.type)
    if budget:
        budget = replace(budget, most=most)
    if seen.sizes.database_shards > 1:
        chosen = _sharded(seen, rate, chosen, current)
    copies = (chosen.shards or 1) * (2 if seen.sizes.multi_az else seen.sizes.database_instances)
    # Of Aurora's there is no price here: RDS's only say which class is the next larger one.
    month = None if chosen.month is None or seen.sizes.aurora else chosen.month * copies
    return replace(chosen, count=copies, month=month), budget


def _of_aurora(prices: Mapping[str, float]) -> Mapping[str, float]:
    return {kind: price for kind, price in prices.items() if _AURORA.fullmatch(kind)}


def _following(line: Line | None, capacity: tuple[float, float], rate: float, target: float, needed: int) -> Choice:
    """The least that the most of its units may be, and no less than it is: CloudWatch tells CPU in percent of that.

    The largest where none has CPU enough.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html#aurora-serverless-v2.viewing.monitoring
    """
    least, most = capacity

    def choice(units: float) -> Choice:
        percent = line.percent(rate) * most / units if line else 0.0
        return Choice("database", sizes.SERVERLESS, 1, percent, target, None, capacity=(least, units))

    if line is None:
        return choice(most)
    steps = (units / 2 for units in range(round(2 * most), 2 * sizes.MOST_UNITS + 1))
    enough = [units for units in steps if line.percent(rate) * most / units <= target]
    with_connections = (
        units for units in enough if sizes.capacity_connections((least, units)) * NO_CONNECTIONS / 100 >= needed
    )
    return choice(next(with_connections, enough[0] if enough else sizes.MOST_UNITS))


def _sharded(seen: Measured, rate: float, chosen: Choice, current: str) -> Choice:
    """Into as many as there are; into more where no class is enough for the busiest of these."""
    there = seen.sizes.database_shards
    now, has = sizes.size(current), sizes.size(chosen.type)
    if chosen.percent > chosen.limit and seen.database and now and has:
        line = scaled(seen.database, now, has)
        wanted = there * rate / line.rate(chosen.limit) if line.idle < chosen.limit else math.inf
        if wanted <= MOST_DATABASES:
            shards = math.ceil(wanted)
            return replace(chosen, shards=shards, percent=line.percent(rate * there / shards))
    return replace(chosen, shards=there)
