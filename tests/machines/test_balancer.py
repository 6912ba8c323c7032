"""The balancer in Debian's own Nginx, with app servers that break in every way that one can."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from expressway_edge import nginx

from lab.bench.load import Client, Load, Outcome, Plan
from lab.prove.breaking import black_hole
from tests.machines import balancer_client as upstream
from tests.machines.edge_nginx import URL, Edge, edge_nginx, entry, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

NOBODY = upstream.Entry("i-nobody", "127.0.1.250", 3000)
"""An address on which nothing listens."""
AWAY = upstream.Entry("i-away", "127.0.1.251", 3000)
"""An address from which nothing comes back, in a test that sees to it."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge_nginx(tmp_path_factory.mktemp("edge")) as edge:
        edge.serve(1, 2, 3, 4)
        yield edge


@pytest.fixture
def edge(running: Edge) -> Edge:
    """Nginx with two servers that nobody has asked yet."""
    running.balancer.apply([])
    running.balancer.apply(running.serve(1, 2))
    return running


class Reads:
    """GETs and POSTs of the root, whose answers must be a server's own."""

    def __init__(self, writes_percent: int = 0, path: str = "/") -> None:
        self._writes_percent = writes_percent
        self._path = path
        self.answers: Counter[str] = Counter()

    async def begin(self, client: Client) -> None:
        """Nothing has to be there."""

    def next(self, number: int) -> tuple[str, Any]:
        method = "POST" if number % 100 < self._writes_percent else "GET"
        return method, method

    async def send(self, client: Client, what: Any, *, fresh: bool) -> str:
        status, body = await client.request(what, self._path, {} if what == "POST" else None, fresh=fresh)
        self.answers[body.decode().split()[0]] += 1
        return "" if status == 200 and body.decode().endswith(what) else f"HTTP {status}"


def under_load(act: Callable[[], object], plan: Plan, requests: Reads, lead: float = 0.5) -> Outcome:
    """What becomes of a load while `act` runs, in a thread of its own, in this network."""

    async def both() -> Outcome:
        load, stopped = Load(URL, plan, requests), asyncio.Event()
        task = asyncio.create_task(load.run(stopped))
        await asyncio.sleep(lead)
        await asyncio.get_running_loop().run_in_executor(pool, act)
        await asyncio.sleep(lead)
        stopped.set()
        return await task

    with ThreadPoolExecutor() as pool:  # its threads begin in this one's network
        return asyncio.run(both())


def counts(edge: Edge, path: str) -> int:
    """How often the app servers that run were sent a request."""
    total = 0
    for each in edge.apps:
        with socket.create_connection((f"127.0.1.{each[2:]}", 3000), 5) as connection:
            connection.sendall(b"GET /sent HTTP/1.1\r\n\r\n")
            total += json.loads(connection.recv(65536).partition(b"\r\n\r\n")[2]).get(path, 0)
    return total


def test_sixty_changes_of_the_list_lose_no_request_of_a_client_that_keeps_its_connection(edge: Edge) -> None:
    workers = edge.workers()

    def change() -> None:
        for number in range(60):
            edge.balancer.apply([entry(each) for each in ((1, 2, 3), (1, 2), (2, 3, 4), (1,))[number % 4]])
            time.sleep(0.1)

    requests = Reads(20)
    outcome = under_load(change, Plan(rate=300, fresh_percent=10), requests)
    assert len(outcome.samples) > 1800
    assert not outcome.failures(), outcome.failures()
    assert set(requests.answers) >= {f"127.0.1.{each}" for each in (1, 2, 3)}, "the lists were not used"
    assert edge.workers() == workers, "there was a reload"


@pytest.mark.parametrize("path", ["/500", "/503", "/late/40", "/big/20000", "/half"])
def test_what_one_route_answers_decides_about_no_server(path: str, edge: Edge) -> None:
    def ask_badly() -> None:
        async def ask() -> None:
            client = Client(URL)

            async def one() -> None:
                with contextlib.suppress(OSError, EOFError, TimeoutError):
                    await asyncio.wait_for(client.request("GET", path, fresh=True), 2)

            for _ in range(100):
                pending.append(asyncio.create_task(one()))
                await asyncio.sleep(0.02)
            await asyncio.gather(*pending)

        pending: list[asyncio.Task[None]] = []
        asyncio.run(ask())

    outcome = under_load(ask_badly, Plan(rate=300, fresh_percent=10), Reads(20))
    assert not outcome.failures(), outcome.failures()
    assert outcome.slowest(1) < 1000, "it had to wait for something"
    for number in (1, 2):
        reading = edge.reading(number)
        assert (reading.connect_failures, reading.aside_for) == (0, 0), f"{path} was held against {reading}"


