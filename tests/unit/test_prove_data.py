"""The proof of the data tier: what is read in the database's log, and that each scenario's bounds can be missed."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import settings
from lab.bench.load import Client, Outcome, Sample
from lab.config import LabConfig
from lab.engine import stack_config
from lab.machines.observation import MachineStatus, State
from lab.machines.services import redis
from lab.prove import cache_nodes, database_log, edits, forwarder, holding, slow_cache
from lab.prove.__main__ import SETTINGS
from lab.prove.cache_nodes import Nodes, longest
from lab.prove.scenarios import cache, connections, misses, passwords
from lab.prove.stand import PLAN, Stand, StandError
from tests.paths import ROOT

LOG = """\
2026-11-26 20:01:02 UTC:10.20.128.5(41000):expressway@app:[7]:LOG:  duration: 0.1 ms  parse PGBOUNCER_1: select id, name from items where id = $1
2026-11-26 20:01:02 UTC:10.20.128.5(41000):expressway@app:[7]:LOG:  duration: 0.1 ms  bind PGBOUNCER_1: select id, name from items where id = $1
2026-11-26 20:01:02 UTC:10.20.128.5(41000):expressway@app:[7]:LOG:  duration: 0.2 ms  execute PGBOUNCER_1: select id, name from items where id = $1 /*request_id='ab'*/
2026-11-26 20:01:02 UTC:10.20.144.6(41001):expressway@app:[8]:LOG:  duration: 9.2 ms  execute <unnamed>: select id, name from items where id = $1
2026-11-26 20:01:04 UTC:10.20.144.6(41001):expressway@app:[8]:LOG:  duration: 0.3 ms  statement: select id, name from items where id = 7
2026-11-26 20:01:04 UTC:10.20.144.6(41001):expressway@app:[8]:LOG:  duration: 0.3 ms  execute <unnamed>: select id from items order by id desc limit 100
2026-11-26 20:01:04 UTC:10.20.144.6(41001):expressway@app:[8]:LOG:  duration: 0.3 ms  execute <unnamed>: update items set name = $2 where id = $1
2026-11-26 20:01:05 UTC:[local]:postgres@app:[9]:LOG:  duration: 2000.1 ms  statement: begin; lock table items in access exclusive mode; commit
2026-11-26 20:01:05 UTC:10.20.144.6(41002):[unknown]@[unknown]:[10]:FATAL:  sorry, too many clients already
2026-11-26 20:01:05 UTC:10.20.144.6(41003):expressway@app:[11]:FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute
2026-11-26 20:01:05 UTC:10.20.144.6(41004):expressway@app:[12]:FATAL:  password authentication failed for user "expressway"
"""  # noqa: E501, as PostgreSQL writes it
SECOND = 1_795_723_262
"""20:01:02 of that day."""


def test_a_read_counts_once_with_its_second_and_its_server_and_nothing_else_does() -> None:
    first = [database_log.Read(SECOND, host) for host in ("10.20.128.5", "10.20.144.6")]
    assert database_log.reads(LOG) == [*first, database_log.Read(SECOND + 2, "10.20.144.6")]


def test_the_busiest_seconds_are_those_in_a_row_within_the_span() -> None:
    found = database_log.reads(LOG)
    assert database_log.busiest(found, SECOND, SECOND + 10, 1) == 2
    assert database_log.busiest(found, SECOND, SECOND + 10, 2) == 1
    assert database_log.busiest(found, SECOND, SECOND + 10, 3) == 1
    assert database_log.busiest(found, SECOND + 1, SECOND + 10, 1) == 1
    assert database_log.busiest(found, SECOND + 3, SECOND + 10, 1) == 0


def test_who_was_refused_for_want_of_connections_is_counted_by_the_databases_words() -> None:
    words = "remaining connection slots are reserved for roles with the SUPERUSER attribute"
    assert database_log.refused(LOG) == {"sorry, too many clients already": 1, words: 1}


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        ([(0, 0), (1, 0), (2, 0)], 0),
        ([(0, 0), (1, 3), (2, 0)], 1),
        ([(0, 0), (1, 3), (2, 0), (3, 0), (4, 1), (5, 0)], 4),
        ([(0, 0), (1, 3), *((second, 0) for second in range(2, 9)), (9, 1)], 1),
        ([(second, second % 2) for second in range(12)], 11),
    ],
)
def test_refusals_last_from_the_look_before_the_first_to_the_last_of_a_row(
    looks: list[tuple[float, int]], seconds: float
) -> None:
    assert longest(looks) == seconds


def samples(method: str, milliseconds: float, after: float, before: float, failure: str = "") -> list[Sample]:
    return [Sample(after + n * (before - after) / 200, milliseconds, method, failure) for n in range(200)]


def seen() -> cache.Seen:
    """A cache that was gone from second 10 to 70, and nobody noticed."""
    outcome = Outcome([*samples("GET", 5, 0, 10), *samples("GET", 12, 10, 70), *samples("PUT", 700, 10, 70)])
    return cache.Seen(outcome, 10.0, 70.0, before=60.0, meanwhile=240.0, after=60.0, readonly=2.0)


def test_a_cache_that_nobody_misses_passes() -> None:
    result = cache.judged(seen())
    assert result.misses == ()
    assert result.figures["client_reads_per_second"] == 240
    assert (result.figures["p99_get_meanwhile_ms"], result.figures["p99_put_meanwhile_ms"]) == (12, 700)


def slow_reads(given: cache.Seen) -> cache.Seen:
    late = [*samples("GET", 5, 0, 10), *samples("GET", 5, 10, 70), *samples("GET", 16, 69, 70)[:5]]
    return replace(given, outcome=Outcome(late))


def failed_read(given: cache.Seen) -> cache.Seen:
    return replace(given, outcome=Outcome([*given.outcome.samples, Sample(60, 5, "GET", "an older value")]))


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (failed_read, "1 GET failed (an older value 1)"),
        (slow_reads, "p99 of GET was 16.0 ms, and normally 5.0 ms"),
        (lambda given: replace(given, readonly=5.1), "READONLY for 5.1 s"),
        (lambda given: replace(given, meanwhile=361), "the database was read 361 times a second, and clients read 240"),
        (lambda given: replace(given, before=130), "before, the cache was not in use"),
        (lambda given: replace(given, before=0), "before, the cache was not in use"),
        (lambda given: replace(given, meanwhile=70), "nobody missed the cache"),
        (lambda given: replace(given, after=240), "the cache is not in use again"),
    ],
)
def test_each_bound_of_a_cache_that_fails_can_be_missed(planted: Callable[[cache.Seen], cache.Seen], said: str) -> None:
    (miss,) = cache.judged(planted(seen())).misses
    assert said in miss


def test_a_write_that_fails_while_the_cache_is_away_is_counted_and_no_miss() -> None:
    """It is the database's; the scenarios of the database have bounds for it."""
    outcome = Outcome([*seen().outcome.samples, Sample(60, 5, "PUT", "HTTP 503")])
    result = cache.judged(replace(seen(), outcome=outcome))
    assert (result.misses, result.figures["failed_put"]) == ((), 1)


