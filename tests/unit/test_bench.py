"""`make bench`: what generators print, what is made of samples, and the page that is written of them."""

import http.server
import io
import json
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from lab.bench import __main__ as program
from lab.bench import chart, edges, generators, measure, open_loop, page, parts
from lab.bench.figures import Figure, Quantity
from lab.bench.generators import GeneratorError, Said
from lab.bench.load import Outcome, Sample
from lab.bench.part import PARTS, Part, Result, Row, Table
from lab.bench.parts import edge, pm2
from lab.bench.parts import generators as compared
from lab.bench.rounds import difference, in_turn, ratio, rows
from lab.bench.templates import render
from lab.machines import control_groups
from lab.paths import ROOT

assert parts.__all__

CPU = Quantity("CPU", "us/request")

WRK = """\
Running 2s test @ http://127.0.0.1:18080/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.89ms    8.29ms  48.21ms   96.34%
    Req/Sec    95.75     12.99   121.00     65.00%
  Latency Distribution
     50%  281.00us
     75%  323.00us
     90%  388.00us
     99%   44.28ms
  191 requests in 2.00s, 21.15KB read
"""
HEY = """
Summary:
  Total:	2.0448 secs
  Slowest:	0.0563 secs
  Requests/sec:	85.5814

Response time histogram:
  0.000 [1]	|
  0.006 [16]	|■■■■■■

Latency distribution:
  10% in 0.0410 secs
  50% in 0.0442 secs
  90% in 0.0484 secs
  99% in 0.0563 secs

Status code distribution:
  [200]	172 responses
  [500]	3 responses

Error distribution:
  [10]	Get "http://127.0.0.1:18081/": dial tcp 127.0.0.1:18081: connect: connection refused
"""
VEGETA = {
    "latencies": {"50th": 43489017, "90th": 46249818, "99th": 48335399, "max": 48418614},
    "requests": 200,
    "rate": 100.4803481127995,
    "status_codes": {"0": 1, "200": 195, "500": 4},
}


def test_what_wrk_prints_is_read_with_its_units() -> None:
    said = generators.read_wrk(WRK)
    assert (said.requests, said.failed, said.seconds) == (191, 0, 2.0)
    assert (said.p50, said.p90, said.p99) == (pytest.approx(0.281), pytest.approx(0.388), pytest.approx(44.28))
    assert said.rate == 95.5


def test_what_wrk_says_failed_counts() -> None:
    wrong = "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 4\n"
    assert generators.read_wrk(WRK + wrong).failed == 10


def test_wrk_that_got_no_answer_is_no_measurement() -> None:
    with pytest.raises(GeneratorError, match="requests in"):
        generators.read_wrk("unable to connect to 127.0.0.1:18081 Connection refused")


def test_what_hey_prints_is_read_and_its_histogram_is_no_error() -> None:
    said = generators.read_hey(HEY)
    assert (said.requests, said.failed, said.seconds) == (185, 13, 2.0448)
    assert (said.p50, said.p90, said.p99) == (pytest.approx(44.2), pytest.approx(48.4), pytest.approx(56.3))


def test_what_vegeta_reports_is_read_and_only_good_answers_are() -> None:
    said = generators.read_vegeta(json.dumps(VEGETA))
    assert (said.requests, said.failed) == (200, 5)
    assert [said.p50, said.p90, said.p99] == pytest.approx([43.489017, 46.249818, 48.335399])
    assert said.rate == pytest.approx(100.48, abs=0.01)


def test_the_open_loop_says_what_is_read_of_it() -> None:
    samples = [Sample(each / 100, each, "GET", "HTTP 500" if each == 7 else "") for each in range(100)]
    printed = json.dumps(open_loop.said(Outcome(samples), 1.0, list(range(50))))
    said = generators.read_own(printed)
    assert said == Said(requests=100, failed=1, seconds=1.0, p50=50, p90=90, p99=99, p99_sent=49)


