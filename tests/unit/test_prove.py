"""The proof: what it counts, when a scenario has missed, and what it writes."""

import asyncio
import gc
import json
import re
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from artifact import inspect
from lab.api.faults import Faults, UnknownFaultError
from lab.bench.load import Client, Load, Outcome, Plan, Sample
from lab.config import LabConfig
from lab.machines.observation import MachineStatus, State
from lab.prove import breaking, plot, releases, report, scenarios
from lab.prove.__main__ import prove
from lab.prove.scenario import SCENARIOS, Result, Scenario, none_failed, row, unmet
from lab.prove.scenarios import database, healthy
from lab.prove.stand import Done, Running, Stand, StandError
from tests.paths import ROOT

assert scenarios.__all__


def outcome(*samples: tuple[float, float, str]) -> Outcome:
    """At, milliseconds, and failure."""
    return Outcome([Sample(at, milliseconds, "GET", failure) for at, milliseconds, failure in samples])


def test_a_gap_is_the_longest_time_without_a_right_answer() -> None:
    seen = outcome((0.0, 10, ""), (0.1, 10, ""), (0.5, 10, "HTTP 502"), (1.0, 10, ""), (1.1, 10, ""))
    assert seen.gap() == pytest.approx(900)


def test_a_late_answer_counts_where_it_arrives() -> None:
    assert outcome((0.0, 10, ""), (0.1, 900, ""), (0.2, 10, "")).gap() == pytest.approx(790)


def test_a_scenario_without_requests_has_not_passed() -> None:
    assert unmet(none_failed(Outcome()))
    assert unmet(none_failed(outcome((0, 1, "HTTP 502"))))
    assert not unmet(none_failed(outcome((0, 1, ""))))


async def _never(_stand: Any) -> Result:
    raise NotImplementedError


ONE = Scenario("one", "a | b", "0 failed", _never, None)


def test_a_row_has_what_was_counted() -> None:
    shown = row(ONE, Result(outcome((0, 5, ""), (1, 50, "HTTP 500")), ("1 failed",), {"seconds": 3}))
    assert {name: shown[name] for name in ("requests", "failed", "failures", "max", "passed")} == {
        "requests": 2,
        "failed": 1,
        "failures": {"HTTP 500": 1},
        "max": 50,
        "passed": False,
    }
    assert {"name", "p50", "p99", "gap", "target"} <= shown.keys()


def test_the_page_has_a_line_and_a_picture_for_each_scenario(tmp_path: Path) -> None:
    other = Scenario("two", "c", "back", _never, None)
    rows = [row(ONE, Result(outcome((0, 5, "")))), row(other, Result(Outcome(), ("never came up",)))]
    report.write(rows, tmp_path / "proof.json")
    report.write_page(rows, tmp_path, ["one", "two"])
    page = (tmp_path / "proof.md").read_text()
    assert r"| [a \| b](#one) | 1 | 0 | 5 | 5 | 5 | 0 | 0 failed | passed |" in page
    assert "**missed**: never came up" in page
    assert page.count("](proof/one.svg)") == page.count("](proof/two.svg)") == 1
    assert [each["passed"] for each in json.loads((tmp_path / "proof.json").read_text())["scenarios"]] == [True, False]


def test_a_row_that_is_taken_again_takes_the_place_of_the_old_one_and_the_others_stay(tmp_path: Path) -> None:
    other = Scenario("two", "c", "back", _never, None)
    missed = [row(each, Result(Outcome(), (f"{each.name} missed",))) for each in (ONE, other)]
    report.write_page(missed, tmp_path, ["one", "two"])
    report.write_page([row(ONE, Result(outcome((0, 5, ""))))], tmp_path, ["one", "two"])
    page = (tmp_path / "proof.md").read_text()
    assert "one missed" not in page
    assert page.index("[a \\| b](#one)") < page.index("two missed")


def test_a_picture_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    result = Result(outcome((0, 5, ""), (0.6, 50, "HTTP 500")), events=((0.5, "broken"),))
    for name in ("first", "second"):
        plot.draw(ONE, result, tmp_path / f"{name}.svg")
    first, second = ((tmp_path / f"{name}.svg").read_text() for name in ("first", "second"))
    assert first == second
    assert "broken" in re.sub(r"<!--|-->", "", first), "what was done is written beside its line"
    plot.draw(ONE, replace(result, events=13 * result.events), tmp_path / "many.svg")
    assert "broken" not in (tmp_path / "many.svg").read_text(), "so many can't be read"


