"""The servers, the edge, the database and the cache that a rate takes, and what they cost. Pure; docs/capacity.md."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from operate import sizes
from operate.doctor import Cache, Database, Machines, Wanted, cost
from operate.load import database_choice
from operate.load.capacity import FAR, FEWEST, TARGET, CapacityError, Line, Measured, measured, within
from operate.load.choice import Budget, Choice, scaled, single
from operate.load.comparison import figure
from operate.load.model import Run, Sizes
from operate.sizes import Size

MOST: Final = 200
"""App servers; RDS has not the connections for more, and no edge the CPU."""
MOST_NODES: Final = 6
"""Of a cache that is no cluster: a primary and five replicas."""
MOST_CLUSTER_NODES: Final = 90
"""https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Shards.html"""
OFFERED: Final = 4
"""Types of app servers that are told, the cheapest first."""


@dataclass(frozen=True)
class Proposal:
    """What a rate takes."""

    rate: float
    p95: float
    """Milliseconds."""
    server: float
    """Requests a second that one app server of the measured type is planned to do."""
    why: str
    """What bounds that."""
    servers: tuple[Choice, ...]
    """App servers: the type to take, then others, the cheapest first."""
    edge: Choice
    database: Choice | None
    cache: Choice | None
    connections: Budget | None
    notes: tuple[str, ...]

    @property
    def machines(self) -> tuple[Choice, ...]:
        """What to take."""
        return tuple(each for each in (self.edge, self.servers[0], self.database, self.cache) if each)

    def wanted(self, of: Sizes, settings: Wanted | None = None) -> Wanted:
        """What the stack would want of AWS, for a bill; without its `settings`, as one of the simplest would."""
        base = settings or _simplest(of)
        app = self.servers[0]
        database, cache = base.database, base.cache
        if self.database:
            copies = replace(database, instance_class=self.database.type, storage_gb=of.storage_gb)
            database = replace(
                copies,
                multi_az=of.multi_az,
                shards=self.database.shards or database.shards,
                capacity=self.database.capacity,
            )
        if self.cache:
            cache = replace(cache, node_type=self.cache.type, nodes=self.cache.count)
        return replace(
            base,
            app=replace(base.app, instance_type=app.type, fewest=app.count, most=app.count),
            edge=replace(base.edge, instance_type=self.edge.type),
            database=database,
            cache=cache,
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        told = asdict(self)
        if budget := self.connections:
            told["connections"] |= {"usual": budget.usual, "rolling": budget.rolling, "fits": budget.fits}
        return told


def propose(run: Run, rate: float, p95: float, pool: int | None = None) -> Proposal:
    """What `rate` requests a second take within `p95` milliseconds. CapacityError where the run can't tell."""
    quick = within(run, p95)
    seen = measured(run)
    verdict = run.bottleneck
    ends = seen.stops if seen.limits == "none" and verdict.tier not in ("none", "generator") else None
    if ends and rate > seen.highest:
        raise CapacityError(
            f"the stack stopped at {figure(seen.highest)} requests/s for {verdict.tier}, {verdict.resource}, which no "
            f"number or size of machines mends: see to that first, or ask for {figure(seen.highest)}rps at most"
        )
    target = seen.sizes.target_cpu or TARGET
    prices = cost.table()[seen.sizes.region if seen.sizes.region in cost.table() else cost.REFERENCE]
    now = sizes.size(seen.sizes.app_type)
    if now is None:
        raise CapacityError(f"how many CPUs a {seen.sizes.app_type} has is not known here")
    limit = min(target, now.baseline)
    holds = "where target tracking holds it" if limit == target else f"which a {seen.sizes.app_type} has for ever"
    bounds = [
        (seen.app.rate(limit), f"{figure(limit)} % of its CPU, {holds}"),
        (quick / seen.servers, f"a p95 of {figure(p95)} ms"),
        *([(seen.stops / seen.servers, "it no longer keeps up")] if seen.stops else []),
    ]
    each, why = min(bounds)
    if each <= 0:
        raise CapacityError(f"the app servers use {figure(limit)} % of their CPU without any request")
    ceiling = min(bound for bound, _ in bounds[1:])
    offered = sorted(_servers(seen, rate, target, ceiling, now, _hourly(prices, "instance", "")), key=_cheapest)
    if not offered:
        raise CapacityError(f"{figure(rate)} requests/s take more than {MOST} app servers of any type that is known")
    edge = single("edge", seen.edge, seen.sizes.edge_type, rate, target, _hourly(prices, "instance", ""))
    database, budget = database_choice.choose(seen, rate, target, offered[0], pool, _hourly(prices, "database", "db."))
    cache = _cache(seen, rate, target, _hourly(prices, "cache", "cache."))
    chosen = Proposal(rate, p95, each, why, tuple(offered[:OFFERED]), edge, database, cache, budget, ())
    return replace(chosen, notes=tuple(_notes(run, seen, chosen, pool)))


