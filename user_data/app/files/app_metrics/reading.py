"""What is told of the app's workers. Pure."""

from collections.abc import Callable, Mapping, Sequence

from expressway_metrics.model import PERIOD, Reading, Value, counter, gauge
from prometheus_client.core import Metric

from .reports import Worker

QUANTILES = {"0.5": "lag_p50", "0.99": "lag_p99", "1": "lag_max"}


def reading(workers: Sequence[Worker], restarts_before: Mapping[tuple[str, int], int]) -> Reading:
    """Every worker for Prometheus; all together for CloudWatch. `restarts_before` are those known at the last look."""
    return Reading(_families(workers), _values(workers, restarts_before))


def _families(workers: Sequence[Worker]) -> list[Metric]:
    def each(value: Callable[[Worker], float]) -> list[tuple[dict[str, str], float]]:
        return [({"process": worker.name, "worker": str(worker.id)}, value(worker)) for worker in workers]

    lag = [
        ({"process": worker.name, "worker": str(worker.id), "quantile": quantile}, worker.most(field))
        for worker in workers
        for quantile, field in QUANTILES.items()
    ]
    return [
        gauge("expressway_worker_up_seconds", "Since its process started.", each(lambda one: one.uptime)),
        counter("expressway_worker_restarts", "By PM2, reloads included.", each(lambda one: one.restarts)),
        counter("expressway_worker_cpu_seconds", "CPU.", each(lambda one: one.together("cpu"))),
        gauge("expressway_worker_resident_bytes", "Memory.", each(lambda one: one.together("rss"))),
        gauge("expressway_worker_heap_used_bytes", "V8's heap in use.", each(lambda one: one.together("heap_used"))),
        gauge("expressway_worker_heap_bytes", "V8's heap.", each(lambda one: one.together("heap_total"))),
        counter("expressway_worker_gc_seconds", "Garbage collection.", each(lambda one: one.together("gc"))),
        gauge("expressway_worker_event_loop_lag_seconds", "In the last ten seconds; 1 is the longest.", lag),
        counter("expressway_worker_requests", "HTTP requests begun.", each(lambda one: one.together("requests"))),
        gauge("expressway_worker_requests_in_flight", "HTTP requests.", each(lambda one: one.together("in_flight"))),
        counter("expressway_worker_reports_dropped", "Never told.", each(lambda one: one.together("dropped"))),
        gauge(
            "expressway_worker_apm_missing", "1: its agent doesn't run.", each(lambda one: one.together("apm_missing"))
        ),
        counter("expressway_worker_apm_dropped", "Never told APM.", each(lambda one: one.together("apm_dropped"))),
    ]


def _values(workers: Sequence[Worker], restarts_before: Mapping[tuple[str, int], int]) -> list[Value]:
    count = Value.of("Workers", "Count", len(workers))
    if not workers:
        return [count]

    def each(name: str, unit: str, value: Callable[[Worker], float]) -> Value:
        return Value.of(name, unit, *(value(worker) for worker in workers))

    # PM2 counts from 0 again when its service was started anew.
    anew = [max(0, one.restarts - restarts_before.get(one.key, one.restarts)) for one in workers]
    return [
        count,
        Value.of("WorkerRestarts", "Count", sum(anew)),
        each("WorkerCPU", "Percent", lambda one: 100 * sum(part.cpu for part in one.processes) / PERIOD),
        each("WorkerMemory", "Bytes", lambda one: one.together("rss")),
        each("EventLoopLag", "Milliseconds", lambda one: 1000 * one.most("lag_p99")),
        each("EventLoopLagMax", "Milliseconds", lambda one: 1000 * one.most("lag_max")),
        each("GarbageCollection", "Percent", lambda one: 100 * sum(part.gc for part in one.processes) / PERIOD),
        each("HeapUsed", "Bytes", lambda one: one.together("heap_used")),
        Value.of("RequestsInFlight", "Count", sum(one.together("in_flight") for one in workers)),
    ]
