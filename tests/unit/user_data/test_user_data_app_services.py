"""What an app server tells of the database and the cache, and that neither can hold up anything."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from app_metrics import cache, database, pgbouncer, postgresql, redis, redis_cluster, statements
from app_metrics.postgresql import Activity
from app_metrics.services import ServiceError, SlowError
from app_metrics.statements import Total
from app_metrics.watch import LONGEST_PAUSE, Watch
from expressway_app import paths
from expressway_metrics.model import Reading, Value

QUIET = Activity(most=100, sessions=8, active=0, waiting=0, idle_in_transaction=0, longest=0.0, own=4, own_busy=0)


def told(reading: Reading) -> dict[str, dict[float, float]]:
    return {each.name: dict(each.counts) for each in reading.values}


def samples(reading: Reading) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value for family in reading.families for sample in family.samples
    }


def look(*activity: Activity, **counts: float) -> postgresql.Seen:
    return postgresql.Seen(activity or (QUIET,), counts)


def test_the_database_is_told_of_by_its_busiest_moments_and_by_averages() -> None:
    busy = Activity(most=100, sessions=90, active=7, waiting=3, idle_in_transaction=1, longest=1.5, own=4, own_busy=4)
    now = look(QUIET, busy, blks_hit=190, blks_read=20, xact_commit=7, xact_rollback=1)
    found = database.reading(now, look(blks_hit=100, blks_read=10), [0.5, 2000.0, 0.5])
    assert told(found) == {
        "DatabaseRoundTrip": {0.5: 2, 2000.0: 1},
        "DatabaseConnectionsUsed": {90.0: 1},
        "DatabaseSessions": {4.0: 1},
        "DatabaseBusy": {2.0: 1},
        "DatabaseWaiting": {1.5: 1},
    }, "each costs 0.30 USD a month"
    seen = samples(found)
    assert seen["expressway_database_hit_ratio",] == 0.9, "of what was wanted since the last look"
    assert seen["expressway_database_longest_seconds",] == 1.5
    assert seen["expressway_database_transactions_total",] == 8
    assert seen["expressway_database_own_sessions", "busy"] == 4


def test_a_database_that_does_not_answer_has_its_round_trip_and_nothing_else() -> None:
    found = database.reading(None, look(), [2000.0])
    assert told(found) == {"DatabaseRoundTrip": {2000.0: 1}}
    assert samples(found)["expressway_database_up",] == 0
    assert told(database.reading(None, None, [])) == {}


INFO = """\
# Memory
used_memory:{used}
maxmemory:{most}
# Stats
total_commands_processed:{commands}
keyspace_hits:{hits}
keyspace_misses:{misses}
evicted_keys:{evicted}
role:master
"""


def info(hits: int, misses: int, evicted: int, used: int = 75, most: int = 100, **commands: tuple[float, float]) -> Any:
    done = 3 * (hits + misses)
    text = INFO.format(commands=done, hits=hits, misses=misses, evicted=evicted, used=used, most=most)
    return redis.Seen(redis.parse(text), commands)


def test_the_cache_is_told_of_by_what_happened_since_the_last_look() -> None:
    before = info(1_000, 10, 5, get=(100, 1_000.0), keys=(1, 50_000.0), ping=(10, 1e9))
    now = info(1_090, 20, 9, get=(200, 3_000.0), keys=(3, 90_000.0), ping=(20, 9e9))
    found = cache.reading(now, before, [0.25])
    assert told(found) == {
        "CacheRoundTrip": {0.25: 1},
        "CacheMemory": {75.0: 1},
        "CacheCommands": {300.0: 1},
        "CacheEvictions": {4.0: 1},
        "CacheHitRate": {90.0: 1},
    }
    assert samples(found)["expressway_cache_slowest_command_seconds", "keys"] == 0.02, "20 ms each, in the period"


def test_a_cache_without_a_limit_or_without_reads_has_no_share_of_them() -> None:
    found = told(cache.reading(info(5, 5, 0, most=0), info(5, 5, 0), []))
    assert found == {"CacheCommands": {0.0: 1}, "CacheEvictions": {0.0: 1}}
    assert told(cache.reading(info(1, 1, 1), None, [])) == {"CacheMemory": {75.0: 1}}, "nothing is known of before"
    assert told(cache.reading(info(3, 1, 0), info(500, 500, 7), []))["CacheHitRate"] == {75.0: 1}, "another node"


def test_statements_are_told_by_what_they_took_since_the_last_look() -> None:
    before = {1: Total(10, 900.0), 2: Total(5, 5.0), 3: Total(1, 1.0)}
    now = {1: Total(10, 900.0), 2: Total(8, 65.0), 3: Total(3, 21.0), 4: Total(1, 20.0), 5: Total(9, 100.0)}
    texts = {2: "SELECT\n  " + "x" * 600, 3: "UPDATE", 4: "DELETE"}
    line = json.loads(statements.line(now, before, lambda _: texts))["statements"]
    assert [(each["calls"], each["milliseconds"]) for each in line] == [(3, 60.0), (2, 20.0), (1, 20.0)]
    assert line[0]["share"] == 0.3, "of all that ran, this program's own included"
    assert line[0]["text"].startswith("SELECT x")
    assert len(line[0]["text"]) == 500


def test_no_line_is_written_when_nothing_ran_but_this_program() -> None:
    counted = {1: Total(10, 900.0)}
    assert statements.line(counted, counted, lambda _: {1: "SELECT"}) == ""
    assert statements.line({1: Total(11, 901.0)}, counted, lambda _: {}) == ""
    assert json.loads(statements.line({1: Total(2, 9.0)}, counted, lambda _: {1: "A"}))["statements"][0]["calls"] == 2


def test_at_most_five_statements_are_told_also_when_more_were_slow() -> None:
    now = {number: Total(1, float(number)) for number in range(1, 40)}
    line = json.loads(statements.line(now, {}, lambda numbers: dict.fromkeys(numbers, "SELECT 1")))
    assert [each["milliseconds"] for each in line["statements"]] == [39, 38, 37, 36, 35]


def test_a_line_goes_to_the_journal_by_its_own_identifier_and_never_waits(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        statements.write('{"statements": []}', str(tmp_path / "journal"))
        fields = dict(line.split("=", 1) for line in journal.recv(4096).decode().splitlines())
    assert fields == {"SYSLOG_IDENTIFIER": "expressway-statements", "PRIORITY": "6", "MESSAGE": '{"statements": []}'}
    statements.write("lost", str(tmp_path / "absent"))


class Scripted:
    """A session that does as it is told."""

    def __init__(self) -> None:
        self.problem: ServiceError | None = None
        self.sampled = 0
        self.closed = False

    def round_trip(self) -> None:
        if self.problem:
            raise self.problem

    def sample(self) -> None:
        self.sampled += 1

    def look(self) -> int:
        return self.sampled

    def close(self) -> None:
        self.closed = True


def tell(now: int | None, before: int | None, trips: list[float]) -> Reading:
    return Reading([], [Value.of("Trips", "Count", len(trips)), Value.of("Seen", "Count", now or -1, before or -1)])


def run(watch: Watch[int], first: int, last: int) -> None:
    for second in range(first, last):
        watch.second(float(second))


def test_a_service_is_asked_each_second_and_told_of_when_the_period_is_over() -> None:
    session = Scripted()
    watch = Watch("it", lambda: session, tell)
    run(watch, 100, 110)
    assert told(watch.told(110.05)) == {"Trips": {10: 1}, "Seen": {8: 1, -1: 1}}
    run(watch, 110, 120)
    assert told(watch.told(120.05)) == {"Trips": {10: 1}, "Seen": {18: 1, 8: 1}}
    assert told(watch.told(130.05)) == {"Trips": {0: 1}, "Seen": {-1: 1, 18: 1}}, "silence is told as that"


def test_a_service_that_hangs_is_told_of_while_it_does() -> None:
    session, asked, hung, given_up = Scripted(), threading.Event(), threading.Event(), list[bool]()
    watch = Watch("it", lambda: session, tell)
    run(watch, 100, 105)

    def hang() -> None:
        asked.set()
        given_up.append(not hung.wait(20))

    session.round_trip = hang
    asking = threading.Thread(target=watch.second, args=(105.0,))
    asking.start()
    assert asked.wait(20)
    assert told(watch.told(110.0)) == {"Trips": {5: 1}, "Seen": {-1: 2}}
    assert given_up == [], "the collector waits for nobody"
    hung.set()
    asking.join()


def test_the_connection_is_made_anew_with_longer_and_longer_pauses(capsys: pytest.CaptureFixture[str]) -> None:
    tries: list[float] = []
    session, now = Scripted(), 0.0

    def connect() -> Scripted:
        tries.append(now)
        if 5 <= now < 200:
            raise ServiceError("refused")
        return session

    watch = Watch("it", connect, tell)
    for second in range(300):
        now = float(second)
        session.problem = ServiceError("gone") if second == 5 else None
        watch.second(now)
    assert session.closed
    pauses = [later - earlier for earlier, later in pairwise(tries[1:])]
    assert pauses[:4] == [2, 4, 8, 16]
    assert max(pauses) == LONGEST_PAUSE
    said = capsys.readouterr().out.splitlines()
    assert said == ["expressway: it can't be measured: gone", "expressway: it can be measured again"]


def test_a_trip_that_is_given_up_counts_with_the_time_that_it_was_waited_for() -> None:
    session, kept = Scripted(), list[list[float]]()
    watch = Watch("it", lambda: session, lambda now, before, trips: kept.append(trips) or Reading([], []))
    run(watch, 100, 103)
    session.problem = SlowError("no answer in 2 s")
    run(watch, 103, 109)
    watch.told(110.0)
    assert kept[0][3:] == [2000.0] * 3, "at 3 s, 4 s and 6 s"


def test_an_app_without_a_service_has_nothing_told_of_it() -> None:
    watch = Watch[int]("it", lambda: None, tell)
    run(watch, 100, 110)
    assert told(watch.told(110.0)) == {}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy host may need more than two seconds for an answer."""
    for module in (postgresql, redis):
        monkeypatch.setattr(module, "TIMEOUT", 20.0)


