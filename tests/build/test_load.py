"""The real generator against small servers of which it is known what they can do; and where it comes from."""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from artifact import cache
from operate.load import mix, users, vegeta
from operate.load.attack import Attack, AttackError, Sent
from operate.load.measuring import step, timed
from operate.load.model import Sizes, Step
from operate.load.run import Load, Now, Options
from operate.profile.model import Profile
from operate.profile.request import Taken
from tests.fresh_environment import ROOT
from tests.load_server import LoadServer

Test = TypeVar("Test", bound=Callable[..., None])


def by_the_clock(test: Test) -> Test:
    """Made up to three times: a host that stands still for a moment has another rate, and hardly each time."""

    @functools.wraps(test)
    def tried(*given: Any, **more: Any) -> None:
        for _ in range(2):
            with contextlib.suppress(AssertionError):
                return test(*given, **more)
        return test(*given, **more)

    return cast(Test, tried)


HOME = mix.parse("routes: [{path: /}]", "mix.yaml")
QUICK = Options(step=2, ramp=1)


@pytest.fixture(scope="module")
def program() -> Path:
    """vegeta, as users get it."""
    return vegeta.ensure(cache.root())


def attack(program: Path, url: str, rate: int, seconds: float, **options: Any) -> tuple[list[Sent], Attack]:
    lines = list(users.Users(HOME, url).ask(int(rate * seconds) + 100, 1))
    made = Attack(program, lines, rate, seconds, **options)
    made.wait()
    return made.sent, made


def test_the_rate_is_held_and_each_request_is_told_once(program: Path) -> None:
    took: list[float] = []
    while not took or (took[-1] != pytest.approx(2, abs=0.1) and len(took) < 3):  # as below, where the host stood still
        with LoadServer(slots=100, service=0.01) as server:
            sent, made = attack(program, server.url, 100, 2)
        assert len(sent) in range(199, 202)
        assert sorted(each.number for each in sent) == list(range(len(sent)))
        assert sum(server.asked.values()) == len(sent)
        assert not [each for each in sent if each.failure]
        assert 0 < made.cpu < 2
        took.append(max(each.sent for each in sent) - min(each.sent for each in sent))
    assert took[-1] == pytest.approx(2, abs=0.1)


@by_the_clock
def test_a_stall_shows_in_the_times_of_all_who_had_to_wait(program: Path) -> None:
    with LoadServer(slots=1000, service=0.001) as server:
        server.stalled = 1.0
        sent, _ = attack(program, server.url, 100, 3)
    found = step(100, min(each.sent for each in sent), 3, timed(sent, 100))
    assert not found.failures
    # A hundred of three hundred were due in that second, and each waited for the rest of it.
    assert found.p99 > 900
    assert found.p90 > 600
    assert found.p50 < 100
    assert sum(count for bound, count in found.histogram.items() if bound > 100) in range(80, 105)


@by_the_clock
def test_a_stall_shows_as_well_where_the_generator_can_not_send_meanwhile(program: Path) -> None:
    with LoadServer(slots=1000, service=0.001) as server:
        server.stalled = 1.0
        sent, _ = attack(program, server.url, 100, 3, workers=2)
    by_sending = sorted(each.ended - each.sent for each in sent)
    assert by_sending[int(0.98 * len(by_sending))] < 0.5, "by its own clock two requests had to wait"
    assert step(100, min(each.sent for each in sent), 3, timed(sent, 100)).p90 > 600


@by_the_clock
def test_the_knee_is_what_the_server_can_do(program: Path) -> None:
    seen: list[str] = []
    with LoadServer(slots=4, service=0.02) as server:
        load = Load(program, server.url, HOME, QUICK, listener=lambda _, now: seen.append(now.doing))
        done = load.run()
        # What it can do on this machine, now: a server of Python on busy cores answers less than its pauses allow.
        able = max(each.answered_rps for each in done.steps)
    assert able > 0.7 * server.capacity
    assert done.knee_rps == pytest.approx(able, rel=0.2)
    assert done.steps[0].offered_rps < 0.5 * able, "the first step is light"
    assert max(each.offered_rps for each in done.steps) > able, "the last ones are not"
    assert done.bottleneck.tier in ("none", "generator")
    assert not done.interrupted
    assert [each.tier for each in done.steps[0].readings] == ["generator"] * 3
    assert sum(each.offered for each in done.timeline) == sum(server.asked.values())
    assert {"rising", "holding", "letting it settle"} <= {each.split(",")[0] for each in seen}
    json.dumps(done.as_json(), allow_nan=False)


