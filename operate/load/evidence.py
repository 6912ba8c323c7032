"""Sentences that several verdicts have: statements, who has which share of CPUs, what would add nothing. Pure."""

from collections.abc import Iterator

from operate.load.comparison import Comparison, figure, largest
from operate.load.model import Tier
from operate.load.shared_cpus import SHARED_STEAL, busy_cpu, cpu_shares, own_cpu

IDLE_ENOUGH = 70.0
"""Percent; up to that nothing is short."""
FAILED = 0.01
"""Of the requests, so many errors are too many."""
TIERS: tuple[Tier, ...] = ("app", "edge", "database", "cache")


def told_shares(seen: Comparison) -> str:
    """Of CPUs that machines share, in words; what others have, where that is much."""
    shares = sorted(cpu_shares(seen), reverse=True)
    others = max(0.0, seen.least("app", "cpu") - sum(share for share, _ in shares))
    told = [f"the {name} {figure(share)} %" for share, name in shares if share >= 0.5]
    return ", ".join(told) + (f", and others {figure(others)} %" if others >= SHARED_STEAL else "")


def told_statements(seen: Comparison) -> Iterator[str]:
    """The slowest of the database, where it counts them."""
    if slowest := list(seen.statements[:3]):
        share = 100 * sum(each.share for each in slowest)
        many = f"{len(slowest)} statements take" if len(slowest) > 1 else "One statement takes"
        first = slowest[0]
        mean = first.milliseconds / max(1, first.calls)
        yield (
            f"{many} {figure(share)} % of the time of all; the first: {first.text} "
            f"({figure(first.calls)} calls, {figure(mean)} ms each)."
        )


def uncounted(seen: Comparison, tier: Tier) -> Iterator[str]:
    """What is to be done where the database doesn't count them."""
    if tier == "database" and not seen.statements:
        yield "CREATE EXTENSION pg_stat_statements in the database, to be told which statements take its time."


def told_idle_database(seen: Comparison) -> Iterator[str]:
    """That its CPU isn't what is short."""
    if seen.value("database", "cpu") is not None:
        yield seen.told("database", "cpu", "The database's CPU")


def idle_database(seen: Comparison) -> str:
    """Words on a database whose CPU is not what is short; empty when it may be, or isn't known."""
    cpu = seen.value("database", "cpu")
    return f"its CPU is at {figure(cpu)} %" if cpu is not None and cpu < IDLE_ENOUGH else ""


def busiest_cpu(seen: Comparison) -> float:
    """Percent that the busiest worker or tier has of its CPU."""
    return max(seen.least("app", "worker cpu"), *(busy_cpu(seen, tier) for tier in TIERS))


def useless(seen: Comparison, limiting: Tier) -> Iterator[str]:
    """What would add nothing, as it isn't what is short."""
    named: tuple[tuple[Tier, str, str], ...] = (
        ("app", "An app server more", "the app's"),
        ("database", "A larger database", "the database's"),
        ("edge", "A larger edge", "the edge's"),
    )
    for tier, what, whose in named:
        own = own_cpu(seen, tier)
        if tier != limiting and seen.value(tier, "cpu") is not None and own < IDLE_ENOUGH:
            yield f"{what} would add nothing: {whose} CPU is at {figure(own)} %."


def closed_by_edge(seen: Comparison) -> int:
    """Requests whose connections Nginx closed, where its machine goes on telling and Nginx has no connection for that.

    0 where it told how many it dropped, or where few were closed. It tells that of two moments: in one alone, it may
    have had a connection for its own machine.
    """
    over = seen.over
    silent = largest(over, "edge", "dropped connections") is None and largest(over, "edge", "cpu") is not None
    closed = sum(over.failures.get(kind, 0) for kind in ("connection reset by peer", "EOF"))
    return closed if silent and closed >= FAILED * over.requests else 0
