"""What the edge tells of itself."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from edge_metrics import observe, reading
from edge_metrics.observe import Seen
from reconciler.model import Server, Traffic
from reconciler.upstream import BalancerError

from tests.paths import ROOT

BOUNDS = ("0.005", "0.1", "1", "+Inf")


def counts(*buckets: int, errors: int = 0, **more: Any) -> dict[str, Any]:
    """So many answers up to each bound, of which `errors` were 5xx."""
    total = buckets[-1]
    return {
        "requests": total, "in_flight": 0, "connect_failures": 0, "retries": 0, "seconds": 0.5,
        "statuses": {"2xx": total - errors, "3xx": 0, "4xx": 0, "5xx": errors},
        "buckets": dict(zip(BOUNDS, buckets, strict=True)),
        **more,
    }  # fmt: skip


def seen(
    routes: Mapping[str, Any],
    servers: Mapping[str, Any] | None = None,
    listed: int | None = 2,
    age: float | None = 1.5,
    *,
    dropped: int = 0,
    most: int | None = None,
) -> Seen:
    return Seen(
        servers=servers or {},
        listed=listed,
        routes=routes,
        connections={"active": 9, "reading": 0, "writing": 2, "waiting": 7, "dropped": dropped},
        list_age=age,
        unhealthy=0,
        certificate_days=29.5,
        most=most,
    )


def values(now: Seen, before: Seen | None) -> dict[str, dict[float, float]]:
    return {each.name: dict(each.counts) for each in reading.reading(now, before).values}


def test_cloudwatch_is_told_what_came_since_the_last_look() -> None:
    before = seen({"/items": counts(10, 20, 30, 30, errors=2)}, {"i-1": counts(10, 20, 30, 30)})
    after = seen(
        {"/items": counts(15, 30, 40, 41, errors=5), "/new": counts(0, 0, 0, 4)},
        {"i-1": counts(15, 30, 40, 40, retries=3)},
        most=100,
    )
    told = values(after, before)
    assert told["Requests"] == {15: 1}, "eleven, and four of a route that is new"
    assert told["Responses5xx"] == {3: 1}
    assert told["ResponseTime"] == {5: 5, 100: 5, 30_000: 5}, "by the bound that each was within, in milliseconds"
    assert told["ServerTime"] == {5: 5, 100: 5}
    assert (told["Retries"], told["Servers"], told["Connections"]) == ({3: 1}, {2: 1}, {9: 1})
    assert told["ListAge"] == {1.5: 1}
    assert told["ErrorShare"] == {20.0: 1}, "three of fifteen"
    assert (told["UnhealthyServers"], told["CertificateDays"]) == ({0: 1}, {29.5: 1})
    assert len(told) == 15, "each costs 0.30 USD a month"


def test_connections_are_told_against_what_there_can_be_with_those_to_servers() -> None:
    servers = {"i-1": counts(1, 1, 1, 1, in_flight=3), "i-2": counts(1, 1, 1, 1, in_flight=4)}
    before, after = seen({"/": counts(1, 1, 1, 1)}, servers), seen({"/": counts(1, 1, 1, 1)}, servers, most=32)
    assert values(after, before)["ConnectionsUsed"] == {50.0: 1}, "9 of clients and 7 of servers"
    assert "ConnectionsUsed" not in values(before, before), "without a limit"


def test_connections_that_were_dropped_and_errors_of_the_edges_own_are_told() -> None:
    before = seen({"/": counts(0, 0, 0, 10, errors=4, own_errors=1)}, dropped=5)
    after = seen(
        {"/": counts(0, 0, 0, 30, errors=14, own_errors=7), "/new": counts(0, 0, 0, 2, errors=2, own_errors=2)},
        # Which two servers were asked for, one after the other.
        {"i-1": counts(0, 0, 0, 22, errors=9), "i-2": counts(0, 0, 0, 22, errors=9)},
        dropped=8,
    )
    told = values(after, before)
    assert told["EdgeErrors"] == {8: 1}
    assert told["ConnectionsDropped"] == {3: 1}


def test_what_nginx_was_too_full_to_tell_is_told_at_the_next_look() -> None:
    before = seen({"/": counts(0, 0, 0, 10)}, {"i-1": counts(0, 0, 0, 10)}, dropped=5)
    full = replace(seen({}, listed=None), connections={})
    after = seen({"/": counts(0, 0, 0, 30)}, {"i-1": counts(0, 0, 0, 22, errors=6)}, dropped=90)
    silent = values(full, before)
    assert not silent.keys() & {"Requests", "ConnectionsDropped", "Servers", "EdgeErrors"}
    told = values(after, full.or_last(before))
    assert (told["Requests"], told["ConnectionsDropped"], told["ServerTime"]) == ({20: 1}, {85: 1}, {30_000: 12})
    assert values(after, after.or_last(before))["ConnectionsDropped"] == {0: 1}, "what it did tell counts"
    assert full.or_last(None) == full


@pytest.mark.parametrize(("workers", "most"), [("auto", 4 * 512), ("3", 3 * 512), ("", None)])
def test_what_nginx_can_have_is_in_its_configuration(workers: str, most: int | None) -> None:
    told = f"worker_processes {workers};\n" if workers else ""
    assert observe.most_connections(f"{told}events {{\n    worker_connections 512;\n}}\n", 4) == most


def test_this_projects_own_configuration_says_it() -> None:
    text = (ROOT / "user_data/edge/files/nginx/nginx.conf.j2").read_text()
    assert observe.most_connections(text, 2) == 2 * 8192


def test_where_nothing_was_answered_no_share_of_it_failed() -> None:
    quiet = seen({"/items": counts(1, 1, 1, 1, errors=1)})
    assert "ErrorShare" not in values(quiet, quiet)
    assert values(quiet, quiet)["Requests"] == {0: 1}


def test_nothing_is_told_of_the_time_before_the_first_look() -> None:
    assert values(seen({"/": counts(1, 1, 1, 99_999)}), None) == {}


def test_an_nginx_that_was_started_anew_counts_from_nothing() -> None:
    told = values(seen({"/": counts(1, 2, 2, 2)}), seen({"/": counts(50, 60, 70, 80)}))
    assert told["Requests"] == {2: 1}
    assert told["ResponseTime"] == {5: 1, 100: 1}


def test_of_what_can_not_be_seen_nothing_is_told() -> None:
    nothing = Seen(
        servers={}, listed=None, routes={}, connections={}, list_age=None, unhealthy=None, certificate_days=None
    )
    assert values(nothing, seen({"/": counts(1, 1, 1, 1)})) == {}
    samples = [sample for family in reading.reading(nothing, None).families for sample in family.samples]
    assert samples == []


def test_prometheus_has_every_route_and_server_with_its_histogram() -> None:
    told = reading.reading(seen({"/items": counts(1, 2, 3, 4, errors=1)}, {"i-1": counts(1, 1, 1, 1)}), None)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in told.families
        for sample in family.samples
    }
    assert samples["expressway_edge_responses_total", ("class", "5xx"), ("route", "/items")] == 1
    assert samples["expressway_edge_response_seconds_bucket", ("le", "1"), ("route", "/items")] == 3
    assert samples["expressway_edge_response_seconds_count", ("route", "/items")] == 4
    assert samples["expressway_edge_response_seconds_sum", ("route", "/items")] == 0.5
    assert samples["expressway_edge_server_requests_total", ("server", "i-1")] == 1
    assert samples["expressway_edge_connections", ("state", "waiting")] == 7


STATUS = """Active connections: 291
server accepts handled requests
 16630948 16630941 31070465