def burst(what: str, *reads: int, redis: bool = True, held: bool = True, failure: str = "") -> misses.Burst:
    outcome = Outcome([Sample(0, 5, "GET", failure if n == 0 else "") for n in range(misses.REQUESTS)])
    return misses.Burst(what, outcome, Counter({f"10.20.0.{n}": count for n, count in enumerate(reads)}), redis, held)


def test_one_read_with_redis_and_one_of_each_worker_without_pass() -> None:
    bursts = [burst("with", 1), burst("held", 2, 2, 1, 2, redis=False), burst("not", 40, 9, redis=False, held=False)]
    result = misses.judged(bursts)
    assert result.misses == ()
    assert len(result.outcome.samples) == 3 * misses.REQUESTS
    assert result.figures == {"reads_with": 1, "reads_held": 7, "reads_not": 49}


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (burst("with", 1, 1), "with: 2 reads of the database"),
        (burst("with"), "with: 0 reads of the database"),
        (burst("held", 2, 3, redis=False), "held: 3 reads of one server"),
        (burst("held", redis=False), "held: 0 reads of one server"),
        (burst("with", 1, failure="HTTP 502"), "1 requests failed (HTTP 502 1)"),
        (replace(burst("with", 1), outcome=Outcome([Sample(0, 5, "GET", "")])), "a burst was not of 1,000 requests"),
    ],
)
def test_each_bound_of_parallel_misses_can_be_missed(planted: misses.Burst, said: str) -> None:
    assert misses.judged([planted]).misses == (said,)


