"""From what became of each request to a step's figures. Pure.

vegeta tells when it sent a request, and counts from there. Where it falls behind, since all its workers wait or since
it gets no CPU, that is later than when the request was due, and the wait would not show (coordinated omission). So what
counts here is when it was due: vegeta sends the request n, from 0, at (n + 1) / rate after its beginning, and never
sooner. Its beginning is not told; it is what the request that was least late says.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from operate.load.attack import Sent
from operate.load.model import Reading, Second, Step

CLASSES: Final = (
    *(1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
    *(1000, 1500, 2000, 3000, 5000, 7000, 10000, 15000, 30000, 60000),
)
"""Upper bounds of a histogram's classes, in milliseconds."""
LATE_MILLISECONDS: Final = 50.0
"""A generator whose requests are sent later than this tells of itself more than of what it asks."""


class Timed(NamedTuple):
    """One request, counted from when it was due. Seconds since the epoch."""

    due: float
    sent: float
    ended: float
    failure: str


def timed(sent: Iterable[Sent], rate: int) -> list[Timed]:
    """One attack's requests, by when they were due. With a rate of 0 each was due when it was sent."""
    requests = list(sent)
    if not rate or not requests:
        return [Timed(each.sent, each.sent, each.ended, each.failure) for each in requests]
    interval = (1_000_000_000 // rate) / 1e9  # vegeta's own: whole nanoseconds
    first = min(each.sent - each.number * interval for each in requests)
    return [Timed(first + each.number * interval, each.sent, each.ended, each.failure) for each in requests]


def step(offered: float, began: float, seconds: float, requests: Iterable[Timed]) -> Step:
    """The figures of those that were due from `began` on, for so many seconds.

    `requests` are all that were sent around that time: those due before it are answered in it, and those due in it may
    be answered after it. Without an answer, times are 0.
    """
    known = list(requests)
    ended = began + seconds
    mine = [each for each in known if began <= each.due < ended]
    times = sorted(1000 * (each.ended - each.due) for each in mine if not each.failure)
    return Step(
        offered_rps=offered,
        began=began,
        seconds=seconds,
        requests=len(mine),
        failures=dict(Counter(each.failure for each in mine if each.failure)),
        answered_rps=round(sum(not each.failure and began <= each.ended < ended for each in known) / seconds, 2),
        p50=quantile(times, 0.5),
        p90=quantile(times, 0.9),
        p95=quantile(times, 0.95),
        p99=quantile(times, 0.99),
        longest=quantile(times, 1),
        histogram=histogram(times),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value within which `share` of them are; 0 of none."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3) if ordered else 0.0


def histogram(milliseconds: Iterable[float]) -> dict[float, int]:
    """How many are in each class that has any."""
    last = CLASSES[-1]
    counted = Counter(next((bound for bound in CLASSES if each <= bound), last) for each in milliseconds)
    return {float(bound): counted[bound] for bound in CLASSES if counted[bound]}


def generator(
    requests: Iterable[Timed], began: float, seconds: float, cpu: float, cores: int, most: int
) -> list[Reading]:
    """How the generator itself did in a step.

    `cpu` is its seconds of CPU for each second of sending, of `cores`; `most` is how many requests it has at a time.
    """
    mine = [each for each in requests if began <= each.due < began + seconds]
    late = sorted(1000 * (each.sent - each.due) for each in mine)
    return [
        Reading("generator", "cpu", round(100 * cpu, 1), "percent", 100.0 * cores),
        Reading("generator", "lateness", quantile(late, 0.99), "milliseconds", LATE_MILLISECONDS),
        Reading("generator", "requests in flight", in_flight(mine), "count", most),
    ]


def in_flight(requests: Iterable[Timed]) -> int:
    """The most that were sent and not answered at a time."""
    most = now = 0
    events = [(at, change) for each in requests for at, change in ((each.sent, 1), (each.ended, -1))]
    for _, change in sorted(events):
        now += change
        most = max(most, now)
    return most


class Timeline:
    """The whole run, second by second: requests by when they were due, answers by when they came."""

    def __init__(self) -> None:
        self._offered: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._times: dict[int, list[float]] = {}

    def add(self, requests: Iterable[Timed]) -> None:
        """Count these, too."""
        for each in requests:
            self._offered[int(each.due)] += 1
            if each.failure:
                self._failed[int(each.ended)] += 1
            else:
                self._times.setdefault(int(each.ended), []).append(1000 * (each.ended - each.due))

    def seconds(self) -> tuple[Second, ...]:
        """One for each, also where nothing was asked."""
        known = self._offered.keys() | self._failed.keys() | self._times.keys()
        return tuple(self._second(at) for at in range(min(known), max(known) + 1)) if known else ()

    def _second(self, at: int) -> Second:
        times = sorted(self._times.get(at, ()))
        p95 = quantile(times, 0.95) if times else None
        return Second(float(at), self._offered[at], len(times), self._failed[at], p95)
