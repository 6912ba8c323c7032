"""What the settings cost in a month, item by item, from a file of prices with their dates and sources."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from .wanted import DISK_GB, Database, Machines, Wanted

REFERENCE = "us-east-1"
"""The region whose prices stand in for those of a region that the file does not have."""

METRICS = 45
"""What edges and app servers tell CloudWatch of each group (docs/monitoring.md); with a certificate, one more."""
KIT_METRICS = 7
"""What app servers tell besides, of an app with the kit: with replicas of the database; without, two fewer."""
CALLS_AN_HOUR = 360
"""Of PutMetricData, by each machine."""

REQUEST_BYTES = 600
"""What CloudWatch Logs counts of a request that the edge tells of (docs/logs.md)."""

VALKEY = 0.8
"""What a node of Valkey costs of one of Redis OSS. https://aws.amazon.com/elasticache/pricing/"""

NOT_COUNTED = (
    "requests, traffic (also through NAT gateways and between zones), backups beyond the database's own size, "
    "CPU credits, detailed monitoring, logs, taxes, discounts"
)


@dataclass(frozen=True)
class Item:
    """One line of a bill."""

    name: str
    count: int
    price: float | None
    """Of one of them, a month; None when the file has no price for it."""
    most: int
    """How many there are when the app has scaled out as far as the settings allow."""

    @property
    def month(self) -> float:
        """All of them, at the app's smallest size."""
        return self.count * (self.price or 0.0)

    @property
    def most_month(self) -> float:
        """All of them, at its largest."""
        return self.most * (self.price or 0.0)


@dataclass(frozen=True)
class Logs:
    """What telling of logs costs. How much there is to tell no setting says, so that no sum has it."""

    told: float
    """A GB that is told."""
    kept: float
    """A GB, compressed, that is kept for a month."""
    million: float | None
    """To tell of a million requests; None where those that go well are not told."""