@by_the_clock
def test_nothing_is_waited_for_once_no_further_step_can_end_in_time(program: Path) -> None:
    seen: list[str] = []
    with LoadServer(slots=1, service=0.025) as server:
        options = Options(step=2, ramp=1, within=4, start=80)
        done = Load(program, server.url, HOME, options, listener=lambda _, now: seen.append(now.doing)).run()
    assert [each.offered_rps for each in done.steps] == [80]
    assert done.knee_rps is None, "it was too much"
    assert "letting it settle" not in seen


@by_the_clock
def test_steps_lie_within_the_clocks_periods(program: Path) -> None:
    options = Options(step=2, ramp=1, only=20, period=4)
    with LoadServer(slots=10, service=0.01) as server:
        done = Load(program, server.url, HOME, options).run()
    (only,) = done.steps
    assert only.began % 4 == 0
    assert (only.offered_rps, only.seconds, only.requests) == (20, 2, pytest.approx(40, abs=1))
    assert done.knee_rps == 20


@pytest.mark.parametrize("lasts", [False, True])
@by_the_clock
def test_a_rate_that_is_slow_once_is_tried_again_and_goes_by_that_try(program: Path, *, lasts: bool) -> None:
    options, stalls = Options(step=2, ramp=1, start=20, factor=2, highest=40, again=True), [0.8, 0.8 if lasts else 0.0]

    def disturb(steps: Sequence[Step], now: Now) -> None:
        tries = len(steps) - 1
        if (now.doing, now.rate) == ("holding", 40) and tries < len(stalls) and now.left < 1.8:
            server.stalled, stalls[tries] = stalls[tries], 0.0

    with LoadServer(slots=100, service=0.01) as server:
        done = Load(program, server.url, HOME, options, listener=disturb).run()
    assert [each.offered_rps for each in done.steps][:2] == [20, 40]
    first, second = done.steps[:2]
    assert (first.slow_before, not second.failures) == (None, True)
    assert second.slow_before is not None
    assert second.slow_before > 250, "the first try is told"
    assert (second.p95 > 250, (done.knee_rps or 0) < 40) == (lasts, lasts)


class Profiler:
    """A profile that takes so many seconds, or that never is there."""

    def __init__(self, server: LoadServer, seconds: float, *, good: bool = True) -> None:
        self.began = self.asked = 0.0
        self.stopped = False
        self._server, self._seconds, self._good = server, seconds, good

    def start(self) -> None:
        self.began, self.asked = time.time(), sum(self._server.asked.values())

    @property
    def running(self) -> bool:
        return time.time() < self.began + self._seconds

    @property
    def taken(self) -> Taken | None:
        return Taken(Profile("i-1", "shop 0", 2000, 0, 2000, (), ()), "{}") if self._good else None

    def stop(self) -> None:
        self.stopped = True
        self.asked = sum(self._server.asked.values()) - self.asked


@by_the_clock
def test_a_profile_is_taken_after_the_steps_while_the_knees_rate_is_held(program: Path) -> None:
    options = Options(step=2, ramp=1, start=20, highest=30)
    with LoadServer(slots=50, service=0.01) as server:
        profiler = Profiler(server, 6)
        done = Load(program, server.url, HOME, options).run(profiler=profiler)
    assert [each.offered_rps for each in done.steps] == [20, 30]
    assert done.profile is not None
    assert done.profile.offered_rps == done.knee_rps == 30
    assert profiler.began > done.steps[-1].began + 2, "when the steps are over"
    assert profiler.asked == pytest.approx(30 * 8, abs=30), "it is held until the profile is there, in stretches of 4 s"
    assert profiler.stopped
    assert max(each.at for each in done.timeline) < profiler.began, "and counts for nothing"


