"""What runs on a load balancer's machine: probes and their judgement, HAProxy's configuration and commands."""

import http.server
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lab.machines.services import load_balancer
from lab.machines.services.balancing import proxy
from lab.machines.services.balancing.health import HEALTHY, INITIAL, UNHEALTHY, Health, Result, matches, serving
from lab.machines.services.balancing.probes import probe
from lab.machines.services.balancing.proxy import Server
from tests.unit.test_lab_services import config, files

FAILED = Result("Target.Timeout", "Request timed out")
CHECK = {"path": "/readyz", "interval": 10, "timeout": 1, "healthy": 3, "unhealthy": 2, "codes": "200"}


def after(*results: Result, health: Health | None = None) -> Health:
    health = health or Health()
    for result in results:
        health = health.after(result, healthy=3, unhealthy=2)
    return health


def test_a_new_target_needs_one_passed_probe_and_one_that_failed_several_in_a_row() -> None:
    assert after(Result()).state == HEALTHY
    failing = after(Result(), FAILED, FAILED)
    assert (failing.state, failing.reason) == (UNHEALTHY, "Target.Timeout")
    assert after(Result(), Result(), FAILED, Result(), Result(), health=failing).state == UNHEALTHY, "not in a row"
    assert after(Result(), Result(), Result(), health=failing) == after(Result(), Result(), Result())


def test_one_failed_probe_changes_nothing() -> None:
    assert after(FAILED).state == INITIAL
    assert after(Result(), FAILED).state == HEALTHY
    assert after(Result(), FAILED, Result(), FAILED).state == HEALTHY


def test_requests_go_to_healthy_targets_and_where_none_is_to_unhealthy_ones() -> None:
    assert serving({"a": HEALTHY, "b": UNHEALTHY, "c": INITIAL}) == ["a"]
    assert serving({"b": UNHEALTHY, "c": INITIAL}) == ["b"], "it fails open"
    assert list(serving({"c": INITIAL})) == []


@pytest.mark.parametrize(("status", "codes"), [(200, "200"), (204, "200-299"), (404, "200,404"), (301, "200,300-399")])
def test_codes_are_lists_of_ranges(status: int, codes: str) -> None:
    assert matches(status, codes)
    assert not matches(503, codes)


@pytest.fixture
def target() -> Iterator[int]:
    """Answers 204 at /readyz and 503 elsewhere."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204 if self.path == "/readyz" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base has it
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_probe_says_what_it_met_in_the_words_of_describe_target_health(target: int) -> None:
    def met(port: int, **changed: Any) -> Result:
        return probe("127.0.0.1", port, CHECK | {"timeout": 20} | changed)

    assert met(target, codes="200-299") == Result()
    mismatch = Result("Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")
    assert met(target, path="/") == mismatch
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert met(port, timeout=0.2).reason == "Target.Timeout"
    assert met(port).reason == "Target.FailedHealthChecks", "nobody listens any more"


def wanted(listeners: Mapping[str, Any]) -> dict[str, Any]:
    group = {"algorithm": "least_outstanding_requests", "check": CHECK, "targets": {}}
    return {"idle_timeout": 60, "listeners": listeners, "groups": {"abc": group}}


def redirect(**given: str) -> dict[str, Any]:
    place = {"protocol": "https", "host": "#{host}", "port": "443", "path": "/#{path}", "query": "#{query}"}
    return {"type": "redirect", "status": 301, **place, **given}


def test_the_file_has_the_servers_too_for_the_next_start() -> None:
    servers = {"abc": {"i-1-3000": Server("10.0.0.1", 3000, True), "i-2-3000": Server("10.0.0.2", 3000, False)}}
    forward = {"80": {"type": "forward", "group": "abc"}}
    lines = proxy.configuration(wanted(forward), servers).splitlines()
    assert "  server i-1-3000 10.0.0.1:3000" in lines
    assert "  server i-2-3000 10.0.0.2:3000 disabled" in lines
    assert "  balance leastconn" in lines
    assert "server i-1" not in proxy.configuration(wanted(forward)), "they alone ask for no reload"


def test_a_redirect_without_a_query_has_no_question_mark() -> None:
    def locations(**given: str) -> list[str]:
        lines = proxy.configuration(wanted({"80": redirect(**given)})).splitlines()
        return [line.partition("location ")[2] for line in lines if "redirect" in line]

    place = "https://%[req.hdr(host),field(1,:)]:443"
    path = '/%[path,regsub("^/","")]'
    assert locations() == [f"'{place}{path}?%[query]' if {{ query -m len gt 0 }}", f"'{place}{path}'"]
    assert locations(path="/moved", query="") == [f"'{place}/moved'"]
    assert locations(path="/100%'s", query="a=b") == [f"'{place}/100%%%%27s?a=b'"], "what HAProxy would read is escaped"


def test_servers_come_and_go_by_commands_and_those_that_stay_are_left_alone() -> None:
    stays, comes, goes = Server("10.0.0.1", 3000, True), Server("10.0.0.2", 3000, True), Server("10.0.0.3", 80, True)
    drains = Server("10.0.0.4", 3000, True)
    before = {"abc": {"stays": stays, "goes": goes, "drains": drains}}
    later = {"abc": {"stays": stays, "comes": comes, "drains": Server("10.0.0.4", 3000, False)}}
    assert list(proxy.commands(before, later)) == [
        "add server abc/comes 10.0.0.2:3000",
        "set server abc/comes state ready",
        "set server abc/drains state maint",
        "set server abc/goes state maint",
        "shutdown sessions server abc/goes",
        "wait 2s srv-removable abc/goes",
        "del server abc/goes",
    ]


def test_the_whole_program_is_in_the_user_data() -> None:
    written = files(load_balancer.user_data())
    for name in ("__init__", "__main__", "health", "probes", "proxy"):
        assert f"/usr/local/lib/lab/balancing/{name}.py" in written, name
    assert "lab-balancer.service" in config(load_balancer.user_data())["runcmd"][0][2]