@pytest.fixture
def addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(paths, "SERVICES", tmp_path / "services.json")

    def write(**given: str) -> None:
        paths.SERVICES.write_text(json.dumps(given))

    return write


@pytest.mark.parametrize("connect", [postgresql.connect, redis.connect])
@pytest.mark.parametrize(
    "address",
    ["mysql://u:hunter2@h/d", "hunter2", "postgresql://u:hunter2@h:hunter2/d?hunter2", "redis://:hunter2@h:x"],
)
def test_an_address_that_is_none_is_never_quoted(
    connect: Callable[[], Any], address: str, addresses: Callable[..., None]
) -> None:
    addresses(DATABASE_URL=address, REDIS_URL=address)
    with pytest.raises(ServiceError) as refused:
        connect()
    assert "hunter2" not in f"{refused.value}{refused.value.__cause__}"


@pytest.mark.parametrize("connect", [postgresql.connect, redis.connect])
def test_without_an_address_there_is_nothing_to_measure(
    connect: Callable[[], Any], addresses: Callable[..., None]
) -> None:
    assert connect() is None, "no file"
    addresses(OTHER="x")
    assert connect() is None


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("connect", [postgresql.connect, redis.connect])
def test_a_service_that_takes_a_connection_and_is_silent_is_given_up(
    connect: Callable[[], Any], silent: int, addresses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (postgresql, redis):
        monkeypatch.setattr(module, "TIMEOUT", 0.2)
    addresses(
        DATABASE_URL=f"postgresql://u:hunter2@127.0.0.1:{silent}/d", REDIS_URL=f"redis://:hunter2@127.0.0.1:{silent}"
    )
    took: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(SlowError, match=r"^no answer in 0\.2 s$"):
            connect()
        took.append(time.monotonic() - began)
    assert min(took) < 2, "a host may stall once"


def redis_that_answers(*answers: bytes) -> tuple[int, list[bytes]]:
    """The port of a Redis that gives these answers, one to each command, and what it was asked."""
    server, asked = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve() -> None:
        connection, _ = server.accept()
        with server, connection:
            for answer in answers:
                asked.append(connection.recv(4096))
                for part in (answer[:3], answer[3:]):
                    connection.sendall(part)
                    time.sleep(0.01)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], asked


