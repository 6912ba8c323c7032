"""One tier of a plan: how many machines of which type, and how it is chosen where there is one of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from operate import sizes
from operate.doctor import cost
from operate.load.capacity import Line
from operate.load.model import Tier
from operate.load.verdict import NO_CONNECTIONS
from operate.sizes import Size


@dataclass(frozen=True)
class Choice:
    """So many machines of a type."""

    tier: Tier
    type: str
    count: int
    percent: float
    """Of their CPUs, at the rate asked for."""
    limit: float
    """Of their CPUs, that the plan lets it have."""
    month: float | None
    """US dollars; None without a price."""
    shards: int | None = None
    """Into which the count is divided, each with as many; its CPU is that of one. None of a tier without shards."""
    capacity: tuple[float, float] | None = None
    """Units that each takes at the least and at the most, where these follow its load; its CPU is that of the most."""

    @property
    def size(self) -> str:
        """The type, for people."""
        return f"{self.type}, {self.capacity[0]:g} to {self.capacity[1]:g} units" if self.capacity else self.type


@dataclass(frozen=True)
class Budget:
    """Connections to the database, of several to each."""

    servers: int
    workers: int
    """Of each server."""
    pool: int
    """Of each worker."""
    most: int | None
    """max_connections of the class; None where it isn't known."""

    @property
    def usual(self) -> int:
        """With every pool full."""
        return self.servers * self.workers * self.pool

    @property
    def rolling(self) -> int:
        """While every server has its successor beside it."""
        return 2 * self.usual

    @property
    def fits(self) -> bool:
        """Whether max_connections takes them all, with a tenth to spare."""
        return self.most is None or self.rolling <= self.most * NO_CONNECTIONS / 100

    @property
    def largest_pool(self) -> int:
        """With which it would."""
        return int((self.most or 0) * NO_CONNECTIONS / 100 / (2 * self.servers * self.workers))


def scaled(line: Line, now: Size, then: Size) -> Line:
    """The same work on another number of vCPUs."""
    less = now.vcpus / then.vcpus
    return Line(line.idle * less, line.each * less, line.highest)


def single(
    tier: Tier,
    line: Line | None,
    current: str,
    rate: float,
    target: float,
    prices: Mapping[str, float],
    needed: int = 0,
) -> Choice:
    """The cheapest that does it alone, with no less memory than the one that was measured.

    `needed`: connections that it takes. The largest where none does it: what it then has of its CPU says so.
    """
    now, hours = sizes.size(current), cost.hours()
    if now is None or line is None:
        price = prices.get(current)
        return Choice(tier, current, 1, 0.0, target, None if price is None else price * hours)
    fitting: list[Choice] = []
    others: list[tuple[int, Choice]] = []
    for kind, hourly in sorted(prices.items(), key=lambda each: each[1]):
        has = sizes.size(kind)
        if has is None or has.memory < now.memory or (tier == "edge" and has.arm != now.arm):
            continue
        limit = min(target, has.baseline)
        choice = Choice(tier, kind, 1, scaled(line, now, has).percent(rate), limit, hourly * hours)
        others.append((has.vcpus, choice))
        if choice.percent <= limit and (sizes.connections(kind) or 0) * NO_CONNECTIONS / 100 >= needed:
            fitting.append(choice)
    if fitting:
        return fitting[0]
    price = prices.get(current)
    unknown = Choice(tier, current, 1, line.percent(rate), target, None if price is None else price * hours)
    return max(others, key=lambda each: (each[0], -(each[1].month or 0.0)))[1] if others else unknown