def test_an_hours_timeline_is_a_picture_that_a_page_can_have(tmp_path: Path) -> None:
    assert plot.bin_seconds([Sample(30.0, 2.0, "GET", "")]) == 0.5
    hour = [Sample(at / 5, 2.0 + at % 7, "GET", "HTTP 502" if at == 9000 else "") for at in range(5 * 3600)]
    plot.draw(ONE, Result(Outcome(hour)), tmp_path / "hour.svg")
    assert (tmp_path / "hour.svg").stat().st_size < 300_000


def test_every_scenario_says_what_it_does_and_what_must_be_true() -> None:
    assert len(SCENARIOS) >= 15
    for name, one in SCENARIOS.items():
        assert re.fullmatch(r"[a-z0-9-]+", name), name
        assert one.title, name
        assert one.target, name


@pytest.mark.parametrize("fault", [None, *releases.FAULTS])
def test_each_release_of_the_proof_can_be_built(fault: str | None, tmp_path: Path) -> None:
    folder = releases.make(ROOT / "app", tmp_path, "1.2.3", fault)
    app = inspect(folder)
    assert app.version == "1.2.3"
    assert "faultyRoutes()" in (folder / "src/app.js").read_text()


@asynccontextmanager
async def answering(answer: Callable[[str], bytes | None]) -> AsyncGenerator[str]:
    """A server that answers a request line so; None closes the connection without a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            found = re.search(r"Content-Length: (\d+)", head)
            body = await reader.readexactly(int(found[1]) if found else 0)
            said = answer(head.partition("\r\n")[0] + body.decode())
            if said is None:
                break
            writer.write(said)
            await writer.drain()
        writer.close()

    served: set[asyncio.Task[Any] | None] = set()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(quietly, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await asyncio.gather(*(task for task in served if task), return_exceptions=True)
        await asyncio.sleep(0)


def _answer(status: str, value: Any) -> bytes:
    body = json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _loaded(answer: Callable[[str], bytes | None], enough: Callable[[], bool]) -> Outcome:
    """What became of a load that goes on until it was enough."""
    stopped = asyncio.Event()
    async with answering(answer) as url:
        load = asyncio.create_task(Load(url, Plan(rate=100, writes_percent=50, fresh_percent=20)).run(stopped))
        await _until(enough)
        stopped.set()
        return await load


async def _until(true: Callable[[], bool]) -> None:
    """Wait, for as long as a busy host may need."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


def test_a_load_counts_wrong_answers_and_dropped_connections_and_sends_nothing_twice() -> None:
    names: list[str] = []
    reads = 0

    def answer(request: str) -> bytes | None:
        nonlocal reads
        if request.startswith("POST"):
            names.append(json.loads(request[request.index("{") :])["name"])
            if len(names) == 25:
                return None
            return _answer("201 Created", {"name": names[-1], "id": len(names)})
        reads += 1
        if reads == 3:
            return _answer("502 Bad Gateway", {})
        identifier = int(re.findall(r"/items/(\d+)", request)[0])
        return _answer("200 OK", {"name": "another" if reads == 5 else names[identifier - 1]})

    seen = asyncio.run(_loaded(answer, lambda: len(names) > 30 and reads > 10))
    assert seen.failures("GET") == {"HTTP 502": 1, "another item's answer": 1}
    assert seen.failures("POST") == {"IncompleteReadError": 1}
    assert len(names) == len(set(names)), "a write was sent twice"
    assert seen.refused == {names[24]}
    assert seen.acknowledged.keys() == set(names) - {names[24]}


def test_a_load_goes_on_at_its_rate_while_nothing_is_answered() -> None:
    begun: list[str] = []

    def answer(request: str) -> bytes | None:
        begun.append(request)
        name = json.loads(request[request.index("{") :])["name"] if "{" in request else ""
        return _answer("201 Created", {"name": name, "id": 1}) if len(begun) <= 20 else b""

    async def run() -> None:
        stopped = asyncio.Event()
        async with answering(answer) as url:
            load = asyncio.create_task(Load(url, Plan(rate=100, writes_percent=100)).run(stopped))
            await _until(lambda: len(begun) >= 20 + 50)
            stopped.set()
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)

    asyncio.run(run())


