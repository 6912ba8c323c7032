"""What is told of the kit's caches and databases in the app's workers. Pure."""

from collections.abc import Sequence

from expressway_metrics.model import Labels, Reading, Value, counter, gauge
from prometheus_client.core import Metric

from . import kit
from .reports import Worker

RATES = {"hits": "KitHitRate", "stale": "KitStaleRate", "bypassed": "KitBypassRate"}
"""CloudWatch's names; what is none of them has missed."""


def reading(workers: Sequence[Worker]) -> Reading:
    """Every worker for Prometheus; all together for CloudWatch. Nothing of what the app hasn't."""
    if not any(each.kit for each in workers):
        return Reading([], [])
    return Reading(_families(workers), [*_rates(workers), *_counts(workers)])


def _families(workers: Sequence[Worker]) -> list[Metric]:
    def each(name: str, **more: str) -> list[tuple[Labels, float]]:
        return [
            ({"process": worker.name, "worker": str(worker.id), **more}, worker.kit_told[name])
            for worker in workers
            if name in worker.kit_told
        ]

    reads = [series for name, where in kit.READS.items() for series in each(name, **{"from": where})]
    lag = [(labels, milliseconds / 1000) for labels, milliseconds in each(kit.LAG)]
    return [
        counter("expressway_kit_cache_reads", "By where the value came from.", reads),
        counter("expressway_kit_retries", "Of databases' statements.", each(kit.RETRIES)),
        gauge("expressway_kit_breakers_open", "Or half open.", each(kit.OPEN)),
        gauge("expressway_kit_replicas_in_rotation", "That are read from.", each(kit.ROTATION)),
        gauge("expressway_kit_replica_lag_seconds", "Of the worst that is known.", lag),
    ]


def _rates(workers: Sequence[Worker]) -> list[Value]:
    """Each read counts once, so that machines weigh by what they read: 100 if it is one of these, and 0 if not."""
    reads = {name: sum(each.kit.get(name, 0.0) for each in workers) for name in kit.READS}
    every = sum(reads.values())
    counts = {name: {100.0: reads[name], 0.0: every - reads[name]} for name in RATES}
    return [
        Value(RATES[name], "Percent", {value: count for value, count in found.items() if count})
        for name, found in counts.items()
        if every
    ]


def _counts(workers: Sequence[Worker]) -> list[Value]:
    retries, breakers, rotation, lag = (
        [each.kit[name] for each in workers if name in each.kit]
        for name in (kit.RETRIES, kit.OPEN, kit.ROTATION, kit.LAG)
    )
    found = [
        Value.of("KitRetries", "Count", *([sum(retries)] if retries else [])),
        Value.of("KitBreakersOpen", "Count", *breakers),
        Value.of("KitReplicasInRotation", "Count", *rotation),
        Value.of("KitReplicaLag", "Milliseconds", *lag),
    ]
    return [each for each in found if each.counts]