def _simplest(of: Sizes) -> Wanted:
    """Two zones, a NAT gateway, metrics, no alarms."""

    def machines(kind: str, most: int) -> Machines:
        return Machines("", "", kind, "", "", (), ("", ""), 1, most)

    return Wanted(
        stack="",
        project="",
        region=of.region,
        network="",
        app=machines(of.app_type, 1),
        edge=machines(of.edge_type, 2),
        database=Database(
            "",
            of.database_class or "none",
            of.storage_gb,
            of.multi_az,
            replicas=of.database_instances - 1,
            shards=of.database_shards,
            aurora=of.aurora,
        ),
        cache=Cache("", of.cache_type or "none", of.cache_nodes),
        zones=2,
        metrics=True,
    )


def _servers(
    seen: Measured, rate: float, target: float, ceiling: float, now: Size, prices: Mapping[str, float]
) -> Iterator[Choice]:
    """One for each type of the same architecture with as much memory for each vCPU."""
    for kind, hourly in prices.items():
        has = sizes.size(kind)
        if has is None or has.arm != now.arm or has.memory / has.vcpus < now.memory / now.vcpus:
            continue
        more = _used(seen, has) / _used(seen, now)
        line = scaled(seen.app, now, has)
        # What it may use for ever: of a T type, its baseline.
        limit = min(target, has.baseline)
        most = min(line.rate(limit), ceiling * more)
        if most <= 0 or (count := max(FEWEST, math.ceil(rate / most))) > MOST:
            continue
        yield Choice("app", kind, count, line.percent(rate / count), limit, count * hourly * cost.hours())


def _used(seen: Measured, has: Size) -> float:
    """vCPUs that its workers can use: one each."""
    return has.vcpus if seen.workers > 1 else 1


def _cache(seen: Measured, rate: float, target: float, prices: Mapping[str, float]) -> Choice | None:
    """Redis uses one CPU, however many its node has: more of it takes more nodes for the reads, or of a cluster shards.

    Measured is the busiest node. What it has is divided by the shards, each of which is a primary and its replicas; of
    a cache that is no cluster by the nodes.
    """
    current = seen.sizes.cache_type
    if current is None:
        return None
    now, line, hours = sizes.size(current), seen.cache, cost.hours()
    shards, count = seen.sizes.cache_shards, seen.sizes.cache_nodes
    parts = shards or count
    each = count // parts

    def choice(kind: str, wanted: int, percent: float, limit: float, hourly: float | None) -> Choice:
        nodes = wanted * each
        month = None if hourly is None else nodes * hourly * hours
        return Choice("cache", kind, nodes, percent, limit, month, wanted if shards else None)

    if now is None or line is None:
        return choice(current, parts, 0.0, target, prices.get(current))
    most = MOST_CLUSTER_NODES // each if shards else MOST_NODES
    for kind, hourly in sorted(prices.items(), key=lambda priced: priced[1]):
        has = sizes.size(kind)
        # Of a T node, one CPU may for ever have the baseline of all of them.
        limit = min(target, has.baseline * has.vcpus) if has else target
        if has is None or has.memory < now.memory or line.idle >= limit:
            continue
        wanted = max(parts, math.ceil(parts * rate / line.rate(limit)))
        if wanted <= most and (wanted == parts or has.baseline == 100):
            return choice(kind, wanted, line.percent(rate * parts / wanted), limit, hourly)
    return choice(current, parts, line.percent(rate), target, None)


def _hourly(prices: Mapping[str, Any], kind: str, prefix: str) -> Mapping[str, float]:
    return {name: price for name, price in prices[kind]["prices"].items() if name.startswith(prefix)}


