"""What an edge counts of an app server, and what that says of a span of time. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counters:
    """What an edge has counted of one app server since its Nginx started."""

    requests: int = 0
    errors: int = 0
    """Answers of 500 and above, and connections that failed."""
    buckets: Mapping[str, int] = field(default_factory=dict[str, int])
    """Answers within so many seconds, cumulative."""


def since(then: Counters, now: Counters) -> Counters:
    """What was counted in between. An Nginx that restarted counts from nothing."""
    if now.requests < then.requests:
        return now
    return Counters(
        requests=now.requests - then.requests,
        errors=max(0, now.errors - then.errors),
        buckets={bound: max(0, count - then.buckets.get(bound, 0)) for bound, count in now.buckets.items()},
    )


def total(counted: Iterable[Counters]) -> Counters:
    """All of it."""
    requests = errors = 0
    buckets: dict[str, int] = {}
    for each in counted:
        requests, errors = requests + each.requests, errors + each.errors
        for bound, count in each.buckets.items():
            buckets[bound] = buckets.get(bound, 0) + count
    return Counters(requests, errors, buckets)


def quantile(buckets: Mapping[str, int], share: float) -> float | None:
    """The upper bound of the bucket in which that share of the answers is reached; None without answers."""
    bounds = sorted((float(bound), count) for bound, count in buckets.items())
    if not bounds or bounds[-1][1] == 0:
        return None
    return next(bound for bound, count in bounds if count >= share * bounds[-1][1])
