"""What an app's processes tell of themselves: real Node and PM2, and the socket that an app server has."""

import getpass
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from app_metrics import reports
from app_metrics.listener import Listener
from app_metrics.reports import Process, Worker
from expressway_app import paths

from artifact import cache
from artifact.runtime import tools
from tests.build.pm2_app import KIT, App, await_end
from tests.paths import ROOT

MEASURE = ROOT / "user_data/app/files/measure.cjs"
SERVER = """
import { serve } from "KIT";
serve((request, response) => {
  if (request.url === "/block") for (const until = Date.now() + 700; Date.now() < until; );
  if (request.url === "/slow") return setTimeout(() => response.end("{}"), 20_000).unref();
  response.end("{}");
});
"""


@pytest.fixture(scope="module")
def runtime() -> Path:
    """Node and PM2, unpacked; the user's cache keeps them."""
    return tools(24, cache.root(), lambda _message: None).root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the processes look for the socket."""
    return tmp_path / "workers.sock"


@pytest.fixture
def listener(place: Path) -> Iterator[Listener]:
    listener = Listener(place)
    yield listener
    listener.close()


def options(place: Path) -> dict[str, str]:
    return {"NODE_OPTIONS": f"--require={MEASURE}", "EXPRESSWAY_METRICS_SOCKET": str(place)}


def await_workers(listener: Listener, good: Callable[[list[Worker]], bool], seconds: float = 30) -> list[Worker]:
    """The workers once they are as they should be, with all that they told since this was called."""
    deadline = time.monotonic() + seconds
    seen: list[Process] = []
    while time.monotonic() < deadline:
        listener.wait(time.time() + 0.3)
        seen = list(listener.processes())
        if good(reports.workers(seen)):
            return reports.workers(seen)
    raise AssertionError(f"not within {seconds} s: {reports.workers(seen)}")


@pytest.fixture
def app(
    request: pytest.FixtureRequest, tmp_path: Path, place: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[App]:
    monkeypatch.setattr(paths, "USER", getpass.getuser())
    monkeypatch.setattr(paths, "PM2_HOME", tmp_path / "pm2")
    monkeypatch.setattr(paths, "HOME", tmp_path)
    app = App(tmp_path, runtime, getattr(request, "param", "cluster"), SERVER, options(place))
    yield app
    app.stop()


def test_each_worker_of_a_cluster_tells_how_it_is_and_how_often_it_was_started(listener: Listener, app: App) -> None:
    await_workers(listener, lambda workers: len(workers) == 2)
    # Nothing has blocked them, but for a busy host as they began.
    found = await_workers(listener, lambda workers: all(each.most("lag_max") < 0.5 for each in workers))
    assert [each.key for each in found] == [("shop", 0), ("shop", 1)], "by PM2's name and numbers"
    assert all(each.together("rss") > 30e6 > each.together("cpu") > 0 for each in found)
    assert all(0 < each.together("heap_used") <= each.together("heap_total") for each in found)
    assert [each.restarts for each in found] == [0, 0]

    slow = HTTPConnection("127.0.0.1", app.port)
    slow.request("GET", "/slow")
    before = sum(each.together("requests") for each in found)
    await_workers(listener, lambda workers: sum(each.together("in_flight") for each in workers) == 1)
    slow.close()
    found = await_workers(listener, lambda workers: sum(each.together("in_flight") for each in workers) == 0)
    assert sum(each.together("requests") for each in found) > before, "one whose client hung up is over, and counts"

    def blocked() -> list[bool]:
        await_workers(listener, lambda workers: max(each.most("lag_max") for each in workers) < 0.6)
        app.ask("/block")
        workers = await_workers(listener, lambda workers: max(each.most("lag_max") for each in workers) > 0.6)
        return sorted(each.most("lag_max") > 0.6 for each in workers)

    # Again, where the host has held up the other one.
    assert [False, True] in (blocked() for _ in range(3)), "one worker, and not the other"

    app.reload("any")
    await_workers(listener, lambda workers: [each.restarts for each in workers] == [1, 1])


@pytest.mark.parametrize("app", ["fork"], indirect=True)
def test_an_app_that_npm_starts_is_measured_and_npm_is_not(listener: Listener, app: App) -> None:
    (worker,) = await_workers(listener, lambda workers: len(workers) == 1)
    assert worker.key == ("shop", 0)
    listener.wait(time.time() + 2)
    (worker,) = reports.workers(listener.processes())
    assert len(worker.processes) == 1


def test_an_app_never_notices_a_collector_that_is_dead_or_hangs(place: Path, app: App) -> None:
    failed: list[str] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            try:
                if app.ask()[0] != 200:
                    failed.append("another status")
            except (OSError, HTTPException) as error:
                failed.append(repr(error))
            time.sleep(0.01)

    client = threading.Thread(target=load)
    client.start()
    # There is none at first; then one that takes connections and reads nothing; then that is gone.
    time.sleep(3)
    hanging = socket.socket(socket.AF_UNIX)
    hanging.bind(str(place))
    hanging.listen(8)
    time.sleep(11)
    hanging.close()
    time.sleep(1)
    listener = Listener(place)
    try:
        found = await_workers(listener, lambda workers: len(workers) == 2)
    finally:
        done.set()
        client.join()
        listener.close()
    assert failed == []
    assert min(each.together("dropped") for each in found) >= 1, "what was never told is counted"
    assert all(each.together("requests") > 10 for each in found), "both served meanwhile"


def node(runtime: Path, place: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    told = {"PATH": os.environ["PATH"], **options(place), **variables}
    return subprocess.run(
        [str(runtime / "bin/node"), "--eval", program],
        env=told, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


PROCESS = {"name": "shop", "pm_id": "3", "restart_time": "4"}


def test_a_process_ends_when_its_own_work_does(runtime: Path, place: Path, listener: Listener) -> None:
    took: list[float] = []
    while not took or (took[-1] >= 4 and len(took) < 3):  # a host may stall once
        began = time.monotonic()
        done = node(runtime, place, "setTimeout(() => console.log('done'), 1500)", **PROCESS)
        assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
        took.append(time.monotonic() - began)
    assert min(took) < 4, "neither a timer nor the connection keeps it alive"
    listener.wait(time.time() + 0.5)
    assert list(listener.processes()) == [], "who is gone has told all"


def first(listener: Listener, process: threading.Thread) -> list[Process]:
    """What is told first; nothing where the process ends before."""
    told: list[Process] = []
    while process.is_alive() and not told:
        listener.wait(time.time() + 0.2)
        told = list(listener.processes())
    return told


def test_only_what_pm2_started_is_measured(runtime: Path, place: Path, listener: Listener) -> None:
    connected: list[bool] = []
    for variables in (PROCESS, {}):
        process = threading.Thread(
            target=node, args=(runtime, place, "setTimeout(() => {}, 4500)"), kwargs=dict(variables)
        )
        process.start()
        told = first(listener, process)
        process.join()
        listener.wait(time.time() + 0.2)
        connected.append(bool(told))
        if told:
            assert (told[0].last.id, told[0].last.restarts) == (3, 4)
    assert connected == [True, False], "a release command, or PM2 itself, tells nothing"


PARTS = """
import('KIT/measured.js').then(({ measured, ofCache, ofDatabase }) => {
  const cache = { breaker: "open", hits: 9, misses: 3, stale: 2, bypassed: 1 };
  const replica = (inRotation, lag) => ({ breaker: "closed", inRotation, lag });
  const database = (...replicas) => ({ primary: { breaker: "closed" }, replicas, retries: 4 });
  measured(() => ofCache(cache));
  measured(() => ofDatabase(database(replica(true, 7))));
  measured(() => ofDatabase(database(replica(true, 30), replica(false, null))));
  if (BROKEN) measured(() => { throw new Error("broken"); });
  setTimeout(() => {}, 4500);
});
"""


@pytest.mark.parametrize(
    ("broken", "wanted"),
    [
        (
            "false",
            {"hits": 9, "misses": 3, "stale": 2, "bypassed": 1, "retries": 8, "open": 1, "rotation": 2, "lag": 30},
        ),
        ("true", {}),
    ],
    ids=["well", "broken"],
)
def test_what_the_kit_has_counted_is_told_with_the_rest_which_never_depends_on_it(
    broken: str, wanted: dict[str, float], runtime: Path, place: Path, listener: Listener
) -> None:
    program = PARTS.replace("KIT", str(KIT.parent)).replace("BROKEN", broken)
    process = threading.Thread(target=node, args=(runtime, place, program), kwargs=PROCESS)
    process.start()
    told = first(listener, process)
    process.join()
    assert [(each.last.id, each.kit) for each in told] == [(3, wanted)]


@pytest.mark.parametrize(
    "program",
    [
        "globalThis[Symbol.for('expressway.kit')] = 5",
        "process.chdir('/'); delete globalThis.performance",
        "require('net').createConnection = () => { throw new Error('no network for you') }",
        "JSON.stringify = () => { throw new Error('broken') }",
    ],
)
def test_nothing_is_thrown_into_an_app_whatever_it_does(runtime: Path, tmp_path: Path, program: str) -> None:
    wait = "; setTimeout(() => console.log('done'), 1300)"
    done = node(runtime, tmp_path / "nowhere/workers.sock", program + wait, **PROCESS)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_an_app_that_may_do_nothing_but_compute_runs_all_the_same(runtime: Path, place: Path) -> None:
    script = place.parent / "app.mjs"
    script.write_text("setTimeout(() => console.log('done'), 1300)")
    told = {"PATH": os.environ["PATH"], **options(place), **PROCESS}
    done = subprocess.run(
        [str(runtime / "bin/node"), "--permission", str(script)],
        env=told, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr


def test_a_stranger_at_the_socket_is_hung_up_on(place: Path, listener: Listener) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b'{"name": "shop", "id": "x"}\n', b"x" * 10_000):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(place))
            stranger.sendall(nonsense)
            await_end(stranger, lambda: listener.wait(time.time() + 0.2))
    assert list(listener.processes()) == []