def written(*names: str, failure: str = "") -> Outcome:
    return Outcome([Sample(0, 5, "POST", failure)], acknowledged={name: n for n, name in enumerate(names)})


@pytest.mark.parametrize(
    ("outcome", "stored", "noticed", "said"),
    [
        (written("a", "b"), ["b", "a", "other"], {"i-1": 30.0, "i-2": 41.5}, ()),
        (written("a", failure="HTTP 503"), ["a"], {"i-1": 1.0, "i-2": 1.0}, ("1 requests failed (HTTP 503 1)",)),
        (written("a", "b"), ["a"], {"i-1": 1.0, "i-2": 1.0}, ("1 acknowledged POST are not in the database",)),
        (written(), ["a"], {"i-1": 1.0, "i-2": 1.0}, ("0 acknowledged POST are not in the database",)),
        (written("a"), ["a"], {"i-1": 1.0}, ("1 of 2 servers have the last password",)),
    ],
)
def test_each_bound_of_a_changed_password_can_be_missed(
    outcome: Outcome, stored: list[str], noticed: Mapping[str, float], said: tuple[str, ...]
) -> None:
    result = passwords.judged(outcome, stored, 2, noticed)
    assert result.misses == said
    assert said or result.figures["noticed_seconds"] == 41.5


FULL = [(20, 100), (61, 100), (12, 100)]


@pytest.mark.parametrize(
    ("refused", "looks", "servers", "deployed", "said"),
    [
        ({}, FULL, (8, 6), "", ()),
        ({"sorry, too many clients already": 3}, FULL, (8, 6), "", ("sorry, too many clients already 3",)),
        ({}, [(61, 200)], (8, 6), "", ("max_connections is 200",)),
        ({}, FULL, (4, 6), "", ("there were 4 servers at most, and none beside the 4",)),
        ({}, [(23, 100)], (8, 6), "", ("no more than 23 connections: the pools of 6 were not used up",)),
        ({}, FULL, (8, 6), "the deploy ended with 1", ("the deploy ended with 1",)),
    ],
)
def test_each_bound_of_the_connections_can_be_missed(
    refused: dict[str, int], looks: list[tuple[int, int]], servers: tuple[int, int], deployed: str, said: tuple[str]
) -> None:
    outcome = Outcome([Sample(0, 5, "GET", "")])
    result = connections.judged(outcome, Counter(refused), looks, servers, deployed)
    assert result.misses == said
    assert result.figures["connections_most"] == max(count for count, _ in looks)
    failed = Outcome([Sample(0, 5, "GET", "HTTP 503")])
    assert "1 requests failed (HTTP 503 1)" in connections.judged(failed, Counter(refused), looks, servers, "").misses