@dataclass(frozen=True)
class Estimate:
    """A month."""

    region: str
    """Whose prices they are."""
    oldest: date
    """When the oldest of the prices was read."""
    items: tuple[Item, ...]
    logs: Logs | None = None
    """None when nothing is told of them, or nobody knows the price."""

    @property
    def month(self) -> float:
        """At the app's smallest size."""
        return sum(item.month for item in self.items)

    @property
    def most_month(self) -> float:
        """At its largest."""
        return sum(item.most_month for item in self.items)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the sums leave out, for want of a price."""
        return tuple(item.name for item in self.items if item.price is None)


def estimate(wanted: Wanted) -> Estimate:
    """A month of the stack."""
    region = wanted.region if wanted.region in table() else REFERENCE
    prices = table()[region]
    dates = [kind["read"] for kind in prices.values()]
    return Estimate(region, min(dates), tuple(_items(wanted, prices)), _logs(wanted, prices))


@cache
def table() -> Mapping[str, Any]:
    """The regions of prices.toml."""
    read = tomllib.loads(Path(__file__).with_name("prices.toml").read_text(encoding="utf-8"))
    return {key: value for key, value in read.items() if key != "hours"}


@cache
def hours() -> int:
    """In a month."""
    return int(tomllib.loads(Path(__file__).with_name("prices.toml").read_text(encoding="utf-8"))["hours"])


def _items(wanted: Wanted, prices: Mapping[str, Any]) -> Iterator[Item]:
    def price(kind: str, name: str) -> float | None:
        return prices[kind]["prices"].get(name)

    def hourly(kind: str, name: str) -> float | None:
        found = price(kind, name)
        return None if found is None else found * hours()

    def machines(tier: Machines, role: str) -> Item:
        return Item(f"{role}, {tier.instance_type}", tier.fewest, hourly("instance", tier.instance_type), tier.most)

    app, edge, database, cache_ = wanted.app, wanted.edge, wanted.database, wanted.cache
    copies = database.copies
    # The edge's own, each NAT gateway's, and without one each app server's.
    addresses = edge.fewest + wanted.nat_gateways
    # Its successor is beside it for minutes only.
    yield replace(machines(edge, "edge"), most=edge.fewest)
    yield machines(app, "app server")
    yield Item(
        f"disk, {DISK_GB} GB gp3",
        app.fewest + edge.fewest,
        _times(price("disk", "gp3"), DISK_GB),
        app.most + edge.fewest,
    )
    if database.aurora:
        yield from _aurora(database)
    elif not database.external:
        yield Item(f"database, {database.instance_class}", copies, hourly("database", database.instance_class), copies)
        storage = _times(price("storage", "gp3"), database.storage_gb)
        yield Item(f"database storage, {database.storage_gb} GB gp3", copies, storage, copies)
    if database.max_storage_gb:
        more = database.max_storage_gb - database.storage_gb
        yield Item(f"database storage, {more} GB more when it grows", 0, _times(price("storage", "gp3"), more), copies)
    if database.proxied:
        # Aurora's are charged by capacity units too, where that follows the load: the file has no price of theirs.
        price_of_proxy = None if database.aurora else prices.get("proxy", {"prices": {}})["prices"].get("vcpu")
        vcpus = database.vcpus
        monthly = _times(price_of_proxy, vcpus * hours())
        yield Item(f"RDS Proxy, {vcpus} vCPUs", database.shards, monthly, database.shards)
    if database.insights == "advanced":
        yield Item("Database Insights, advanced mode", copies, None, copies)
    node = _times(hourly("cache", cache_.node_type), VALKEY if cache_.engine == "valkey" else 1)
    yield Item(f"cache node, {cache_.node_type}", cache_.nodes, node, cache_.nodes)
    if wanted.nat_gateways:
        yield Item("NAT gateway", wanted.nat_gateways, hourly("network", "nat gateway"), wanted.nat_gateways)
    own = (0, 0) if wanted.nat else (app.fewest, app.most)
    yield Item("public address", addresses + own[0], hourly("network", "public address"), addresses + own[1])
    # Each database's password, its app's too where that has a role of its own, the cache's token, and the app's own.
    logins = 0 if database.external else database.shards * (2 if database.app_user else 1)
    secrets = logins + 1 + len(wanted.secrets)
    yield Item("secret", secrets, price("secret", "secret"), secrets)
    if wanted.metrics:
        metrics = METRICS + wanted.certificate
        yield Item("metric", metrics, price("metrics", "metric"), metrics)
        yield Item("metric of the kit, in an app that has it", 0, price("metrics", "metric"), KIT_METRICS)
        calls = _times(price("metrics", "call"), CALLS_AN_HOUR * hours())
        yield Item("a machine's telling of metrics", app.fewest + edge.fewest, calls, app.most + edge.fewest)
    for count, name in ((wanted.quick_alarms, "alarm, each 10 s"), (wanted.alarms, "alarm, each minute")):
        if count:
            yield Item(name, count, price("metrics", name), count)
    if wanted.dashboard:
        yield Item("dashboard", 1, price("metrics", "dashboard"), 1)


def _aurora(database: Database) -> Iterator[Item]:
    """What is paid for, without a price: the file has none of Aurora's."""
    size = database.instance_class
    if database.capacity is not None:
        size = "{:g} to {:g} capacity units".format(*database.capacity)
    yield Item(f"Aurora instance, {size}", database.instances, None, database.most_instances)
    yield Item("Aurora storage and I/O, as used", database.shards, None, database.shards)


def _logs(wanted: Wanted, prices: Mapping[str, Any]) -> Logs | None:
    if not wanted.logs or "logs" not in prices:
        return None
    found = prices["logs"]["prices"]
    million = found["told"] * REQUEST_BYTES * 1_000_000 / 1e9 if wanted.every_request else None
    return Logs(found["told"], found["kept"], million)


def _times(price: float | None, amount: float) -> float | None:
    return None if price is None else price * amount