def test_planted_faults_answer_what_reads_the_fleet_and_nothing_else() -> None:
    faults = Faults()
    assert faults.answer("DescribeAutoScalingGroups") is None
    faults.plant("throttled")
    throttled = faults.answer("DescribeAutoScalingGroups")
    assert throttled is not None
    assert throttled.status_code == 400
    assert b"Throttling" in throttled.data
    assert faults.answer("CompleteLifecycleAction") is None
    faults.plant(None)
    assert faults.answer("DescribeAutoScalingGroups") is None
    with pytest.raises(UnknownFaultError, match="throttled, empty, garbage"):
        faults.plant("lost")


def test_a_connection_that_the_server_closed_long_ago_is_not_used_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_answer("200 OK", {}))
        await writer.drain()
        writer.close()

    async def run() -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            client = Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            for _ in range(3):
                assert (await client.request("GET", "/"))[0] == 200
                await asyncio.sleep(0.05)  # for the close to arrive
            client.close()
            return client.connections

    assert asyncio.run(run()) == 3


class Watch:
    """CloudWatch with two pages of alarms, in the last of the states given."""

    def __init__(self, seen: list[dict[str, str]]) -> None:
        self.seen = seen

    def get_paginator(self, operation: str) -> "Watch":
        assert operation == "describe_alarms"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        states = [{"AlarmName": name, "StateValue": state} for name, state in self.seen[-1].items()]
        return [{"MetricAlarms": states[:1]}, {"MetricAlarms": states[1:]}]


@dataclass(frozen=True)
class QuietStand(Stand):
    """A stand whose load is one right answer, and whose CloudWatch is another once it runs."""

    seen: list[dict[str, str]]
    """The states of its alarms; the last is now."""

    def aws(self, service: str) -> Any:
        return Watch(self.seen)

    @asynccontextmanager
    async def load(self, *_: Any, **__: Any) -> AsyncGenerator[Running]:
        load = Load("http://127.0.0.1", Plan(rate=1))
        load.outcome.samples.extend(outcome((0, 1, "")).samples)
        self.seen.pop()
        looks = count()
        load.elapsed = lambda: float(next(looks))  # the time goes on from look to look
        yield Running(load, load.outcome)


@pytest.mark.parametrize(
    ("then", "misses"),
    [
        ({"app-cpu": "OK", "TargetTracking-app-high": "ALARM"}, ()),
        ({"app-cpu": "OK", "edge-cpu": "ALARM"}, ("raised: edge-cpu",)),
        ({}, ("the stack has no alarms",)),
    ],
)
def test_a_healthy_hour_misses_where_an_alarm_of_the_stack_is_raised(
    then: dict[str, str], misses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healthy, "LOOK_SECONDS", 0.01)
    seen = [then, dict.fromkeys(then, "OK")]
    stand = QuietStand("", LabConfig(0, "", {}, {}), {}, Path(), Path(), seen)
    assert asyncio.run(healthy.hour(stand, 5)).misses == misses