class App:
    """As much of the sample app as answers for items; `spoil` changes what a read of it tells."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.before: dict[int, str] = {}
        self.spoil: Callable[[int, str], str] = lambda _, name: name
        self.status = 200

    async def request(self, method: str, path: str, body: Any = None, *, fresh: bool = False) -> tuple[int, bytes]:
        assert not fresh
        identifier = len(self.names) + 1 if method == "POST" else int(path.rpartition("/")[2])
        if method != "GET":
            self.before[identifier] = self.names.get(identifier, "")
            self.names[identifier] = body["name"]
        name = self.names[identifier]
        answer = {"id": identifier, "name": self.spoil(identifier, name) if method == "GET" else name}
        return (201 if method == "POST" else self.status), json.dumps(answer).encode()


async def _asked(
    app: App, writes: int, count: int = 300, *, spoiled: Callable[[App], None] | None = None
) -> Counter[str]:
    load, client, found = edits.Edits(writes), _client(app), Counter[str]()
    await load.begin(client)
    for number in range(count):
        if spoiled and number == count // 2:
            spoiled(app)
        method, what = load.next(number)
        found[f"{method} {await load.send(client, what, fresh=False)}".strip()] += 1
    return found


def _client(app: App) -> Client:
    client = Client("http://127.0.0.1")
    client.request = app.request  # type: ignore[method-assign]
    return client


def test_reads_and_changes_are_mixed_and_right_answers_have_no_fault() -> None:
    found = asyncio.run(_asked(App(), 20))
    assert found.keys() == {"GET", "PUT"}
    assert 30 <= found["PUT"] <= 90


def older(app: App) -> None:
    app.spoil = lambda identifier, name: app.before[identifier] or name


def another(app: App) -> None:
    app.spoil = lambda identifier, name: app.names[identifier % len(app.names) + 1]


def ahead(app: App) -> None:
    app.spoil = lambda _, name: f"{name}0"  # ten times the version: nobody has written that


def failing(app: App) -> None:
    app.status = 503


@pytest.mark.parametrize(
    ("spoiled", "fault"),
    [
        (older, "GET an older value"),
        (another, "GET another item's answer"),
        (ahead, "GET another item's answer"),
        (failing, "GET HTTP 503"),
        (failing, "PUT HTTP 503"),
    ],
)
def test_a_read_of_something_else_or_of_something_older_is_found(spoiled: Callable[[App], None], fault: str) -> None:
    assert asyncio.run(_asked(App(), 20, spoiled=spoiled))[fault]


def test_an_item_whose_change_failed_is_changed_no_more_and_may_have_either_value() -> None:
    async def run() -> None:
        app, load = App(), edits.Edits(100)
        client = _client(app)
        await load.begin(client)
        app.status = 503
        for number in range(2000):  # until each item's change has failed
            _, what = load.next(number)
            await load.send(client, what, fresh=False)
        app.status = 200
        methods = {load.next(number)[0] for number in range(500)}
        assert methods == {"GET"}
        for spoil in (lambda _, name: name, lambda identifier, _: app.before[identifier]):
            app.spoil = spoil
            assert [await load.send(client, load.next(number)[1], fresh=False) for number in range(50)] == [""] * 50

    asyncio.run(run())


def machine(identifier: str, address: str) -> MachineStatus:
    return MachineStatus(identifier, "cache", address, State.READY, 0.0, 1, 1.0, ())


@dataclass(frozen=True)
class CacheStand(Stand):
    """A stand with nothing but the nodes of a cache, which writes down what is told to them."""

    group: dict[str, Any]
    cache: list[MachineStatus]
    told: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    answers: list[str] = field(default_factory=list[str])

    def aws(self, service: str) -> Any:
        assert service == "elasticache"
        return self

    def describe_replication_groups(self) -> Any:
        return {"ReplicationGroups": [self.group]}

    def test_failover(self, **arguments: str) -> None:
        self.told.append(tuple(arguments.values()))

    def machines(self, tier: str) -> list[MachineStatus]:
        return [one for one in self.cache if one.tier == tier]

    async def inside(self, machine: str, *words: str, given: str = "") -> str:
        self.told.append((machine, words[-1] if not given else given.strip()))
        if given.startswith("INFO"):
            answer = self.answers.pop(0)
            if not answer:
                raise StandError("it is gone")
            return answer
        return "OK Already connected to specified master\n" if given.startswith("REPLICAOF") else ""


def cache_stand(roles: Mapping[str, str] | None = None, status: str = "available") -> CacheStand:
    roles = {"n-1": "replica", "n-2": "primary"} if roles is None else roles
    members = [{"CacheClusterId": node, "CurrentRole": role} for node, role in roles.items()]
    group = {
        "ReplicationGroupId": "shop",
        "Status": status,
        "MemberClusters": [*roles],
        "NodeGroups": [{"NodeGroupId": "0001", "NodeGroupMembers": members}],
    }
    nodes = [machine("cache-n-1", "10.0.0.1"), machine("cache-n-2", "10.0.0.2")]
    return CacheStand("", LabConfig(0, "", {}, {}), {}, Path(), Path(), group, nodes)


def test_the_nodes_are_known_by_what_elasticache_says_of_them() -> None:
    stand = cache_stand()
    primary, replicas = Nodes(stand).roles()
    assert (primary.id, [one.id for one in replicas]) == ("cache-n-2", ["cache-n-1"])
    Nodes(stand).fail_over()
    assert stand.told == [("shop", "0001")]
    with pytest.raises(StandError, match=r"cache\.replicas=1"):
        Nodes(cache_stand({"n-1": "primary"})).roles()


def test_a_cache_is_whole_when_it_is_available_and_all_of_its_nodes_are_ready() -> None:
    assert asyncio.run(Nodes(cache_stand()).whole())
    assert not asyncio.run(Nodes(cache_stand(status="modifying")).whole())
    one_boots = cache_stand()
    one_boots.cache[0] = replace(one_boots.cache[0], state=State.BOOTING)
    assert not asyncio.run(Nodes(one_boots).whole())
    one_gone = cache_stand()
    one_gone.cache.pop()
    assert not asyncio.run(Nodes(one_gone).whole())


def test_redis_that_was_stopped_comes_back_with_the_roles_of_now_and_not_of_its_boot() -> None:
    stand = cache_stand()

    async def run() -> int:
        async with Nodes(stand).stopped():
            return len(stand.told)

    assert asyncio.run(run()) == 2
    assert stand.told == [
        ("cache-n-2", redis.UNIT),
        ("cache-n-1", redis.UNIT),
        ("cache-n-2", redis.UNIT),
        ("cache-n-2", "REPLICAOF NO ONE"),
        ("cache-n-1", redis.UNIT),
        ("cache-n-1", "REPLICAOF 10.0.0.2 6379"),
    ]


def test_refusals_are_counted_from_the_first_look_on_and_anew_for_a_node_that_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache_nodes, "LOOK_SECONDS", 0.0)
    stand, looks = cache_stand(), list[tuple[float, int]]()
    stand.cache.pop()
    count = "# Errorstats\r\nerrorstat_ERR:count=9\r\nerrorstat_READONLY:count={}\r\n"
    stand.answers[:] = [count.format(7), count.format(9), "", count.format(9), count.format(2), "# Errorstats\r\n"]

    async def run() -> None:
        with pytest.raises(IndexError):  # the answers have come to their end
            await Nodes(stand).watch(lambda: float(len(looks)), looks)

    asyncio.run(run())
    assert looks == [(0, 0), (1, 2), (2, 0), (3, 0), (4, 2), (5, 0)]


def test_a_slow_node_s_clients_come_by_the_forwarder_and_it_is_as_before_afterwards() -> None:
    stand = cache_stand()

    async def run() -> None:
        async with slow_cache.led_round(stand, "cache-n-2", 0.5), slow_cache.slowed(stand, "cache-n-2"):
            stand.told.append(("slow",))

    asyncio.run(run())
    unit = slow_cache.UNIT
    assert stand.told == [
        ("cache-n-2", "lab-config SET tls-port 16379"),
        ("cache-n-2", "0.5"),
        ("cache-n-2", "CLIENT KILL TYPE normal"),
        ("cache-n-2", unit),
        ("slow",),
        ("cache-n-2", unit),
        ("cache-n-2", unit),
        ("cache-n-2", "lab-config SET tls-port 6379"),
    ]


def test_what_is_held_asks_for_the_lock_and_begins_only_with_it() -> None:
    events: list[str] = []

    @dataclass(frozen=True)
    class Locking(CacheStand):
        def machines(self, tier: str) -> list[MachineStatus]:
            return [machine(tier, "10.0.0.9")]

        async def inside(self, machine: str, *words: str, given: str = "") -> str:
            statement = words[-1].removeprefix("--command=")
            events.append(re.split(r"\W", statement)[0])
            if statement.startswith("begin"):
                async with asyncio.timeout(20):
                    while "body" not in events:
                        await asyncio.sleep(0.01)
                events.append("free")
                return ""
            return "1\n" if events.count("select") == 3 else ""

    stand = cache_stand()
    locking = Locking(stand.url, stand.lab, {}, Path(), Path(), stand.group, [])

    async def run() -> None:
        async with holding.held(locking, 2):
            events.append("body")

    asyncio.run(run())
    assert Counter(events) == {"begin": 1, "select": 3, "body": 1, "free": 1}
    assert events[-2:] == ["body", "free"]


@asynccontextmanager
async def echoing() -> AsyncGenerator[int]:
    """The port of an echo for one connection, whose end is waited for."""
    over = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
            writer.close()
            await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await over.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def becomes(echo: Callable[[], Awaitable[float]], least: float, most: float) -> None:
    """Wait until an echo takes so long: a signal comes when the host has time for it, and so may an answer."""
    took: list[float] = []
    while not took or not least <= took[-1] < most:
        assert len(took) < 50, took
        took.append(await echo())


def test_what_comes_by_the_forwarder_is_late_when_told_so_and_in_order(tmp_path: Path) -> None:
    async def run(told: socket.socket) -> None:
        async with echoing() as behind:
            port = free_port()
            words = [sys.executable, forwarder.__file__, f"{port}", f"{behind}", "0.3"]
            with subprocess.Popen(words, env={**os.environ, "NOTIFY_SOCKET": told.getsockname()}) as program:
                try:
                    assert await asyncio.to_thread(told.recv, 100) == b"READY=1"
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)

                    async def echo() -> float:
                        began = time.monotonic()
                        writer.write(b"word ")
                        assert await reader.readuntil(b" ") == b"word "
                        return time.monotonic() - began

                    await becomes(echo, 0, 0.2)
                    program.send_signal(signal.SIGUSR1)
                    await becomes(echo, 0.3, 1.0)
                    program.send_signal(signal.SIGUSR2)
                    await becomes(echo, 0, 0.2)
                    program.send_signal(signal.SIGUSR1)
                    await becomes(echo, 0.3, 1.0)
                    writer.write(b"late ")
                    await asyncio.sleep(0.05)
                    program.send_signal(signal.SIGUSR2)
                    await asyncio.sleep(0.05)
                    writer.write(b"later ")
                    assert await reader.readexactly(11) == b"late later "
                    writer.close()
                    await writer.wait_closed()
                finally:
                    program.terminate()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        asyncio.run(run(systemd))


def test_the_target_says_the_bounds_that_are_judged() -> None:
    bounds = (cache.P99_TIMES, cache.READONLY_SECONDS, cache.STAMPEDE)
    assert [float(each) for each in re.findall(r"(?<=at most )[\d.]+|[\d.]+(?= s at most)", cache.TARGET)] == [*bounds]
    assert PLAN.writes_percent == 20


def test_the_proof_s_lab_has_room_for_connections_and_a_cache_that_fails_over() -> None:
    """And its settings are sound: nothing but a lab that comes up would say so otherwise."""
    values = stack_config.load(ROOT, ROOT / "Pulumi.lab.yaml", SETTINGS)
    found = settings.parse(values, stack="lab", base=ROOT, source="the proof's settings")
    budget = found.connections
    assert (budget.most, budget.fits, found.cache.replicas) == (connections.MOST, True, 1)
    assert found.app.max_size >= misses.SERVERS
