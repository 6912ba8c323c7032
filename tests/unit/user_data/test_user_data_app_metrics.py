"""What an app server tells of the app's workers."""

import json
from typing import Any

import pytest
from app_metrics import kit as kits
from app_metrics import parts, reading, reports
from app_metrics.reports import Report, between, parse, workers
from expressway_metrics.model import Reading

TOLD: dict[str, Any] = {
    "name": "shop", "id": 0, "pid": 41, "restarts": 0, "uptime": 60.5, "cpu": 3.0, "rss": 9e7, "heap_used": 2e7,
    "heap_total": 3e7, "gc": 0.5, "lag_p50": 0.001, "lag_p99": 0.01, "lag_max": 0.02, "requests": 100, "in_flight": 2,
    "dropped": 0, "apm_missing": 1, "apm_dropped": 7,
}  # fmt: skip


def report(**more: Any) -> Report:
    return parse(json.dumps(TOLD | more).encode())


def sums(found: list[reports.Worker], before: dict[tuple[str, int], int]) -> dict[str, dict[float, float]]:
    return {each.name: dict(each.counts) for each in reading.reading(found, before).values}


@pytest.mark.parametrize(
    "line",
    [
        b"", b"GET / HTTP/1.1\r", b"[]", b"{}", b'{"name": 1}',
        json.dumps(TOLD | {"id": "0"}).encode(),
        json.dumps(TOLD | {"rss": None}).encode(),
        json.dumps(TOLD | {"cpu": True}).encode(),
        json.dumps(TOLD | {"lag_max": float("nan")}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(line)


def test_a_name_is_no_longer_than_a_label_should_be() -> None:
    assert len(report(name="x" * 1000).name) == 100


def test_the_worst_lag_between_two_looks_counts_and_the_cpu_of_all_of_it() -> None:
    first, second = report(cpu=4.0, gc=0.6, lag_max=0.9), report(cpu=5.5, gc=0.7, lag_p50=0.002)
    process = between(report(), [first, second], 0.0)
    assert (process.lag_p50, process.lag_p99, process.lag_max) == (0.002, 0.01, 0.9)
    assert (process.cpu, process.gc) == (2.5, pytest.approx(0.2))
    new = report(cpu=4.0, uptime=4.5)
    assert between(None, [new], 0.0).cpu == 4.0, "a process that is new has done all of it since then"


def test_what_a_process_did_before_anybody_listened_is_not_of_the_last_ten_seconds() -> None:
    process = between(None, [report(cpu=900.0, gc=40.0), report(cpu=900.5, gc=40.1)], 0.0)
    assert (process.cpu, process.gc) == (0.5, pytest.approx(0.1)), "the collector was started anew"
    assert between(None, [report(cpu=900.0)], 0.0).cpu == 0


def test_a_worker_that_falls_silent_is_blocked_for_as_long() -> None:
    assert between(report(), [report()], 25.0).lag_max == 20.0, "it should have told something five seconds ago"
    assert between(report(), [report()], 4.9).lag_max == 0.02


def test_the_processes_of_one_worker_are_told_of_together() -> None:
    parent, child = report(), report(pid=42, rss=1e7, lag_max=0.5, uptime=5, in_flight=1)
    (worker,) = workers([between(None, [each], 0.0) for each in (parent, child)])
    assert worker.key == ("shop", 0)
    assert (worker.together("rss"), worker.together("in_flight")) == (1e8, 3)
    assert (worker.most("lag_max"), worker.uptime) == (0.5, 60.5)


def test_prometheus_has_each_worker_and_cloudwatch_all_in_one() -> None:
    found = workers([between(None, [report(id=each, lag_p99=0.01 * each, uptime=6)], 0.0) for each in (1, 0, 2)])
    told = reading.reading(found, {})
    samples = [sample for family in told.families for sample in family.samples]
    requests = {sample.labels["worker"] for sample in samples if sample.name == "expressway_worker_requests_total"}
    assert requests == {"0", "1", "2"}
    lag = [sample.labels for sample in samples if sample.name == "expressway_worker_event_loop_lag_seconds"]
    assert {each["quantile"] for each in lag} == {"0.5", "0.99", "1"}
    watched = {sample.name: sample.value for sample in samples if "_apm_" in sample.name}
    assert watched == {"expressway_worker_apm_missing": 1, "expressway_worker_apm_dropped_total": 7}, "of each worker"
    values = {each.name: dict(each.counts) for each in told.values}
    assert values["EventLoopLag"] == {0.0: 1, 10.0: 1, 20.0: 1}, "milliseconds, each worker once"
    assert values["WorkerCPU"] == {30.0: 3}, "3 s in 10 s"
    assert (values["Workers"], values["RequestsInFlight"]) == ({3: 1}, {6: 1})
    assert len(values) == 9, "each costs 0.30 USD a month"


def test_restarts_are_those_since_the_last_look_also_of_a_worker_that_was_away() -> None:
    def look(before: dict[tuple[str, int], int], **restarts: int) -> float:
        found = workers(between(None, [report(name=name, restarts=count)], 0.0) for name, count in restarts.items())
        ((value, _),) = sums(found, before)["WorkerRestarts"].items()
        return value

    known = {("shop", 0): 2, ("queue", 0): 7}
    assert look(known, shop=3, queue=9) == 3
    assert look(known, shop=2) == 0, "one that is away has not been started anew"
    assert look({}, shop=5, queue=7) == 0, "what was before this program says nothing about now"
    assert look(known, shop=0, queue=7) == 0, "PM2 itself was started anew"


def test_without_workers_it_is_said_that_there_are_none() -> None:
    assert sums([], {}) == {"Workers": {0: 1}}


KIT: dict[str, float] = {
    "hits": 90,
    "misses": 6,
    "stale": 1,
    "bypassed": 3,
    "retries": 2,
    "open": 0,
    "rotation": 2,
    "lag": 40,
}


def kit(before: kits.Told | None, *told: kits.Told, **more: Any) -> reports.Process:
    """A process whose kit told `before` until the last look, and these since."""
    return between(
        None if before is None else report(kit=before), [report(uptime=6, **more, kit=each) for each in told], 0.0
    )


def of_kit(*processes: reports.Process) -> dict[str, dict[float, float]]:
    return {each.name: dict(each.counts) for each in parts.reading(workers(processes)).values}


def test_an_app_without_the_kit_has_none_of_its_metrics() -> None:
    assert parts.reading(workers([kit(None, {})])) == Reading([], [])
    assert parts.reading([]) == Reading([], [])
    assert report(kit=[1]).kit == report(kit=None).kit == report().kit == {}
    assert report(kit={"hits": 1, "misses": "x", "lag": None, "tomorrow's": 4}).kit == {"hits": 1}


def test_each_read_through_the_kits_caches_counts_once_whichever_worker_made_it() -> None:
    busy = kit(KIT, KIT | {"hits": 150}, KIT | {"hits": 180, "misses": 14})
    idle = kit(None, {"hits": 0, "misses": 0, "stale": 0, "bypassed": 2, "retries": 0, "open": 0}, id=1)
    told = of_kit(busy, idle)
    assert told["KitHitRate"] == {100: 90, 0: 10}, "90 of 100 on average, and not (90/98 + 0/2) / 2"
    assert (told["KitStaleRate"], told["KitBypassRate"]) == ({0: 100}, {100: 2, 0: 98})
    assert not {"KitHitRate", "KitStaleRate", "KitBypassRate"} & set(of_kit(kit(KIT, KIT))), "nothing was read"


def test_of_breakers_replicas_and_lag_the_worst_between_two_looks_counts_for_each_worker() -> None:
    worse = KIT | {"open": 2, "rotation": 0, "lag": 900}
    told = of_kit(kit(KIT, worse, KIT | {"retries": 9}), kit(KIT, KIT, id=1))
    assert told == {
        "KitRetries": {7: 1},
        "KitBreakersOpen": {2: 1, 0: 1},
        "KitReplicasInRotation": {0: 1, 2: 1},
        "KitReplicaLag": {900: 1, 40: 1},
    }
    alone = of_kit(kit(None, {"retries": 1, "open": 1}))
    assert alone == {"KitRetries": {1: 1}, "KitBreakersOpen": {1: 1}}, "no cache, and no replica"


def test_what_the_kit_counted_never_shrinks() -> None:
    assert kit(KIT, {"retries": 3}).kit == {"retries": 1}, "a cache was closed"
    assert kit(KIT, {"hits": 4, "retries": 2}).kit == {"hits": 0, "retries": 0}, "and another was opened"


def test_prometheus_has_what_the_kit_counts_in_each_worker_with_all_of_its_processes() -> None:
    found = workers([kit(None, KIT), kit(None, KIT | {"rotation": 1, "lag": 2500}), kit(None, {"retries": 1}, id=1)])
    samples = [sample for family in parts.reading(found).families for sample in family.samples]
    assert {(each.name, each.labels["worker"], each.labels.get("from")): each.value for each in samples} == {
        ("expressway_kit_cache_reads_total", "0", "hit"): 180,
        ("expressway_kit_cache_reads_total", "0", "miss"): 12,
        ("expressway_kit_cache_reads_total", "0", "stale"): 2,
        ("expressway_kit_cache_reads_total", "0", "bypass"): 6,
        ("expressway_kit_retries_total", "0", None): 4,
        ("expressway_kit_retries_total", "1", None): 1,
        ("expressway_kit_breakers_open", "0", None): 0,
        ("expressway_kit_replicas_in_rotation", "0", None): 1,
        ("expressway_kit_replica_lag_seconds", "0", None): 2.5,
    }