def test_the_apps_own_503_is_handed_on_and_is_not_the_stand_ins(edge: Edge) -> None:
    before = counts(edge, "GET /503")
    answer = edge.request("/503")
    assert answer
    assert answer[0] == 503
    assert "127.0.1." in answer[1], "the stand-in has answered"
    assert counts(edge, "GET /503") == before + 1, "it was asked for again"


def test_a_server_that_refuses_connections_costs_nobody_anything(edge: Edge) -> None:
    edge.balancer.apply([*edge.serve(1, 2), NOBODY])
    outcome = under_load(lambda: time.sleep(2), Plan(rate=300, fresh_percent=10), Reads(50))
    assert not outcome.failures(), outcome.failures()
    (nobody,) = [each for each in edge.balancer.read().servers if each.id == NOBODY.id]
    assert nobody.aside_for > 1, "it is asked again and again"
    assert 1 <= nobody.connect_failures < 20, nobody


def test_a_server_that_is_out_of_reach_costs_those_that_found_it_a_second(edge: Edge) -> None:
    edge.balancer.apply([*edge.serve(1, 2), AWAY])
    with black_hole(AWAY.address):
        outcome = under_load(lambda: time.sleep(4), Plan(rate=200, fresh_percent=10), Reads(50))
    assert not outcome.failures(), outcome.failures()
    assert outcome.slowest(1) < 1500, "another server was asked too late"
    assert sum(each.milliseconds > 500 for each in outcome.samples) < 30, "it is asked again and again"


def test_a_server_that_is_back_gets_requests_again_at_once(edge: Edge) -> None:
    edge.end(2)
    for _ in range(10):
        assert edge.request("/") == (200, "127.0.1.1 GET")
    assert edge.reading(2).aside_for > 0
    edge.serve(2)
    eventually(lambda: edge.reading(2).aside_for == 0, "server 2 is back", 2)
    eventually(lambda: edge.request("/") == (200, "127.0.1.2 GET"), "and gets requests", 2)


@contextlib.contextmanager
def hung(edge: Edge, number: int) -> Generator[None]:
    """Its kernel goes on taking connections, and those that are open stay so."""
    edge.signal(number, signal.SIGSTOP)
    try:
        yield
    finally:
        edge.signal(number, signal.SIGCONT)


@contextlib.contextmanager
def cut_off(edge: Edge, number: int) -> Generator[None]:
    """Nothing gets to it or comes from it, on open connections too."""
    with black_hole(entry(number).address):
        yield


@pytest.mark.parametrize("broken", [hung, cut_off])
def test_a_server_that_goes_silent_has_its_reads_answered_by_another(
    broken: Callable[[Edge, int], AbstractContextManager[None]], edge: Edge
) -> None:
    edge.balancer.apply(edge.serve(1, 2, 3))

    def act() -> None:
        with broken(edge, 2):
            time.sleep(3)
            assert edge.reading(2).aside_for > 0
        eventually(lambda: edge.reading(2).aside_for == 0, "the server is back", 3)

    outcome = under_load(act, Plan(rate=300, fresh_percent=10), Reads())
    assert not outcome.failures(), outcome.failures()
    late = [each for each in outcome.samples if each.milliseconds >= 1500]
    assert not late, f"{len(late)} waited for the server"


def test_a_write_that_waits_for_a_server_that_hangs_is_not_sent_to_another(edge: Edge) -> None:
    path = f"/write-{time.monotonic_ns()}"
    before = counts(edge, f"POST {path}")
    with ThreadPoolExecutor(20) as pool, hung(edge, 2):
        answers = [pool.submit(edge.request, path, "POST") for _ in range(20)]
        eventually(lambda: edge.reading(2).aside_for > 0, "it is noticed", 5)
        time.sleep(0.5)
        edge.signal(2, signal.SIGCONT)
        assert {(each.result() or [0])[0] for each in answers} == {200}
    assert counts(edge, f"POST {path}") == before + 20, "each once"