Reading: 6 Writing: 179 Waiting: 106
"""


def test_connections_are_read_from_nginxs_own_page() -> None:
    found = observe.connections(STATUS)
    assert found == {"active": 291, "reading": 6, "writing": 179, "waiting": 106, "dropped": 7}
    assert observe.connections("<html>404</html>") == {}


@pytest.mark.parametrize(
    ("state", "age"),
    [
        ({"last_answer_at": 1_000.0}, 30.0),
        ({"last_answer_at": 1_031.0}, 0.0),
        ({"last_answer_at": None}, None),
        ({}, None),
        ([], None),
    ],
)
def test_the_lists_age_is_that_of_the_last_good_answer_and_grows_when_there_is_none(state: Any, age: float) -> None:
    assert observe.list_age(json.dumps(state), 1_030.0) == age


def test_half_a_file_has_no_age() -> None:
    assert observe.list_age('{"last_answer_at": 10', 1_030.0) is None


def member(lifecycle: str, failed_probes: int) -> dict[str, Any]:
    return {"id": "i-1", "lifecycle": lifecycle, "failed_probes": failed_probes}


def test_a_server_that_aws_has_in_service_and_that_fails_is_unhealthy() -> None:
    members = [member("InService", 3), member("InService", 2), member("Pending:Wait", 9), member("InService", 40)]
    state = {"updated_at": 1_000.0, "members": [*members, member("Terminating:Wait", 5)]}
    assert observe.unhealthy(json.dumps(state), 1_001.0) == 2
    assert observe.unhealthy(json.dumps(state), 1_011.0) is None, "a reconciler that is gone says nothing of servers"
    for broken in ("{}", "[]", '{"updated_at": 1', json.dumps({**state, "members": [{}]})):
        assert observe.unhealthy(broken, 1_001.0) is None


def test_a_certificates_days_are_counted_to_its_end_and_beyond() -> None:
    status = json.dumps({"not_after": "1970-01-11T00:00:00+00:00"})
    assert observe.certificate_days(status, 5 * 86_400.0) == 5
    assert observe.certificate_days(status, 11 * 86_400.0) == -1
    for none in ('{"not_after": null}', "{}", '{"not_after": "soon"}', "{"):
        assert observe.certificate_days(none, 0.0) is None


class Nginx:
    """A balancer that answers, or doesn't."""

    def __init__(self, *, well: bool) -> None:
        self._well = well

    def read(self) -> Traffic:
        if not self._well:
            raise BalancerError("away")
        return Traffic((Server("i-1", "10.0.0.1", 3000),), {"i-1": counts(1, 1, 1, 1), "i-gone": counts(2, 2, 2, 2)})

    def routes(self) -> list[dict[str, Any]]:
        if not self._well:
            raise BalancerError("away")
        return [{"route": "/", **counts(1, 1, 1, 1)}]


def test_what_is_away_is_left_out_and_no_error(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "reconciler.json"
    monkeypatch.setattr(observe, "STATE", state)
    monkeypatch.setattr(observe, "STATUS", ("127.0.0.1", 1))
    monkeypatch.setattr(observe, "CERTIFICATE", tmp_path / "none.json")
    state.write_text('{"last_answer_at": 100, "updated_at": 129, "members": []}')
    found = observe.observe(130.0, Nginx(well=True))  # pyright: ignore[reportArgumentType]
    assert (found.listed, set(found.servers), set(found.routes)) == (1, {"i-1", "i-gone"}, {"/"})
    assert (found.list_age, found.connections, found.unhealthy, found.certificate_days) == (30.0, {}, 0, None)
    state.unlink()
    found = observe.observe(130.0, Nginx(well=False))  # pyright: ignore[reportArgumentType]
    assert (found.listed, found.servers, found.routes, found.list_age) == (None, {}, {}, None)
    assert found.unhealthy is None
