"""Whether a new release answers as well as the old one: the first machine against the others, over the same seconds.

Both get the same mix of requests from the same edges, so what differs is the release. The thresholds:

- 5 errors at least, since one request that fails on any release must not stop a deploy; and a share of errors that is
  2 percentage points, and 2 times, above the others'. A database that is down fails both alike, and stops nothing.
- 30 answers at least on each side before times are compared, by the 90th percentile: 2 times, and 250 ms, above the
  others'. A process that has just started is slower by its cold caches and its compiler, by less than that.

Pure: no clock, no network.
"""

from dataclasses import dataclass

from operate.counters import Counters, quantile

ERRORS, ERROR_SHARE, ERROR_TIMES = 5, 0.02, 2.0
ANSWERS, SLOW_QUANTILE, SLOW_SECONDS, SLOW_TIMES = 30, 0.9, 0.25, 2.0


@dataclass(frozen=True)
class Verdict:
    """What the comparison says so far."""

    reason: str | None
    """Why the release is worse; None while nothing says so."""
    requests: int
    """How many the first machine has had."""


def judge(first: Counters, others: Counters) -> Verdict:
    """`first` and `others` are what was counted during the bake, of the first machine and of all the others."""
    return Verdict(_worse(first, others), first.requests)


def _worse(first: Counters, others: Counters) -> str | None:
    # A refused connection is an error without a request.
    share, usual = (each.errors / max(each.requests, each.errors, 1) for each in (first, others))
    if first.errors >= ERRORS and share > usual + ERROR_SHARE and share > usual * ERROR_TIMES:
        answers = max(first.requests, first.errors)
        return (
            f"{first.errors} of its {answers} answers are 500 or above, or missing ({share:.0%}; others: {usual:.0%})"
        )
    slow, usual_slow = (quantile(each.buckets, SLOW_QUANTILE) for each in (first, others))
    if slow is None or usual_slow is None or min(first.requests, others.requests) < ANSWERS:
        return None
    if slow > usual_slow + SLOW_SECONDS and slow > usual_slow * SLOW_TIMES:
        return f"a tenth of its answers takes {slow:g} s or more ({usual_slow:g} s on the others)"
    return None
