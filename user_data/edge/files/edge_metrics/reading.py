"""What is told of the edge. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from expressway_metrics.model import Labels, Reading, Value, counter, gauge, since
from prometheus_client.core import HistogramMetricFamily, Metric

from .observe import Seen

BEYOND = 30.0
"""Seconds that stand for a longer answer than the largest bound: Nginx waits no longer for a server."""

Counts = Mapping[str, Mapping[str, Any]]
"""Nginx's, by server or by route."""


def reading(now: Seen, before: Seen | None) -> Reading:
    """Every server and route for Prometheus; the site for CloudWatch, from the second look on."""
    return Reading(_families(now), _values(now, before) if before else [])


def _families(now: Seen) -> list[Metric]:
    def each(label: str, found: Counts, key: str) -> list[tuple[Labels, float]]:
        return [({label: name}, counts[key]) for name, counts in sorted(found.items())]

    def classes(label: str, found: Counts) -> list[tuple[Labels, float]]:
        return [
            ({label: name, "class": kind}, count)
            for name, counts in sorted(found.items())
            for kind, count in sorted(counts["statuses"].items())
        ]

    routes, servers = now.routes, now.servers
    return [
        counter("expressway_edge_responses", "Answers to clients.", classes("route", routes)),
        _histogram("expressway_edge_response_seconds", "From a request's start to its answer's end.", "route", routes),
        counter("expressway_edge_server_requests", "Sent to a server.", each("server", servers, "requests")),
        counter("expressway_edge_server_responses", "A server's answers.", classes("server", servers)),
        _histogram("expressway_edge_server_seconds", "From asking a server to its answer's end.", "server", servers),
        gauge("expressway_edge_server_in_flight", "Requests.", each("server", servers, "in_flight")),
        counter("expressway_edge_server_connect_failures", "Connections.", each("server", servers, "connect_failures")),
        counter("expressway_edge_server_retries", "Requests that another failed.", each("server", servers, "retries")),
        gauge(
            "expressway_edge_connections",
            "Clients' and servers'.",
            [({"state": state}, count) for state, count in now.connections.items() if state != "dropped"],
        ),
        counter("expressway_edge_connections_dropped", "For want of more.", _one(now.connections.get("dropped"))),
        gauge("expressway_edge_connections_max", "Clients' and servers' together.", _one(now.most)),
        gauge("expressway_edge_servers", "In Nginx's list.", _one(now.listed)),
        gauge("expressway_edge_list_age_seconds", "Since AWS last said who is there.", _one(now.list_age)),
        gauge("expressway_edge_unhealthy_servers", "In service by AWS, and failing probes.", _one(now.unhealthy)),
        gauge("expressway_edge_certificate_days", "Until it expires.", _one(now.certificate_days)),
    ]


def _values(now: Seen, before: Seen) -> list[Value]:
    found: list[Value] = []
    if now.routes and before.routes:
        classes = {
            kind: sum(_grown(now.routes, before.routes, "statuses", kind)) for kind in ("2xx", "3xx", "4xx", "5xx")
        }
        total = sum(classes.values())
        if total:
            # Its own metric, so that an alarm needs no metric math; without answers there is no share.
            found.append(Value.of("ErrorShare", "Percent", 100 * classes["5xx"] / total))
        found += [
            Value.of("Requests", "Count", total),
            Value.of("Responses4xx", "Count", classes["4xx"]),
            Value.of("Responses5xx", "Count", classes["5xx"]),
            Value.of("EdgeErrors", "Count", sum(_grown(now.routes, before.routes, "own_errors"))),
            Value("ResponseTime", "Milliseconds", durations(now.routes, before.routes)),
        ]
    if now.listed is not None and before.listed is not None:
        found += [
            Value("ServerTime", "Milliseconds", durations(now.servers, before.servers)),
            Value.of("Retries", "Count", sum(_grown(now.servers, before.servers, "retries"))),
            Value.of("Servers", "Count", now.listed),
        ]
    if "active" in now.connections:
        active = now.connections["active"]
        found.append(Value.of("Connections", "Count", active))
        if now.most:
            # Those to servers are of the same store. Idle ones aren't counted: Nginx closes them when it needs them.
            servers = sum(counts["in_flight"] for counts in now.servers.values())
            found.append(Value.of("ConnectionsUsed", "Percent", min(100.0, 100 * (active + servers) / now.most)))
        if "dropped" in before.connections:
            dropped = since(before.connections["dropped"], now.connections["dropped"])
            found.append(Value.of("ConnectionsDropped", "Count", dropped))
    if now.list_age is not None:
        found.append(Value.of("ListAge", "Seconds", now.list_age))
    if now.unhealthy is not None:
        found.append(Value.of("UnhealthyServers", "Count", now.unhealthy))
    if now.certificate_days is not None:
        found.append(Value.of("CertificateDays", "None", now.certificate_days))
    return found


def durations(now: Counts, before: Counts) -> dict[float, float]:
    """How many answers took at most so many milliseconds, and more than the bound below, between the two looks."""
    found: dict[float, float] = {}
    bounds = {bound for counts in now.values() for bound in counts["buckets"]}
    below = 0.0
    for bound in sorted(bounds, key=float):
        within = sum(_grown(now, before, "buckets", bound))
        if within > below:
            found[1000 * min(float(bound), BEYOND)] = within - below
        below = within
    return found


def _grown(now: Counts, before: Counts, *keys: str) -> list[float]:
    """By how much each count has grown. One that is new began at 0, as all do when Nginx is started anew."""
    return [since(_at(before.get(name, {}), keys), _at(counts, keys)) for name, counts in now.items()]


def _at(counts: Mapping[str, Any], keys: Iterable[str]) -> float:
    found: Any = counts
    for key in keys:
        found = found.get(key, {})
    return found or 0.0


def _one(value: float | None) -> list[tuple[Labels, float]]:
    return [] if value is None else [({}, value)]


def _histogram(name: str, text: str, label: str, found: Counts) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label])
    for each, counts in sorted(found.items()):
        buckets = sorted(counts["buckets"].items(), key=lambda bucket: float(bucket[0]))
        family.add_metric([each], buckets, counts["seconds"])
    return family
