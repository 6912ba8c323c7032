"""How long a starting app is waited for, and what is said of one that doesn't get ready."""

from collections.abc import Callable

import pytest
from expressway_app import install
from expressway_machine import host
from expressway_machine.readiness import Answer

APP = {"port": 3000, "liveness_path": "/alive", "readiness_path": "/ready"}
REFUSED = Answer(False, "Connection refused")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(install, "time", clock)
    monkeypatch.setattr(host, "print_log", lambda unit: print(f"the log of {unit}"))
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

        monkeypatch.setattr(install.readiness, "probe", probe)

    return answers


def test_an_app_that_is_ready_is_not_asked_anything_else(app: Callable[..., None], clock: Clock) -> None:
    app(up=3, alive=1000, ready=3)
    install.wait_until_ready(APP, patience=90)
    assert 3 <= clock.now < 4


def test_an_app_that_is_up_has_time_to_warm_up(app: Callable[..., None], clock: Clock) -> None:
    app(up=80, alive=80, ready=160)
    install.wait_until_ready(APP, patience=90)
    assert 160 <= clock.now < 161, "80 s to start and 80 s to warm up: neither is longer than 90"


def test_an_app_that_never_gets_ready_is_given_up_and_said_to_be_up(
    app: Callable[..., None], clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    app(up=5, alive=5, ready=1000)
    with pytest.raises(TimeoutError, match=r"the app is up \(/alive: HTTP 200\); no ready answer .* /ready.*HTTP 503"):
        install.wait_until_ready(APP, patience=90)
    assert 95 <= clock.now < 96
    assert "the log of expressway-app.service" in capsys.readouterr().out


def test_an_app_that_does_not_start_is_given_up_sooner(app: Callable[..., None], clock: Clock) -> None:
    app(up=1000, alive=1000, ready=1000)
    with pytest.raises(TimeoutError, match=r"the app isn't up \(no good answer to /alive\).*Connection refused"):
        install.wait_until_ready(APP, patience=90)
    assert 90 <= clock.now < 91


def test_an_app_that_answers_503_to_everything_is_not_up(app: Callable[..., None], clock: Clock) -> None:
    app(up=5, alive=1000, ready=1000)
    with pytest.raises(TimeoutError, match="isn't up"):
        install.wait_until_ready(APP, patience=90)
    assert 90 <= clock.now < 91