def bulk(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


def test_redis_is_asked_in_its_own_protocol(addresses: Callable[..., None]) -> None:
    commands = bulk("# Commandstats\r\ncmdstat_get:calls=4,usec=80,usec_per_call=20.00\r\n")
    port, asked = redis_that_answers(b"+OK\r\n", b"+PONG\r\n", bulk("role:master\r\nused_memory:9\r\n"), commands)
    addresses(REDIS_URL=f"redis://:p%2Fq@127.0.0.1:{port}")
    session = redis.connect()
    assert session
    session.round_trip()
    seen = session.look()
    assert asked[0] == b"*2\r\n$4\r\nAUTH\r\n$3\r\np/q\r\n"
    assert (seen.number("used_memory"), seen.number("absent")) == (9, 0)
    assert seen.commands == {"get": (4, 80)}
    session.close()


def test_a_node_that_is_a_replica_now_is_left(addresses: Callable[..., None]) -> None:
    port, _ = redis_that_answers(bulk("role:slave\r\n"), bulk(""))
    addresses(REDIS_URL=f"redis://127.0.0.1:{port}")
    session = redis.connect()
    assert session
    with pytest.raises(ServiceError, match="primary"):
        session.look()
    session.close()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.0.0.1:6379@16379,shop-0001-001.shop.example,shard-id=x", "shop-0001-001.shop.example:6379"),
        ("10.0.0.1:6379@16379,,shard-id=x", "10.0.0.1:6379"),
        ("shop-0001-001.shop.example:6379@1122", "shop-0001-001.shop.example:6379"),
        ("10.0.0.1:6379", "10.0.0.1:6379"),
    ],
)
def test_a_clusters_primaries_are_those_that_hold_keys_by_the_name_that_they_announce(address: str, name: str) -> None:
    lines = [
        f"a {address} myself,master - 0 0 1 connected 0-5460 [5461->-b]",
        "b 10.0.0.2:6379@16379,, slave a 0 0 1 connected",
        "c 10.0.0.3:6379@16379,, master - 0 0 1 connected",
    ]
    port, _ = redis_that_answers(bulk("\n".join(lines) + "\n"))
    session = redis.open_session(f"redis://127.0.0.1:{port}")
    assert redis_cluster.primaries(session) == [name]
    session.close()