def _cheapest(choice: Choice) -> tuple[float, int]:
    return choice.month or 0.0, choice.count


def _notes(run: Run, seen: Measured, chosen: Proposal, pool: int | None) -> Iterator[str]:
    if chosen.rate > seen.highest:
        far = " That is far beyond what was measured." if chosen.rate > FAR * seen.highest else ""
        yield (
            f"Measured up to {figure(seen.highest)} requests/s on {_servers_told(seen)}; the plan is for "
            f"{figure(chosen.rate / seen.highest)} times as much.{far}"
        )
    if run.bottleneck.tier == "generator":
        yield "The load generator was the limit: where the stack stops keeping up was not seen."
    elif seen.limits == "none" and run.bottleneck.tier != "none":
        what = f"{run.bottleneck.tier}, {run.bottleneck.resource}"
        yield f"Beyond {figure(seen.highest)} requests/s, {what} is the limit, which no machine mends."
    if seen.shared:
        yield "The machines share CPUs: what a tier's own processes had is counted as CPU of a machine of its own."
    lines: tuple[tuple[Line | None, Choice | None], ...] = (
        (seen.edge, chosen.edge),
        (seen.database, chosen.database),
        (seen.cache, chosen.cache),
    )
    for line, choice in lines:
        if choice is None:
            continue
        if line is None:
            yield f"Nothing was read of the {choice.tier}'s CPU: it stays a {choice.size}."
        elif not line.loaded:
            yield (
                f"The {choice.tier} was not loaded ({figure(line.highest)} % of its CPU at most): that all of it came "
                "from requests is the most it can be."
            )
        if choice.percent > choice.limit:
            yield (
                f"No known {choice.tier} does {figure(chosen.rate)} requests/s: a {choice.size} would have "
                f"{figure(choice.percent)} % of its CPU, of {figure(choice.limit)} %."
            )
        yield from _divided(seen.sizes, choice)
    if seen.limits == "app" and run.bottleneck.resource == "worker cpu":
        yield "CPUs of the app servers are idle that no worker uses: run a worker for each, and measure again."
    budget = chosen.connections
    if budget and not pool:
        yield f"Each worker had {budget.pool} connections open; its pool's `max` may be more: --pool N says it."
    if budget and not budget.fits:
        yield (
            f"{budget.rolling} connections while rolling are too many for max_connections {budget.most}: with pools of "
            f"{budget.largest_pool} they fit, or put a pooler before the database."
        )


def _divided(of: Sizes, choice: Choice) -> Iterator[str]:
    """How its machines are divided, and what more of them help with."""
    each = choice.count // (choice.shards or 1)
    if choice.tier == "database" and choice.shards:
        yield f"{choice.shards} databases have a part of the data each; the CPU is the busiest one's."
        if choice.shards > of.database_shards:
            yield f"Raise database.shards to {choice.shards}, one at a time: expressway db add-shard moves its keys."
    if choice.tier == "database" and of.database_instances > 1:
        yield (
            f"A database has {of.database_instances} instances, and the CPU is the busiest one's: more readers help as "
            "far as the app reads from them, and writes go to one."
        )
    if choice.capacity and of.capacity and choice.capacity[1] > of.capacity[1]:
        yield (
            f"Raise database.serverless.max to {choice.capacity[1]:g}: that is by CPU, and what it keeps in memory may "
            "take more. max_connections follows it from a reboot on."
        )
    if choice.tier == "cache" and choice.shards:
        nodes = "node" if each == 1 else "nodes"
        yield f"The cache has {choice.shards} shards of {each} {nodes}; the CPU is the busiest node's."
        if choice.shards > (of.cache_shards or 0):
            yield (
                f"Raise cache.shards to {choice.shards}: each has its part of keys, writes and memory. Where few keys "
                "have most of the load, cache.replicas helps instead, as far as the app reads from them."
            )
    elif choice.tier == "cache" and choice.count > of.cache_nodes:
        yield (
            f"{choice.count} cache nodes help as far as the app reads from replicas; writes go to one: a cluster "
            "(cache.shards) divides these too."
        )


def _servers_told(seen: Measured) -> str:
    return "one app server" if seen.servers == 1 else f"{figure(seen.servers)} app servers"
