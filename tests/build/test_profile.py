"""A CPU profile of an app's worker that runs: real Node and PM2, and the socket that an app server has."""

import contextlib
import getpass
import os
import signal
import socket
import threading
import time
from collections.abc import Generator, Iterator
from http.client import HTTPException
from pathlib import Path

import pytest
from expressway_app import paths, profiling
from expressway_app.profiling import ProfileError, Worker, Workers

from artifact import cache
from artifact.runtime import tools
from operate.profile import tree
from tests.build.pm2_app import App, await_end
from tests.paths import ROOT

MEASURE = ROOT / "user_data/app/files/measure.cjs"
SERVER = """
import { serve } from "KIT";
import { sum } from "./hot.mjs";
serve((request, response) => {
  if (request.url === "/hot") return response.end(JSON.stringify({ sum: sum(), pid: process.pid }));
  if (request.url === "/stuck") for (console.error("stuck"); ; );
  response.end(JSON.stringify({ pid: process.pid }));
});
"""
HOT = """
export function sum() {
  let total = 0;
  for (let number = 0; number < 3e6; number += 1) total += Math.sqrt(number) % 7;
  return total;
}
"""


@pytest.fixture(scope="module")
def runtime() -> Path:
    """Node and PM2, unpacked; the user's cache keeps them."""
    return tools(24, cache.root(), lambda _message: None).root


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setattr(paths, "USER", getpass.getuser())
    monkeypatch.setattr(paths, "PM2_HOME", tmp_path / "pm2")
    monkeypatch.setattr(paths, "HOME", tmp_path)
    workers = Workers(tmp_path / "profile.sock")
    yield workers
    workers.close()


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path, workers: Workers, runtime: Path) -> Iterator[App]:
    assert workers
    place = {"EXPRESSWAY_PROFILE_SOCKET": str(tmp_path / "profile.sock")}
    (tmp_path / "release/app").mkdir(parents=True)
    (tmp_path / "release/app/hot.mjs").write_text(HOT)
    variables = {
        "NODE_OPTIONS": f"--require={MEASURE}", "EXPRESSWAY_METRICS_SOCKET": str(tmp_path / "nobody.sock"), **place,
    }  # fmt: skip
    app = App(tmp_path, runtime, getattr(request, "param", "cluster"), SERVER, variables)
    yield app
    app.stop()


@contextlib.contextmanager
def load(app: App, path: str) -> Generator[set[int]]:
    """Ask for `path` while the body runs; which processes answered. Every answer has to be a right one."""
    pids, failed, done = set[int](), list[str](), threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                status, answer = app.ask(path)
                pids.add(answer["pid"])
                if status != 200:
                    failed.append(str(status))
            except (OSError, HTTPException) as error:
                failed.append(repr(error))

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield pids
    finally:
        done.set()
        client.join()
    assert failed == []


def all_of(workers: Workers) -> dict[int, Worker]:
    """Those that have said who they are, by their process."""
    return {each.pid: each for each in workers._workers.values() if each.name}  # pyright: ignore[reportPrivateUsage]


def await_workers(workers: Workers, count: int) -> dict[int, Worker]:
    deadline = time.monotonic() + 20
    while len(all_of(workers)) < count:
        assert time.monotonic() < deadline, all_of(workers)
        workers.wait(0.3)
    return all_of(workers)


@pytest.mark.parametrize("app", ["cluster", "fork"], indirect=True)
def test_a_worker_that_serves_is_profiled_and_what_keeps_it_busy_is_named_first(app: App, workers: Workers) -> None:
    with load(app, "/hot") as before:
        worker = workers.busiest("shop")
        told = workers.take(worker, 2)
    assert worker.pid in before, "one that answers requests, not PM2 or npm"
    text = told.removeprefix('{"profile":').removesuffix("}")
    found = tree.read(text, str(app.home), "i-1", "shop")
    assert 1900 < found.ms < 8000
    assert found.samples > found.ms / 8, "one each millisecond, but for what the machine has no time for"
    hottest = found.functions[0]
    assert (hottest.name, hottest.where, hottest.origin) == ("sum", "hot.mjs:2", "app"), found.functions[:5]
    assert hottest.self_ms > 0.5 * found.busy_ms
    deadline = time.monotonic() + 60
    with load(app, "/hot") as after:
        while worker.pid not in after and time.monotonic() < deadline:
            time.sleep(0.1)
    assert worker.pid in after, "and serves on, the same process"


def test_a_worker_can_be_profiled_again_and_one_that_ends_meanwhile_is_told(app: App, workers: Workers) -> None:
    await_workers(workers, 2)
    worker = workers.busiest("shop")
    for _ in range(2):
        assert workers.take(worker, 1).startswith('{"profile":{"nodes":[')
    threading.Timer(2.5, os.kill, (worker.pid, signal.SIGKILL)).start()
    began = time.monotonic()
    with pytest.raises(
        ProfileError, match=rf"^worker {worker.id} \(process {worker.pid}\) ended while it was profiled"
    ):
        workers.take(worker, 20)
    assert time.monotonic() - began < 15, "at once, and not when the time is over"
    # PM2 has started another in its place, which is found by itself.
    again = await_workers(workers, 2)
    assert worker.pid not in again
    assert workers.take(workers.busiest("shop"), 1).startswith('{"profile":')


def test_a_worker_whose_loop_is_held_up_is_given_up(
    app: App, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "LATE", 1.0)
    await_workers(workers, 2)
    with socket.create_connection(("127.0.0.1", app.port)) as stuck:
        stuck.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        app.await_log("stuck")
        worker = workers.busiest("shop")
        with pytest.raises(ProfileError, match="gave no profile within 1 s of its end: its event loop is held up"):
            workers.take(worker, 1)
    os.kill(worker.pid, signal.SIGKILL)


def test_nobody_is_profiled_for_longer_than_a_minute(app: App, workers: Workers) -> None:
    await_workers(workers, 2)
    for seconds in (0, -1, 61, 10_000):
        assert workers.take(workers.busiest("shop"), seconds).startswith('{"error":"RangeError')
    assert app.ask()[0] == 200


def test_a_machine_without_workers_is_told(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "COMING", 0.5)
    with pytest.raises(ProfileError, match="no worker of shop is here to be profiled"):
        workers.busiest("shop")


def test_a_stranger_at_the_socket_is_hung_up_on(tmp_path: Path, workers: Workers) -> None:
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b'{"name": 1, "id": 1}\n', b"[]\n", b"x" * 10_000):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(tmp_path / "profile.sock"))
            with contextlib.suppress(BrokenPipeError):
                stranger.sendall(nonsense)
            await_end(stranger, lambda: workers.wait(0.2))
    assert all_of(workers) == {}


def test_a_worker_that_tells_too_much_is_hung_up_on(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "LARGEST", 50_000)
    with socket.socket(socket.AF_UNIX) as flooding:
        flooding.connect(str(tmp_path / "profile.sock"))
        flooding.sendall(b'{"name": "shop", "id": 0}\n')
        (worker,) = await_workers(workers, 1).values()
        assert worker.pid == os.getpid(), "the kernel's word"
        flooding.sendall(b"x" * 60_000)
        with pytest.raises(ProfileError, match="more than 0 MB: take one of fewer seconds"):
            workers.take(worker, 1)