class Primary:
    """A node of a cluster, which answers by command, one connection after the other."""

    def __init__(self, used: int) -> None:
        self.asked = list[str]()
        self.answers = {
            "AUTH word": b"+OK\r\n",
            "PING": b"+PONG\r\n",
            "INFO": bulk(f"role:master\r\nused_memory:{used}\r\nredis_version:7.1.0\r\n"),
            "INFO commandstats": bulk(f"cmdstat_get:calls={used},usec=8\r\n"),
        }
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            with connection:
                while words := connection.recv(4096).decode().split("\r\n")[2::2]:
                    self.asked.append(" ".join(words))
                    connection.sendall(self.answers[" ".join(words)])


@pytest.fixture
def primaries(addresses: Callable[..., None]) -> Iterator[list[Primary]]:
    """Three, of which the first two have all slots."""
    nodes = [Primary(used) for used in (2, 40, 0)]
    hold_keys(nodes, nodes[:2])
    addresses(REDIS_URL=f"redis://:word@127.0.0.1:{nodes[0].port}", REDIS_CLUSTER="true")
    yield nodes
    for node in nodes:
        node.server.close()


def hold_keys(nodes: list[Primary], those: list[Primary]) -> None:
    lines = [f"{each.port} 127.0.0.1:{each.port}@1 master - 0 0 1 connected {each.port}\n" for each in those]
    for node in nodes:
        node.answers["CLUSTER NODES"] = bulk("".join(lines))


def test_a_cluster_is_measured_at_each_of_its_primaries(primaries: list[Primary]) -> None:
    session = redis_cluster.connect()
    assert session
    for _ in range(4):
        session.round_trip()
    seen = session.look()
    assert [node.asked.count("PING") for node in primaries] == [2, 2, 0], "each in its turn"
    assert (seen.number("used_memory"), seen.commands) == (42, {"get": (42, 16)})
    session.close()


def test_a_cluster_whose_primaries_are_others_is_connected_to_anew(primaries: list[Primary]) -> None:
    session = redis_cluster.connect()
    assert session
    hold_keys(primaries, primaries)
    with pytest.raises(ServiceError, match=r"^the cluster's primaries are others now$"):
        session.look()
    session.close()
    again = redis_cluster.connect()
    assert again
    assert again.look().number("used_memory") == 42
    assert "INFO" in primaries[2].asked
    again.close()