@by_the_clock
def test_a_run_whose_app_servers_become_more_says_that_its_knee_is_of_no_number_of_them(program: Path) -> None:
    asked = iter([Sizes("us-east-1", "m7i.large", "t3.small", app_servers=number) for number in (2, 3)])
    with LoadServer(slots=50, service=0.01) as server:
        done = Load(program, server.url, HOME, Options(step=1, ramp=0, only=20)).run(sizes=lambda: next(asked))
    assert done.bottleneck.evidence[-1].startswith("App servers in service: 2 when it began, and 3 when it ended.")
    assert done.sizes
    assert done.sizes.app_servers == 3


@by_the_clock
def test_a_load_without_the_profile_that_was_wanted_has_all_the_rest(program: Path) -> None:
    options = Options(step=2, ramp=1, only=20)
    with LoadServer(slots=50, service=0.01) as server:
        done = Load(program, server.url, HOME, options).run(profiler=Profiler(server, 0.5, good=False))
    assert (done.profile, done.knee_rps, done.interrupted) == (None, 20, False)


@by_the_clock
def test_failures_are_counted_by_what_they_are_and_end_the_steps(program: Path) -> None:
    with LoadServer(slots=10, service=0.001, status=503) as server:
        options = Options(step=1, ramp=0, start=20)
        done = Load(program, server.url, HOME, options).run()
    assert [each.offered_rps for each in done.steps] == [20, 5, 1]
    assert done.knee_rps is None
    assert done.steps[0].failures.keys() == {"HTTP 503"}
    assert done.steps[0].answered_rps == 0


@by_the_clock
def test_users_log_in_and_bring_their_own_cookies(program: Path) -> None:
    text = 'thinkTime: 500ms\nsession: {login: {path: /login, body: "u{user}"}}\nroutes: [{path: "/me/{user}"}]'
    with LoadServer(slots=50, service=0.001) as server:
        options = Options(step=2, ramp=0, only=20)
        load = Load(program, server.url, mix.parse(text, "mix.yaml"), options)
        done = load.run()
    assert done.knee_rps == 20
    assert server.asked["POST /login"] == 10, "20 requests a second, one of each user every half second"
    assert {body for body in server.bodies if body} == {f"u{user}" for user in range(10)}
    for user in range(10):
        assert server.cookies[f"id=u{user}"] == server.asked[f"GET /me/{user}"] > 0


@pytest.mark.parametrize(("status", "told"), [(401, "answered 401"), (200, "set no cookie")])
def test_a_login_that_does_not_work_ends_the_load(program: Path, status: int, told: str) -> None:
    text = "thinkTime: 1s\nsession: {login: {path: /in}}\nroutes: [{path: /}]"
    with LoadServer(slots=50, service=0.001, status=status) as server:
        load = Load(program, server.url, mix.parse(text, "mix.yaml"), QUICK)
        with pytest.raises(users.LoginError, match=f"POST /in {told}"):
            load.run()


def test_stopping_does_not_wait_for_a_server_that_is_stuck(program: Path) -> None:
    with LoadServer(slots=1000, service=30) as server:
        lines = list(users.Users(HOME, server.url).ask(2000, 1))
        made = Attack(program, lines, 50, 30)
        await_(lambda: sum(server.asked.values()) > 20)
        began = time.monotonic()
        made.stop(0.5)
        assert time.monotonic() - began < 8
        asked = sum(server.asked.values())
        time.sleep(0.5)
        assert sum(server.asked.values()) == asked, "nobody asks any more"
    assert 0 < made.cpu < 2
    made.stop()


def test_one_that_has_ended_by_itself_can_be_stopped(program: Path) -> None:
    with LoadServer(slots=100, service=0.001) as server:
        lines = list(users.Users(HOME, server.url).ask(100, 1))
        made = Attack(program, lines, 20, 0.5)
        await_(lambda: sum(server.asked.values()) > 8)
        time.sleep(2)
        made.stop()
    assert len(made.sent) in (9, 10, 11)
    assert made.cpu > 0