def stalled_load() -> Said:
    """What the open loop says of a hundred requests, one each 10 ms, to a server that stands still meanwhile."""
    begun: list[float] = []

    class Stalling(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            begun.append(time.monotonic())
            # The server stands still from 0.3 s to 0.7 s after the first request.
            if 0.3 < (since := begun[-1] - begun[0]) < 0.7:
                time.sleep(0.7 - since)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        said = generators.run(generators.own(url, 100, 1), generators.read_own)
        server.shutdown()
    return said


def test_the_open_loop_tells_of_everybody_who_had_to_wait() -> None:
    # A generator that stands still as well has another rate, once.
    tries = (stalled_load() for _ in range(3))
    said = next((each for each in tries if each.rate == pytest.approx(100, rel=0.1)), None)
    assert said, "three times it had another rate"
    assert said.failed == 0
    assert said.p99 > 300, "of a hundred requests, forty were due while the server stood still"
    assert said.cpu > 0


def test_a_generators_cpu_is_that_of_what_it_started_too() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    words = ["bash", "-c", f'{sys.executable} -S -c "$0"; echo {{}}', busy]
    said = generators.run(words, lambda _: Said(1, 0, 1.0, 0, 0, 0))
    assert 0.2 <= said.cpu < 2


def test_a_generator_that_fails_is_no_measurement() -> None:
    with pytest.raises(GeneratorError, match="ended with 3"):
        generators.run(["bash", "-c", "exit 3"], generators.read_own)


def test_cpu_is_counted_per_request() -> None:
    readings = iter([1.0, 1.5])
    said, spent = measure.metered(lambda: Said(1000, 0, 1.0, 1, 2, 3, cpu=0.1), {CPU: lambda: next(readings)})
    assert said.requests == 1000
    assert spent == {CPU: pytest.approx(500), measure.GENERATOR: pytest.approx(100)}


@pytest.mark.parametrize("said", [Said(1000, 1, 1.0, 1, 2, 3), Said(0, 0, 1.0, 1, 2, 3)])
def test_a_load_with_failures_or_without_requests_is_no_measurement(said: Said) -> None:
    with pytest.raises(measure.FailedError):
        measure.metered(lambda: said, {})


def test_variants_are_measured_in_turn() -> None:
    order: list[str] = []

    def asked(name: str) -> Any:
        def measured() -> dict[Quantity, float]:
            order.append(name)
            return {CPU: len(order)}

        return measured

    seen = in_turn({"A": asked("A"), "B": asked("B")}, 2)
    assert order == ["A", "B", "A", "B"]
    assert [each.samples for row in rows(seen) for each in row.figures] == [[1, 3], [2, 4]]
    assert ratio(seen, "B", "A", CPU) == [2, 4 / 3]
    assert difference(seen, "B", "A", CPU) == [1, 1]


@pytest.mark.parametrize(("at_least", "met"), [(False, False), (True, True)])
def test_a_target_is_a_limit_from_above_or_from_below(at_least: bool, met: bool) -> None:
    assert Figure("one", "times", [1, 5, 9], 4, at_least).met is met


SEEN = {
    edges.OURS: [{edge.EDGE: 20, edge.THROUGHPUT: 5000}],
    edges.TUTORIAL: [{edge.EDGE: 80, edge.THROUGHPUT: 1000}],
    edges.HAPROXY: [{edge.EDGE: 30, edge.THROUGHPUT: 4000}],
    edges.CADDY: [{edge.EDGE: 90, edge.THROUGHPUT: 3000}],
}


def test_this_projects_edge_is_held_against_the_tutorials() -> None:
    found = {each.name: (each.median, each.met) for each in edge.checks(SEEN)}
    assert list(found.values()) == [(0.25, True), (5, True), (1.5, None), (4.5, None)]


def test_generators_are_held_against_the_rate_and_the_open_loops_against_each_other() -> None:
    def sample(rate: float, p99: float, sent: float = 0) -> Any:
        return [{compared.HELD: rate, compared.P99: p99, compared.SENT: sent}]

    calm = {generators.WRK: sample(450, 1), generators.LOAD: sample(500, 10.5, 10.2), "vegeta": sample(505, 10)}
    stalled = {generators.LOAD: sample(500, 900), "vegeta": sample(500, 500)}
    found = [(pytest.approx(each.median), each.met) for each in compared.checks(calm, stalled)]
    assert found == [(10, False), (0, True), (1, True), (5, True), (2, True), (80, False)]
    without = compared.checks({generators.LOAD: sample(500, 11)}, {})
    assert [each.name for each in without] == [f"rate off by, {generators.LOAD}"]
    assert "is 10.2 ms instead of 10.5 ms" in compared.remark(calm)


def test_the_generators_share_is_told() -> None:
    seen = {"one": [{measure.GENERATOR: 20.0, measure.THROUGHPUT: 10_000.0}]}
    assert pm2.remark(seen, "one") == "one: the load generator took 20 % of a core."


TABLE = Table(
    "Saturated",
    (
        Row("A | a", (Figure("CPU", "us/request", [10, 12, 11]),)),
        Row("B", (Figure("CPU", "us/request", [1234.4]),)),
    ),
    (CPU,),
)


def _never(_bed: Any) -> Result:
    raise NotImplementedError


ONE = Part("one", "One, and another", "How it is done.", _never)
TWO = Part("two", "Two", "As one.", _never)
RESULT = Result(
    (TABLE,), (Figure("B / A", "times", [3, 2, 4], 2), Figure("A / B", "times", [3], 2, True)), ("Mind it.",)
)


def test_the_page_has_medians_spreads_targets_and_pictures(tmp_path: Path) -> None:
    page.write([(ONE, RESULT), (TWO, "StandError: no | lab")], tmp_path / "bench.json", tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert r"| A \| a | 11.0 (10.0 to 12.0) |" in text
    assert "| B | 1,234 |" in text
    assert "| [one](#one-and-another) | B / A | 3.00 (2.00 to 4.00) times | 2 times or less | **missed** |" in text
    assert "| [one](#one-and-another) | A / B | 3.00 times | 2 times or more | met |" in text
    assert r"StandError: no \| lab | | | **not measured** |" in text
    assert "\nMind it.\n" in text
    assert text.count("](benchmarks/one.svg)") == 1
    assert "benchmarks/two.svg" not in text
    done, failed = json.loads((tmp_path / "bench.json").read_text())["parts"]
    assert done["tables"][0]["rows"][0]["figures"][0]["median"] == 11
    assert [each["met"] for each in done["checks"]] == [False, True]
    assert failed == {"name": "two", "failed": "StandError: no | lab"}


@pytest.mark.parametrize("leaving_fails", [False, True])
def test_what_was_measured_is_kept_when_a_part_or_the_labs_end_fails(
    leaving_fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    throttled = ClientError({"Error": {"Code": "Throttling", "Message": "slow down"}}, "DescribeInstances")

    def fails(_bed: Any) -> Result:
        raise throttled

    @contextmanager
    def opened(_stand: Any) -> Generator[None]:
        yield
        if leaving_fails:
            raise throttled

    known = {"ill": Part("ill", "Ill", "", fails), "well": Part("well", "Well", "", lambda _: RESULT)}
    monkeypatch.setattr(program, "PARTS", known)
    monkeypatch.setattr(program.stand, "lab", lambda *_, **__: nullcontext())
    monkeypatch.setattr(program.stand, "find", lambda *_: type("Stand", (), {"alarms_suspended": nullcontext}))
    monkeypatch.setattr(program.bed, "opened", opened)
    monkeypatch.setattr(program.os, "geteuid", lambda: 0)
    file = tmp_path / "bench.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--json", str(file), "--only", "ill,well"])
    assert program.main() == 1
    ill, well = json.loads(file.read_text())["parts"]
    assert ill == {"name": "ill", "failed": f"ClientError: {throttled}"}
    assert well["tables"][0]["rows"][0]["name"] == "A | a"
    assert (f"bench: {throttled}" in capsys.readouterr().err) == leaving_fails


def test_numbers_have_three_digits_or_so() -> None:
    shown = [page.number(each) for each in (0, 0.0374, -0.5, 1.234, 12.34, 123.4, 26715.4)]
    assert shown == ["0", "0.037", "-0.500", "1.23", "12.3", "123", "26,715"]


def test_the_terminal_has_every_row_and_says_what_was_missed() -> None:
    console = Console(width=160, file=io.StringIO())
    page.show([(ONE, RESULT), (TWO, "StandError: no lab")], console)
    text = cast(io.StringIO, console.file).getvalue()
    assert "11.0 (10.0 to 12.0)" in text
    assert "missed" in text
    assert "Two: not measured: StandError: no lab" in text


def test_a_bar_is_a_median_with_its_spread_and_a_picture_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    assert chart.bars(TABLE, CPU) == [("A | a", 11, 1, 1), ("B", 1234.4, 0, 0)]
    for name in ("first", "second"):
        chart.draw(ONE, RESULT, tmp_path / f"{name}.svg")
    first, second = ((tmp_path / f"{name}.svg").read_text() for name in ("first", "second"))
    assert first == second
    assert "A | a" in first


def test_every_part_says_what_it_compares_and_how() -> None:
    assert {"edge", "pm2", "servers", "direct", "cache", "reconciler", "generators"} == PARTS.keys()
    for name, one in PARTS.items():
        assert one.title, name
        assert "\n" not in one.method, name


def test_a_second_nginx_shares_nothing_with_the_machines_own() -> None:
    golden = (ROOT / "tests/golden/user_data/nginx.conf").read_text()
    text = edges.beside(golden, 8101, "bench")
    assert "listen 8101 default_server" in text
    for shared in ("listen 80 ", "127.0.0.1:808", "balancer.sock", "nginx.pid", "access.log", "servers.json"):
        assert shared not in text
    with pytest.raises(ValueError, match="no longer has listen 80"):
        edges.beside(golden.replace("listen 80 ", "listen 81 "), 8101, "bench")


@pytest.mark.parametrize("template", ["tutorial.conf", "haproxy.cfg", "caddy.conf"])
def test_each_edge_is_told_its_port_and_servers(template: str) -> None:
    file = ROOT / f"lab/bench/edges/{template}.j2"
    text = render(file, name="bench", port=8102, servers=["10.0.0.1:3000", "10.0.0.2:3000"])
    assert all(word in text for word in (":8102" if "listen" not in text else "listen 8102", "0.1:3000", "0.2:3000"))


def test_the_tutorials_configuration_keeps_no_connection_to_a_server() -> None:
    text = render(ROOT / "lab/bench/edges/tutorial.conf.j2", name="bench", port=8102, servers=["10.0.0.1:3000"])
    directives = [line.split()[0] for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert "least_conn;" in directives
    assert not {"keepalive", "proxy_http_version"} & set(directives)


def test_a_units_cpu_is_read_from_its_own_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = tmp_path / "payload/system.slice/nginx.service"
    unit.mkdir(parents=True)
    (tmp_path / "cpu.stat").write_text("usage_usec 5000000\n")
    (unit / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (unit / "cgroup.procs").write_text("7\n8\n")
    (tmp_path / "cgroup.procs").write_text("1\n")
    monkeypatch.setattr(control_groups, "_groups", lambda _: [tmp_path])
    assert control_groups.cpu_seconds("i-1", "nginx.service") == 1.5
    assert control_groups.cpu_seconds("i-1") == 5.0
    assert control_groups.cpu_seconds("i-1", "gone.service") is None
    assert control_groups.processes("i-1", "nginx.service") == {7, 8}
    assert control_groups.processes("i-1") == {1, 7, 8}
