"""How long a starting app is waited for, and what is said of one that doesn't get ready."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from expressway_app import journal, listeners, paths, start
from expressway_machine.readiness import Answer

APP = {"port": 3000, "liveness_path": "/alive", "readiness_path": "/ready"}
REFUSED = Answer(False, "Connection refused")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_000_000 + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    clock = Clock()
    monkeypatch.setattr(start, "time", clock)
    monkeypatch.setattr(paths, "ECOSYSTEM", tmp_path / "ecosystem.json")
    paths.ECOSYSTEM.write_text('{"apps": [{"name": "shop"}, {"name": "worker"}]}')
    monkeypatch.setattr(journal, "read", lambda _since: [])
    monkeypatch.setattr(listeners, "addresses", lambda _port, _tables: [])
    return clock


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Callable[..., None]:
    """Let the app answer its paths from the given seconds on; before, it answers 503, or nothing while it isn't up."""

    def answers(*, up: float, alive: float, ready: float) -> None:
        def probe(address: str, port: int, path: str) -> Answer:
            assert (address, port) == ("127.0.0.1", 3000)
            if clock.now < up:
                return REFUSED
            good = clock.now >= {"/alive": alive, "/ready": ready}[path]
            return Answer(good, "HTTP 200" if good else "HTTP 503")

        monkeypatch.setattr(start.readiness, "probe", probe)

    return answers


def test_an_app_that_is_ready_is_not_asked_anything_else(app: Callable[..., None], clock: Clock) -> None:
    app(up=3, alive=1000, ready=3)
    start.wait_until_ready(APP, patience=90)
    assert 3 <= clock.now < 4


def test_an_app_that_is_up_has_time_to_warm_up(app: Callable[..., None], clock: Clock) -> None:
    app(up=80, alive=80, ready=160)
    start.wait_until_ready(APP, patience=90)
    assert 160 <= clock.now < 161, "80 s to start and 80 s to warm up: neither is longer than 90"


def test_an_app_that_never_gets_ready_is_given_up_and_said_to_be_up(app: Callable[..., None], clock: Clock) -> None:
    app(up=5, alive=5, ready=1000)
    with pytest.raises(
        start.StartError, match=r"the app is up \(/alive: HTTP 200\); no ready answer .* /ready.*HTTP 503"
    ):
        start.wait_until_ready(APP, patience=90)
    assert 95 <= clock.now < 96


def test_an_app_that_does_not_start_is_given_up_sooner(app: Callable[..., None], clock: Clock) -> None:
    app(up=1000, alive=1000, ready=1000)
    with pytest.raises(start.StartError, match=r"the app isn't up \(no good answer to /alive\).*Connection refused"):
        start.wait_until_ready(APP, patience=90)
    assert 90 <= clock.now < 91


def test_an_app_that_answers_503_to_everything_is_not_up(app: Callable[..., None], clock: Clock) -> None:
    app(up=5, alive=1000, ready=1000)
    with pytest.raises(start.StartError, match="isn't up"):
        start.wait_until_ready(APP, patience=90)
    assert 90 <= clock.now < 91


def crash_after(monkeypatch: pytest.MonkeyPatch, clock: Clock, *seconds: float) -> None:
    """Have PM2 say that a process ended by itself, at each of these times."""

    def read(since: float) -> list[str]:
        assert since == 1_000_000, "only what this start led to counts"
        return [f"2026-11-25T21:30:27: PM2 log: App [shop:0] will restart in {n}ms" for n in seconds if n <= clock.now]

    monkeypatch.setattr(journal, "read", read)


def test_an_app_that_exits_each_time_is_given_up_at_once(
    app: Callable[..., None], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app(up=1000, alive=1000, ready=1000)
    crash_after(monkeypatch, clock, 1, 2, 3, 4)
    with pytest.raises(start.StartError, match=r"exits each time that it is started: 4 times in [67] s"):
        start.wait_until_ready(APP, patience=90)
    assert clock.now < 7


def test_an_app_that_crashed_twice_and_then_starts_is_waited_for(
    app: Callable[..., None], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app(up=30, alive=30, ready=30)
    crash_after(monkeypatch, clock, 1, 2)
    start.wait_until_ready(APP, patience=90)
    assert clock.now >= 30


def test_an_app_that_is_up_and_loses_a_worker_now_and_then_has_its_time_to_warm_up(
    app: Callable[..., None], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app(up=1, alive=1, ready=40)
    crash_after(monkeypatch, clock, 10, 11, 12)
    start.wait_until_ready(APP, patience=90)
    assert clock.now >= 40


@pytest.mark.parametrize(
    ("local", "where"),
    [(["127.0.0.1"], "127.0.0.1:3000"), (["::1"], r"\[::1\]:3000"), (["::ffff:127.0.0.1"], "ffff:.*")],
)
def test_an_app_that_listens_for_this_machine_alone_is_named_with_the_mend(
    local: list[str], where: str, app: Callable[..., None], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app(up=1, alive=1, ready=1)
    monkeypatch.setattr(listeners, "addresses", lambda _port, _tables: [ip_address(each) for each in local])
    with pytest.raises(start.StartError, match=rf"listens on .*{where} only.*Listen on process\.env\.HOST"):
        start.wait_until_ready(APP, patience=90)
    assert clock.now < 5


def test_an_app_that_listens_for_others_too_is_ready(
    app: Callable[..., None], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app(up=1, alive=1, ready=1)
    found = [ip_address("127.0.0.1"), ip_address("10.0.0.5")]
    monkeypatch.setattr(listeners, "addresses", lambda _port, _tables: found)
    start.wait_until_ready(APP, patience=90)
    assert clock.now < 2