def test_an_answer_that_is_only_late_is_waited_for(edge: Edge) -> None:
    """The server does nothing else meanwhile, as on a quiet site, but it lives."""
    before = counts(edge, "GET /late/2.5")
    assert edge.request("/late/2.5") in {(200, "127.0.1.1 GET"), (200, "127.0.1.2 GET")}
    assert counts(edge, "GET /late/2.5") == before + 1, "another server was asked, too"


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1)])
def test_what_was_sent_is_repeated_once_and_never_a_post(method: str, times: int, edge: Edge) -> None:
    before = counts(edge, f"{method} /half")
    answer = edge.request("/half", method)
    assert answer
    assert answer[0] == 502
    assert counts(edge, f"{method} /half") == before + times


def test_repeats_are_few_among_all_requests(edge: Edge) -> None:
    """A fleet that is ill must not get double the load. Each worker has 100 saved up."""
    before, asked = counts(edge, "GET /half"), 1500

    async def ask() -> None:
        client = Client(URL)
        for _ in range(asked // 50):
            await asyncio.gather(*(client.request("GET", "/half") for _ in range(50)))
        client.close()
        await asyncio.sleep(0)  # until they are closed

    asyncio.run(ask())
    repeats = counts(edge, "GET /half") - before - asked
    assert 0 < repeats <= 0.2 * asked + 100 * len(edge.workers()) + 5, f"{repeats} of {asked} were repeated"


def test_without_a_server_the_stand_in_says_when_to_come_back_and_a_list_ends_that(edge: Edge) -> None:
    for servers in ([], [NOBODY]):
        edge.balancer.apply(servers)
        for method in ("GET", "POST"):
            answer = edge.request("/", method)
            assert answer
            assert answer[0] == 503, f"{servers}: {answer}"
            assert "Back in a moment" in answer[1]
    edge.balancer.apply(edge.serve(1))
    assert edge.request("/") == (200, "127.0.1.1 GET")


def test_all_servers_aside_are_asked_all_the_same(edge: Edge) -> None:
    edge.end(1)
    edge.end(2)
    assert (edge.request("/") or [0])[0] == 503
    edge.serve(1)
    eventually(lambda: edge.request("/") == (200, "127.0.1.1 GET"), "the one that is back", 1)
    edge.serve(2)


def put(edge: Edge, text: str) -> tuple[int, str]:
    """What the socket answers to a list, whatever it is."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(edge.root / upstream.SOCKET.relative_to("/")))
        connection.sendall(f"PUT /servers HTTP/1.0\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


SERVER = '{"id": "i-1", "address": "10.0.0.1", "port": 3000}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a list of servers"),
        ('{"servers": {}}', "not a list of servers"),
        ('{"servers": {"id": "i-1"}}', "not a list of servers"),
        ('{"servers": "i-1"}', "not a list of servers"),
        ('{"servers": [1]}', "servers[0]: no id"),
        (f'{{"servers": [{SERVER}, {SERVER}]}}', "servers[1]: i-1: listed twice"),
        (SERVER.replace("10.0.0.1", "10.0.0.256").join(('{"servers": [', "]}")), "i-1: address: not an IPv4"),
        (SERVER.replace("10.0.0.1", "app.example").join(('{"servers": [', "]}")), "i-1: address: not an IPv4"),
        (SERVER.replace("3000", "0").join(('{"servers": [', "]}")), "i-1: port: not a whole number"),
        (SERVER.replace("3000", '"3000"').join(('{"servers": [', "]}")), "i-1: port: not a whole number"),
        (SERVER.replace("3000", '3000, "max_conns": -1').join(('{"servers": [', "]}")), "i-1: max_conns: not a whole"),
        (
            ", ".join(SERVER.replace("i-1", f"i-{n}") for n in range(501)).join(('{"servers": [', "]}")),
            "501 servers: at",
        ),
    ],
)
def test_a_bad_list_is_refused_by_what_is_wrong_and_the_last_good_one_stays(
    text: str, problem: str, edge: Edge
) -> None:
    status, said = put(edge, text)
    assert (status, problem in said) == (400, True), said
    assert edge.request("/") in {(200, "127.0.1.1 GET"), (200, "127.0.1.2 GET")}


def test_a_new_server_starts_slowly(edge: Edge) -> None:
    requests = Reads()
    under_load(lambda: edge.balancer.apply([entry(1), entry(2), entry(3)]), Plan(rate=300), requests, lead=1)
    share = requests.answers["127.0.1.3"] / 300
    assert 0 < share < 0.2, f"its share of the first second was {share:.0%}, and a full one is 33 %"


def test_the_first_servers_of_all_do_not(edge: Edge) -> None:
    requests = Reads()
    under_load(lambda: None, Plan(rate=300), requests)
    assert min(requests.answers.values()) > 0.25 * sum(requests.answers.values()), requests.answers


def test_a_server_that_is_full_gets_no_more(edge: Edge) -> None:
    edge.balancer.apply([entry(1, max_conns=3), entry(2)])
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(edge.request, "/late/0.7") for _ in range(20)]
        eventually(lambda: edge.reading(1).in_flight + edge.reading(2).in_flight == 20, "all are in flight")
        assert edge.reading(1).in_flight <= 3 + len(edge.workers()) - 1, "each worker sees the others' a moment later"
        assert all((each.result() or [0])[0] == 200 for each in answers)
    edge.balancer.apply([entry(1, max_conns=1)])
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(edge.request, "/late/0.7")
        eventually(lambda: edge.reading(1).in_flight == 1, "it is in flight")
        assert (edge.request("/") or [0])[0] == 503, "nobody has room"
        assert (first.result() or [0])[0] == 200


def test_the_one_that_is_busy_gets_fewer(edge: Edge) -> None:
    with ThreadPoolExecutor(8) as pool:
        edge.balancer.apply([entry(1)])
        busy = [pool.submit(edge.request, "/late/3") for _ in range(8)]
        eventually(lambda: edge.reading(1).in_flight == 8, "it is busy")
        edge.balancer.apply([])
        edge.balancer.apply([entry(1), entry(2)])
        answers = Counter((edge.request("/") or ("", ""))[1] for _ in range(30))
        assert answers == {"127.0.1.2 GET": 30}
        assert all((each.result() or [0])[0] == 200 for each in busy)


def in_flight(edge: Edge) -> float:
    state = edge.balancer.read()
    return sum(each.in_flight for each in (*state.servers, *state.leaving))


def test_what_is_in_flight_is_right_after_answers_aborts_upgrades_and_retries(edge: Edge) -> None:
    eventually(lambda: in_flight(edge) == 0, "nothing is in flight before")
    upgraded = socket.create_connection(("127.0.0.1", 80))
    upgraded.sendall(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    assert b" 101 " in upgraded.recv(1000)
    gone = socket.create_connection(("127.0.0.1", 80))
    gone.sendall(b"GET /late/5 HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: in_flight(edge) == 2, "both are in flight")
    gone.close()
    eventually(lambda: in_flight(edge) == 1, "an aborted one isn't any longer", 3)
    upgraded.sendall(b"still there\n")
    assert upgraded.recv(1000) == b"still there\n"
    edge.request("/half")
    edge.balancer.apply([NOBODY, *edge.serve(1)])
    edge.request("/", "POST")
    eventually(lambda: in_flight(edge) == 1, "what ended is counted")
    upgraded.close()
    eventually(lambda: in_flight(edge) == 0, "the upgraded one has ended", 3)


def test_a_leaving_server_is_told_of_until_its_requests_are_answered(edge: Edge) -> None:
    with ThreadPoolExecutor(1) as pool:
        edge.balancer.apply([entry(1)])
        answer = pool.submit(edge.request, "/late/1")
        eventually(lambda: edge.reading(1).in_flight == 1, "it is in flight")
        edge.balancer.apply([entry(2)])
        state = edge.balancer.read()
        assert [each.id for each in state.servers] == ["i-2"]
        assert [each.in_flight for each in state.leaving if each.id == "i-1"] == [1]
        assert answer.result() == (200, "127.0.1.1 GET"), "it was cut short"
        eventually(lambda: edge.reading(1).in_flight == 0, "it is counted")
        edge.balancer.apply([entry(1)])
        assert [each.id for each in edge.balancer.read().leaving if each.id == "i-1"] == [], "it is back"


def test_counts_are_of_what_was_answered(edge: Edge) -> None:
    edge.balancer.apply([entry(1)])
    eventually(lambda: in_flight(edge) == 0, "all of before are counted")
    before = edge.reading(1)
    for path in ("/", "/", "/500", "/late/0.3"):
        edge.request(path)
    # A request is counted once it is logged, a moment after its answer.
    eventually(lambda: in_flight(edge) == 0, "all are counted")
    after = edge.reading(1)
    assert after.requests - before.requests == 4
    assert after.statuses["2xx"] - before.statuses["2xx"] == 3
    assert after.statuses["5xx"] - before.statuses["5xx"] == 1
    # Times since the epoch are exact to less than a microsecond, and 0.3 s may be a hair less.
    assert 0.299 < after.seconds - before.seconds < 1
    assert after.buckets["0.25"] - before.buckets["0.25"] == 3
    assert after.buckets["+Inf"] - before.buckets["+Inf"] == 4
    assert after.buckets["+Inf"] == sum(after.statuses.values())


def test_a_request_that_another_server_has_failed_counts_where_it_went(edge: Edge) -> None:
    def told() -> dict[str, upstream.Reading]:
        return {each.id: each for each in edge.balancer.read().servers}

    edge.balancer.apply([])  # the first servers of all don't start slowly
    edge.balancer.apply([NOBODY, entry(1)])
    before = told()
    for _ in range(20):
        assert edge.request("/")
    after = told()
    failed = after[NOBODY.id].connect_failures - before[NOBODY.id].connect_failures
    assert failed >= 1, "nobody was asked"
    assert after["i-1"].retries - before["i-1"].retries == failed
    assert after[NOBODY.id].retries == before[NOBODY.id].retries


def test_what_nginx_has_no_connection_to_ask_with_counts_for_no_server(edge: Edge) -> None:
    configuration = edge.root / "etc/nginx/nginx.conf"
    text = configuration.read_text()
    eventually(lambda: in_flight(edge) == 0, "all of before are counted")
    try:
        configuration.write_text(text.replace("worker_connections 8192", "worker_connections 40"))
        reload(edge)
        before = edge.reading(1), edge.reading(2)
        own_before = sum(each.own_errors for each in edge.balancer.routes().values())
        with ThreadPoolExecutor(60) as pool:
            answers = [each.result() for each in [pool.submit(edge.request, "/late/0.5") for _ in range(60)]]
        failed = sum(answer is not None and answer[0] == 500 for answer in answers)
        assert failed > 0, f"there were connections enough: {Counter(answer and answer[0] for answer in answers)}"
        eventually(lambda: in_flight(edge) == 0, "all are counted")
        for then, now in zip(before, (edge.reading(1), edge.reading(2)), strict=True):
            assert now.statuses["5xx"] == then.statuses["5xx"], "the servers gave none of these answers"
            assert now.connect_failures == then.connect_failures, "and refused nothing"
        own = sum(each.own_errors for each in edge.balancer.routes().values())
        assert own - own_before == failed
    finally:
        configuration.write_text(text)
        reload(edge)


def test_a_worker_that_is_killed_leaves_nothing_in_flight(edge: Edge) -> None:
    before = edge.reading(1).requests + edge.reading(2).requests
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(edge.request, "/late/5") for _ in range(20)]
        eventually(lambda: in_flight(edge) == 20, "all are in flight")
        for worker in edge.workers():
            os.kill(worker, signal.SIGKILL)
        eventually(lambda: edge.request("/") is not None, "new workers serve", 5)
        eventually(lambda: in_flight(edge) == 0, "what the dead had in flight is forgotten", 3)
        assert {each.result() for each in asked} == {None}
    assert edge.reading(1).requests + edge.reading(2).requests >= before + 20, "totals stay"


def reload(edge: Edge) -> None:
    """Have Nginx read its configuration; back once its old workers are gone."""
    assert edge.master
    workers = edge.workers()
    os.kill(edge.master.pid, signal.SIGHUP)
    eventually(lambda: not set(workers) & set(edge.workers()), "the old workers are gone")


def test_the_list_survives_a_restart_and_a_reload_of_nginx(edge: Edge) -> None:
    reload(edge)
    assert edge.request("/") in {(200, "127.0.1.1 GET"), (200, "127.0.1.2 GET")}
    assert edge.reading(1).requests + edge.reading(2).requests > 0, "a reload keeps the counts"
    for how in (signal.SIGKILL, signal.SIGTERM):
        edge.stop(how)
        edge.start()
        assert edge.request("/") in {(200, "127.0.1.1 GET"), (200, "127.0.1.2 GET")}, how
        assert [each.id for each in edge.balancer.read().servers] == ["i-1", "i-2"]


def test_a_kept_list_that_is_damaged_is_no_reason_not_to_start(edge: Edge) -> None:
    (edge.root / nginx.SERVERS.relative_to("/")).write_text('{"servers": [')
    edge.stop()
    edge.start()
    assert (edge.request("/") or [0])[0] == 503
    log = (edge.root / "var/log/nginx/error.log").read_text()
    assert f"{nginx.SERVERS}: not JSON" in log
    edge.balancer.apply([entry(1)])
    assert edge.request("/") == (200, "127.0.1.1 GET")


def test_cookies_and_heads_of_common_sizes_get_through(edge: Edge) -> None:
    assert (edge.request("/", headers={"Cookie": "a" * 12_000}) or [0])[0] == 200
    assert (edge.request("/big/12000") or [0])[0] == 200


def test_the_log_says_who_answered_and_who_was_asked_before(edge: Edge) -> None:
    edge.balancer.apply([])
    edge.balancer.apply([NOBODY, *edge.serve(1)])  # neither starts slowly
    for number in range(20):
        edge.request(f"/log/{number}")
    log: Path = edge.root / "var/log/nginx/access.log"
    eventually(lambda: "/log/19" in log.read_text(), "the log is written")
    lines = [json.loads(line) for line in log.read_text().splitlines() if "/log/" in line]
    assert {each["upstream"] for each in lines} >= {"127.0.1.1:3000", "127.0.1.250:3000, 127.0.1.1:3000"}


def test_requests_count_by_the_first_part_of_their_path(edge: Edge) -> None:
    def told() -> dict[str, int]:
        return {
            f"{route} {kind}": count
            for route, each in edge.balancer.routes().items()
            for kind, count in each.statuses.items()
        }

    before = told()
    asked = ["/", "/items", "/items/1?x=/orders", "/items/2", "/late/0.3", "/orders/503", "/12", "/app.js", "/a b"]
    for path in asked:
        edge.request(path.replace(" ", "%20"))
    edge.balancer.apply([])
    edge.request("/items")
    expected = {"/ 2xx": 1, "/items 2xx": 3, "/items 5xx": 1, "/late 2xx": 1, "/orders 2xx": 1, "other 2xx": 3}

    def grown() -> dict[str, int]:
        return {what: count - before.get(what, 0) for what, count in told().items() if count > before.get(what, 0)}

    eventually(lambda: sum(grown().values()) == len(asked) + 1, "each is counted once it is logged")
    assert grown() == expected, "the stand-in's answers are the site's too"
    late = edge.balancer.routes()["/late"]
    assert late.buckets["0.25"] < late.buckets["0.5"], "of 0.3 s"


def test_an_error_is_the_edges_own_where_no_server_was_sent_the_request(edge: Edge) -> None:
    nobodies = [upstream.Entry(f"i-nobody-{each}", f"127.0.1.{each}", 3000) for each in range(240, 248)]

    def told() -> tuple[int, int, int]:
        """Own errors, all of them, and those of servers."""
        routes, state = edge.balancer.routes().values(), edge.balancer.read()
        servers = (*state.servers, *state.leaving)
        by_servers = sum(each.statuses["5xx"] for each in servers)
        return sum(each.own_errors for each in routes), sum(each.statuses["5xx"] for each in routes), by_servers

    for what, servers, path, own, by_servers in (
        ("the app's own answer", edge.serve(1, 2), "/500", 0, 1),
        ("a server that was sent it, and ended", edge.serve(1), "/half", 0, 1),
        ("both servers, one after the other", edge.serve(1, 2), "/half", 0, 2),
        ("one that was sent it, and one that refuses", [*edge.serve(1), nobodies[0]], "/half", 0, 1),
        ("no server", [], "/", 1, 0),
        ("one that refuses", nobodies[:1], "/", 1, 0),
        ("more of them than are tried", nobodies, "/", 1, 0),
    ):
        edge.balancer.apply(servers)
        before = told()
        for method in ("GET", "POST") if own else ("GET",):
            answer = edge.request(path, method)
            assert answer
            assert answer[0] >= 500, what
        times = 2 if own else 1
        eventually(lambda before=before, times=times: told()[1] == before[1] + times, what)
        now = told()
        assert (now[0] - before[0], now[2] - before[2]) == (own * times, by_servers), what


def test_routes_are_few_however_many_paths_are_asked_for(edge: Edge) -> None:
    unknown = set(edge.balancer.routes())
    edge.balancer.apply([])
    for each in ("wp-admin", "cgi-bin"):
        assert edge.request(f"/{each}/")
    assert set(edge.balancer.routes()) == unknown, "what was never answered well takes no place"
    edge.balancer.apply(edge.serve(1))
    for number in range(40):
        assert edge.request(f"/{'x' * (number % 3)}group-{number}/")
    eventually(lambda: len(edge.balancer.routes()) == 21, "twenty, and the others")
    assert edge.balancer.routes()["other"].statuses["2xx"] >= 20