def test_a_generator_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "vegeta").write_text("#!/bin/sh\necho 'flag provided but not defined: -lazy' >&2\nexit 2\n")
    (tmp_path / "vegeta").chmod(0o755)
    made = Attack(tmp_path / "vegeta", [], 10, 1)
    with pytest.raises(AttackError, match=r"ended with 2: flag provided but not defined"):
        made.wait()


def expressway(*words: str, **options: Any) -> subprocess.Popen[str]:
    """The command, as a terminal starts it: with a process group of its own, and an ear for Ctrl-C.

    A shell's background job, as these tests may be one, ignores it, and so does what it starts.
    """
    heard = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", f"{heard}runpy.run_module('cli', run_name='__main__')", "load", *words]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )


def await_(condition: Callable[[], bool], seconds: float = 60) -> None:
    ended = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ended, "it took too long"
        time.sleep(0.05)


@pytest.mark.usefixtures("program")
@by_the_clock
def test_ctrl_c_reports_what_was_measured_until_then(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    with LoadServer(slots=50, service=0.005) as server:
        mine = ["--url", server.url, "--i-own-this-target", "--start-rps", "20", "--step", "4", "--ramp", "0"]
        process = expressway(*mine, "--json", str(file))
        # The first step is over, and the second has begun to count.
        await_(lambda: sum(server.asked.values()) > 20 * 6 + 32 * 4)
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=60)
        asked = sum(server.asked.values())
        time.sleep(0.5)
        assert sum(server.asked.values()) == asked, "nobody asks any more"
    assert process.returncode == 0, said
    assert "interrupted: this is what was measured until then" in said
    run = json.loads(file.read_text())
    assert run["interrupted"]
    assert [each["offered_rps"] for each in run["steps"]] == [20, 32]
    assert run["steps"][0]["seconds"] == 4
    assert 1 <= run["steps"][1]["seconds"] < 4
    assert run["knee_rps"] == 20, "a step that was cut short decides nothing"
    assert "knee: 20 requests/s" in out


@pytest.mark.usefixtures("program")
@by_the_clock
def test_the_command_finds_the_one_route_writes_json_and_a_table(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    with LoadServer(slots=50, service=0.005) as server:
        process = expressway(
            *("--url", server.url, "--i-own-this-target", "--json", str(file)),
            *("--start-rps", "20", "--max-rps", "30", "--step", "2", "--ramp", "0"),
        )
        out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert Counter(each.split()[1] for each in server.asked) == {"/": 1}
    assert "no mix file: GET / alone" in said
    run = json.loads(file.read_text())
    assert {"knee_rps", "steps", "bottleneck"} <= run.keys()
    assert run["bottleneck"].keys() >= {"tier", "resource", "evidence", "next"}
    assert run["mix"] == ["100 %  GET /"]
    assert run["knee_rps"] == 30
    assert [line.split()[:2] for line in out.splitlines() if "kept up" in line and "/s" not in line] == [
        ["20", "20"],
        ["30", "30"],
    ]
    assert "knee: 30 requests/s or more" in out
    assert "generator: at most" in out


def test_without_go_and_without_vegeta_it_is_built_with_the_go_of_pypi(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = tmp_path / "path"
    empty.mkdir()
    for name in ("git", "sh"):
        if found := shutil.which(name):
            (empty / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(empty))
    said: list[str] = []
    assert vegeta.find(tmp_path / "cache") is None
    built = vegeta.ensure(tmp_path / "cache", said.append)
    assert "PyPI" in said[0]
    assert "attack" in subprocess.run([built, "-h"], capture_output=True, text=True, check=False).stderr
    assert [each.name for each in (tmp_path / "cache").rglob("*") if each.is_file()] == [built.name], "no Go is left"
    assert vegeta.ensure(tmp_path / "cache", said.append) == built
    assert len(said) == 1, "it is built once"


def test_where_it_can_not_be_built_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho 'dial tcp: no such host' >&2\nexit 1\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    with pytest.raises(
        vegeta.VegetaError, match=r"\(dial tcp: no such host\).*go install github.com/tsenart"
    ) as caught:
        vegeta.ensure(tmp_path / "cache")
    assert "\n" not in str(caught.value)
