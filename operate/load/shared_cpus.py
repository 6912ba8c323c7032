"""The CPUs of a host that a stack's machines share, as a lab's do, and who of them has how much. Pure."""

from collections.abc import Iterator

from operate.load.comparison import Comparison, together
from operate.load.model import Tier

FULL = 85.0
"""Percent of a CPU's time, from which on a queue before it grows quickly."""
SHARED_STEAL = 20.0
"""Percent of an edge's or of an app server's CPUs, both full, that others had: their machines share CPUs."""
SAME_CPU = 3.0
"""Points by which machines that share their CPUs differ in what they see of them."""
MOSTLY_THEIRS = 50.0
"""Percent of shared CPUs that the stack and its load have together; with less, something else uses them up."""


def share_cpus(seen: Comparison) -> bool:
    """Whether edge and app servers have the same CPUs: they see the same of them, and one sees others at work there."""
    edge, app = seen.least("edge", "cpu"), seen.least("app", "cpu")
    others = max(seen.least("edge", "cpu steal"), seen.least("app", "cpu steal"))
    return min(edge, app) >= FULL and abs(edge - app) <= SAME_CPU and others >= SHARED_STEAL


def used_up_by_them(seen: Comparison) -> bool:
    """Whether the machines share their CPUs, and it is they who use them up."""
    return share_cpus(seen) and sum(share for share, _ in cpu_shares(seen)) >= MOSTLY_THEIRS


def cpu_shares(seen: Comparison) -> Iterator[tuple[float, Tier]]:
    """Percent of the CPUs that they share, by tier: all its machines together."""
    yield own_cpu(seen, "app") * max(1.0, seen.least("app", "machines")), "app"
    yield own_cpu(seen, "edge"), "edge"
    step = seen.over if together(seen.over, "database", "cpu") is not None else seen.knee or seen.over
    yield together(step, "database", "cpu") or 0.0, "database"
    yield together(step, "cache", "machine cpu") or together(step, "cache", "cpu") or 0.0, "cache"
    # Machines that share their CPUs are a lab's, and so they share them with what loads them.
    yield 100 * seen.saturation("generator", "cpu"), "generator"


def own_cpu(seen: Comparison, tier: Tier) -> float:
    """Percent of its CPUs that a tier's own processes had."""
    return max(0.0, seen.least(tier, "cpu") - seen.least(tier, "cpu steal"))


def busy_cpu(seen: Comparison, tier: Tier) -> float:
    """Percent of a tier's CPUs that it can't have any more; of CPUs that machines share, what it has itself."""
    return own_cpu(seen, tier) if share_cpus(seen) else seen.least(tier, "cpu")