def test_the_node_of_a_cluster_that_cannot_be_asked_is_named(primaries: list[Primary]) -> None:
    primaries[1].answers["AUTH word"] = b"-WRONGPASS word\r\n"
    with pytest.raises(ServiceError, match=rf"^127.0.0.1:{primaries[1].port}: AUTH is refused: WRONGPASS$"):
        redis_cluster.connect()
    hold_keys(primaries, [])
    with pytest.raises(ServiceError, match=r"^no node of the cluster holds keys yet$"):
        redis_cluster.connect()


@pytest.mark.parametrize("announced", ["127.0.0.1", "localhost"])
def test_a_node_that_announces_a_number_has_the_certificate_of_the_name_that_led_to_it(
    announced: str, primaries: list[Primary], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str | None] = []
    real = redis.open_session

    def opened(url: str, certificate_of: str | None = None) -> redis.RedisSession:
        names.append(certificate_of)
        return real(url)

    monkeypatch.setattr(redis, "open_session", opened)
    line = f"a {announced}:{primaries[0].port}@1 master - 0 0 1 connected 0-16383\n"
    primaries[0].answers["CLUSTER NODES"] = bulk(line)
    with contextlib.ExitStack() as closing:
        redis_cluster.open_primaries(f"redis://:word@localhost:{primaries[0].port}", closing)
    assert names == [None, "localhost" if announced == "127.0.0.1" else None]


def test_a_cache_that_is_no_cluster_is_measured_as_one_node(addresses: Callable[..., None]) -> None:
    port, _ = redis_that_answers(b"+PONG\r\n")
    addresses(REDIS_URL=f"redis://127.0.0.1:{port}")
    session = redis_cluster.connect()
    assert isinstance(session, redis.RedisSession)
    session.round_trip()
    session.close()
    addresses()
    assert redis_cluster.connect() is None


def test_a_password_that_is_refused_is_not_repeated(addresses: Callable[..., None]) -> None:
    port, _ = redis_that_answers(b"-ERR unknown command AUTH hunter2\r\n")
    addresses(REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}")
    with pytest.raises(ServiceError, match=r"^AUTH is refused: ERR$"):
        redis.connect()


def pool_row(database: str = "app", **counts: int) -> dict[str, Any]:
    """A line of `SHOW POOLS` of PgBouncer 1.24, as far as it is read."""
    columns = ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_tested", "maxwait", "maxwait_us")
    return {"database": database} | dict.fromkeys(columns, 0) | counts


def test_pools_are_told_together_and_without_the_consoles_own() -> None:
    replica = pool_row("app-replica-1", cl_active=1, sv_used=2, maxwait_us=5)
    seen = pgbouncer.pools(
        [
            pool_row(cl_active=3, cl_waiting=2, sv_active=4, sv_idle=1, maxwait=1, maxwait_us=250_000),
            *(replica, pool_row("pgbouncer", cl_active=9, cl_waiting=9)),
        ]
    )
    assert seen == pgbouncer.Pools(4, 2, 4, 3, 1.25)


def test_the_pool_is_told_of_by_its_clients_and_the_most_that_waited_at_once() -> None:
    busy, calm = pgbouncer.Pools(9, 5, 6, 0, 0.4), pgbouncer.Pools(9, 0, 1, 5, 0.0)
    found = pgbouncer.reading((busy, calm), None, [])
    assert told(found) == {"DatabasePoolClients": {11.5: 1}, "DatabasePoolWaiting": {5: 1}}
    assert samples(found) == {
        ("expressway_pool_up",): 1,
        ("expressway_pool_clients", "active"): 9,
        ("expressway_pool_clients", "waiting"): 0,
        ("expressway_pool_servers", "active"): 1,
        ("expressway_pool_servers", "idle"): 5,
        ("expressway_pool_wait_seconds",): 0.4,
    }


def test_a_pool_that_does_not_answer_is_down_and_nothing_else() -> None:
    found = pgbouncer.reading(None, None, [])
    assert (samples(found), told(found)) == ({("expressway_pool_up",): 0}, {})
