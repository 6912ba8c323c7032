"""What is told of the database. Pure."""

from collections.abc import Callable, Sequence

from expressway_metrics.model import Reading, Value, counter, gauge
from prometheus_client.core import Metric

from .postgresql import Activity, Seen


def reading(now: Seen | None, before: Seen | None, trips: Sequence[float]) -> Reading:
    """Of a look, the one before it, and each trip's milliseconds; without an answer `now` is None."""
    up = gauge("expressway_database_up", "Whether it answered.", [({}, float(now is not None))])
    trip = [gauge("expressway_database_round_trip_seconds", "The longest.", [({}, max(trips) / 1000)])] if trips else []
    values = [Value.of("DatabaseRoundTrip", "Milliseconds", *trips)] if trips else []
    if now is None or not now.samples:
        return Reading([up, *trip], values)
    samples = now.samples
    last = samples[-1]

    def mean(value: Callable[[Activity], float]) -> float:
        return sum(map(value, samples)) / len(samples)

    return Reading(
        [up, *trip, *_families(now, before)],
        [
            *values,
            Value.of("DatabaseConnectionsUsed", "Percent", 100 * max(each.sessions for each in samples) / last.most),
            Value.of("DatabaseSessions", "Count", mean(lambda each: each.own)),
            Value.of("DatabaseBusy", "Count", mean(lambda each: each.own_busy)),
            Value.of("DatabaseWaiting", "Count", mean(lambda each: each.waiting)),
        ],
    )


def hit_ratio(now: Seen, before: Seen) -> float | None:
    """Blocks that were in PostgreSQL's memory, of those that it wanted between the looks; None when it wanted none."""
    hit, read = (now.counts.get(name, 0) - before.counts.get(name, 0) for name in ("blks_hit", "blks_read"))
    return hit / (hit + read) if hit >= 0 and read >= 0 and hit + read > 0 else None


def _families(now: Seen, before: Seen | None) -> list[Metric]:
    samples, last = now.samples, now.samples[-1]
    states = {"active": last.active, "waiting": last.waiting, "idle_in_transaction": last.idle_in_transaction}
    own = {"busy": last.own_busy, "idle": last.own - last.own_busy}
    transactions = now.counts.get("xact_commit", 0) + now.counts.get("xact_rollback", 0)
    ratio = hit_ratio(now, before) if before else None
    return [
        gauge("expressway_database_connections", "In use, by everybody.", [({}, last.sessions)]),
        gauge("expressway_database_connections_max", "That there can be.", [({}, last.most)]),
        gauge("expressway_database_sessions", "By what they do.", [({"state": name}, n) for name, n in states.items()]),
        gauge(
            "expressway_database_own_sessions", "Of this machine.", [({"state": name}, n) for name, n in own.items()]
        ),
        gauge(
            "expressway_database_longest_seconds",
            "The statement that has run for longest.",
            [({}, max(float(each.longest) for each in samples))],
        ),
        gauge("expressway_database_hit_ratio", "Blocks found in memory.", [] if ratio is None else [({}, ratio)]),
        counter("expressway_database_transactions", "Ended.", [({}, transactions)]),
    ]