def test_what_is_old_is_not_looked_through_while_requests_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = gc.get_threshold()
    generations: list[int] = []

    def collected(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    async def idle(_: Load, stopped: asyncio.Event) -> None:
        await stopped.wait()

    async def under_load() -> None:
        async with Stand("http://127.0.0.1", LabConfig(0, "", {}, {}), {}, Path(), Path()).load(lead=0):
            # Far more than there was: all would be looked through.
            grown = [[index] for index in range(2 * len(gc.get_objects()) + 15 * usual[0] * usual[1])]
            assert grown

    monkeypatch.setattr(Load, "run", idle)
    gc.callbacks.append(collected)
    try:
        asyncio.run(under_load())
    finally:
        gc.callbacks.remove(collected)
    assert (set(generations), gc.get_threshold()) == ({0, 1}, usual)


def _wrote(*names: str, at: float = 0.0) -> Running:
    """A load whose reads were right, and whose writes of these names were acknowledged, one each second."""
    load = Load("http://127.0.0.1", Plan(rate=1))
    for number, name in enumerate(names):
        load.outcome.acknowledged[name] = number
        load.outcome.samples.append(Sample(at + number, 5, "POST", ""))
        load.outcome.samples.append(Sample(at + number, 1, "GET", ""))
    return Running(load, load.outcome)


def _judged(running: Running, stored: list[str], unread: Collection[str] = ()) -> Result:
    return database.judged(running, stored, unread, {}, 3.0)


def test_a_database_that_has_each_acknowledged_write_once_has_passed() -> None:
    found = _judged(_wrote("a", "b", "c"), ["of another load", "a", "b", "c"])
    assert found.misses == ()
    assert {name: found.figures[name] for name in ("acknowledged_writes", "lost", "twice", "writes_gap_seconds")} == {
        "acknowledged_writes": 3,
        "lost": 0,
        "twice": 0,
        "writes_gap_seconds": 1.0,
    }


def test_a_planted_lost_write_is_found_in_the_database_and_by_the_app() -> None:
    found = _judged(_wrote("a", "b", "c"), ["a", "c"])
    assert found.misses == ("1 acknowledged writes are not in the database",)
    assert found.figures["lost"] == 1
    assert _judged(_wrote("a", "b"), ["a", "b"], {"b"}).misses == (
        "1 acknowledged writes are not given back by the app",
    )


def test_a_write_that_was_done_twice_is_found_though_it_was_refused() -> None:
    running = _wrote("a", "b")
    assert _judged(running, ["a", "b", "b"]).misses == ("1 writes were carried out twice",)
    running.outcome.refused.add("c")
    assert _judged(running, ["a", "b", "c"]).misses == (), "its answer was lost, and not the write"
    assert _judged(running, ["a", "b", "c", "c"]).misses == ("1 writes were carried out twice",)


def test_a_gap_of_writes_is_one_though_reads_are_answered_in_it() -> None:
    running = _wrote("a", "b")
    running.outcome.samples += [Sample(1 + each / 10, 1, "GET", "") for each in range(60)]
    running.outcome.samples.append(Sample(6, 5, "POST", "HTTP 503"))
    running.outcome.samples.append(Sample(6.5, 5, "POST", ""))
    found = _judged(running, ["a", "b"])
    assert found.misses == ("no write was acknowledged for 5.5 s",)
    assert found.figures["failed_post"] == 1


def test_a_read_that_failed_or_a_load_that_wrote_nothing_is_a_miss() -> None:
    running = _wrote("a")
    running.outcome.samples.append(Sample(1, 5, "GET", "HTTP 503"))
    assert _judged(running, ["a"]).misses == ("1 GET failed (HTTP 503 1)",)
    assert "no write was acknowledged" in _judged(_wrote(), []).misses


def test_what_the_app_does_not_give_back_is_named() -> None:
    async def run() -> set[str]:
        def answer(request: str) -> bytes:
            identifier = int(request.split("/items/")[1].split()[0])
            return _answer("404 Not Found", {}) if identifier == 2 else _answer("200 OK", {"name": f"n{identifier}"})

        async with answering(answer) as url:
            return await database.read_back(url, {f"n{number}": number for number in range(1, 30)})

    assert asyncio.run(run()) == {"n2"}


def test_reads_beside_the_database_are_of_what_was_read_before() -> None:
    reads: list[int] = []
    made = iter(range(1, 100))

    def answer(request: str) -> bytes:
        if request.startswith("POST"):
            name = json.loads(request[request.index("{") :])["name"]
            return _answer("201 Created", {"name": name, "id": next(made)})
        reads.append(int(request.split("/items/")[1].split()[0]))
        return _answer("200 OK", {})

    async def run() -> None:
        async with answering(answer) as url:
            client, asked = Client(url), database.Cached(0, Outcome())
            await asked.begin(client)
            warm = set(reads)
            assert {asked.next(number)[1][1] for number in range(100)} == warm
            client.close()

    asyncio.run(run())


@dataclass(frozen=True)
class TwoApps(Stand):
    """A stand that writes down what its command line is told, and whose deploys end with `status`."""

    told: list[str]
    status: int = 0
    pids: list[str] = field(default_factory=lambda: ["7"])
    """Of the one app server's worker: the last is now."""

    async def expressway(self, *words: str, seconds: float = 600) -> Done:
        self.told.append(words[0])
        return Done(self.status, "", "no room", seconds)

    async def settled(self, count: int = 2, gone: Sequence[str] = ()) -> None:
        self.told.append("settled")

    def machines(self, tier: str) -> list[MachineStatus]:
        return [MachineStatus("i-1", tier, "", State.READY, 0, 1, 1, ())] if tier == "app" else []

    async def pm2(self, machine: str, *words: str) -> str:
        return self.pids[-1]

    async def inside(self, machine: str, *words: str, given: str = "") -> str:
        return "40"


def _two_apps(status: int = 0) -> TwoApps:
    return TwoApps("", LabConfig(0, "", {}, {}), {}, Path(), Path(), [], status)


def test_the_sample_app_is_back_after_the_unmodified_one_whatever_was_seen() -> None:
    stand = _two_apps()

    async def seen(_: Stand) -> Result:
        stand.told.append("run")
        raise StandError("no write")

    with pytest.raises(StandError, match="no write"):
        asyncio.run(database.unmodified(stand, seen))
    assert stand.told == ["deploy", "settled", "run", "rollback"]


def test_nothing_is_broken_where_the_unmodified_app_was_not_deployed() -> None:
    stand = _two_apps(status=1)

    async def never(_: Stand) -> Result:
        raise AssertionError("it ran")

    with pytest.raises(StandError, match="the deploy of plain-cached ended with 1: no room"):
        asyncio.run(database.unmodified(stand, never))
    assert stand.told == ["deploy"]


@pytest.mark.parametrize(("then", "misses"), [("7", ()), ("8", ("processes have begun anew on i-1",))])
def test_writes_that_come_back_by_a_restart_are_a_miss(then: str, misses: tuple[str, ...]) -> None:
    stand = _two_apps()

    async def seen(_: Stand) -> Result:
        stand.pids.append(then)
        return Result(Outcome())

    assert asyncio.run(database.unmodified(stand, seen)).misses == misses


def test_a_way_is_cut_between_two_sides_and_healed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(breaking, "_nft", given.append)
    with pytest.raises(OSError, match="meanwhile"), breaking.cut(["10.0.0.1", "10.0.0.2"], ["10.0.9.9"]):
        raise OSError("meanwhile")
    assert "ip saddr { 10.0.0.1, 10.0.0.2 } ip daddr { 10.0.9.9 } drop" in given[0]
    assert "ip saddr { 10.0.9.9 } ip daddr { 10.0.0.1, 10.0.0.2 } drop" in given[0]
    assert given[1] == f"delete table inet {breaking.TABLE}\n"


def test_a_scenario_that_fails_by_itself_has_missed_and_those_after_it_are_carried_out() -> None:
    async def settled() -> None:
        pass

    async def well(_stand: Any) -> Result:
        return Result(outcome((0, 5, "")))

    ready: Any = SimpleNamespace(settled=settled)
    rows = prove(ready, [ONE, Scenario("well", "nothing", "nothing", well, None)], None)
    assert [(row["name"], row["passed"]) for row in rows] == [("one", False), ("well", True)]
    assert rows[0]["misses"] == ["NotImplementedError: "]


def test_what_does_not_settle_is_told_with_what_was_there_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unsettled(Stand):
        def machines(self, tier: str) -> list[MachineStatus]:
            states = {"i-1": State.READY, "i-2": State.BOOTING}
            return [MachineStatus(each, tier, "", state, 0, 1, 1, ()) for each, state in states.items()]

        async def serving(self) -> set[str]:
            return {"i-0", "i-1"}

    stand = Unsettled("", LabConfig(0, "", {}, {}), {}, Path(), Path())
    monkeypatch.setattr(Stand.until, "__defaults__", (0.0, 0.0))
    with pytest.raises(StandError, match=r"none else; there are i-0 gone in Nginx, i-1 ready in Nginx, i-2 booting$"):
        asyncio.run(stand.settled())
