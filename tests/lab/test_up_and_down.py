"""Bringing the lab up and down: what stays, what a crash leaves, what fails and how it says so."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from lab import daemon, paths
from lab.down import API, CONTROLLER
from lab.machines import observation
from tests.lab.host_neighbour import noisy_neighbour
from tests.lab.host_snapshot import Snapshot, Watch
from tests.lab.stack import ROOT, expressway, up

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

FOREIGN_APP = "node-red@5.0.7"
"""An Express app that is not this project's: starts with `node red.js`, listens on PORT, knows no health path."""

APPS = ROOT / "tests" / "fixtures" / "apps"
ONE_SERVER = ("-c", "expressway:app.minSize=1")
"""Where another app server would boot and show nothing more."""


@pytest.fixture(scope="module", autouse=True)
def _none_of_before() -> None:
    expressway("lab", "down")


@pytest.fixture(autouse=True)
def _no_lab() -> Iterator[None]:
    yield
    expressway("lab", "down")


def down() -> None:
    done = expressway("lab", "down")
    assert done.returncode == 0, done.stderr


def kill_half_way() -> None:
    """Kill `lab up` once there is a machine."""
    started = subprocess.Popen(
        [str(ROOT / "expressway"), "lab", "up", "--engine", "mocks"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not observation.observe() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert observation.observe(), "it was killed before a machine was there, so this proves nothing"


def test_an_up_that_is_killed_half_way_does_not_hinder_the_next_and_down_leaves_nothing_but_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(tmp_path)
    watch.begin(monkeypatch)
    with noisy_neighbour():
        kill_half_way()
        assert up(*ONE_SERVER).get("/").status_code == 200
        down()  # now the cache has all that it will have
        before = watch.take()
        stack = up()
        seen = before.added(watch.take())
        # The machines' overlays are mounted in their own namespaces.
        assert seen.keys() == {field.name for field in fields(Snapshot)} - {"mounts", "forwarding"} | (
            seen.keys() & {"forwarding"}
        ), "a lab that is up does not show in the snapshot, so it proves nothing"
        assert stack.get("/").status_code == 200
        down()
        assert before.added(watch.take()) == {}, "the lab left something behind"


def test_down_where_there_is_no_lab_says_so_and_succeeds() -> None:
    done = expressway("lab", "down")
    assert (done.returncode, "no lab" in done.stdout) == (0, True), done.stdout


def test_a_new_controller_goes_on_where_a_killed_one_stopped_and_a_crashed_lab_is_cleared_away_by_the_next_up() -> None:
    stack = up("-c", "expressway:database.replicas=1")
    before = {machine["id"] for machine in stack.status["machines"]}
    [replica] = stack.get("/readyz?verbose").json()["parts"]["database"]["replicas"]
    assert replica["inRotation"], "it streams from the database, and the app knows of it"
    process = daemon.find(CONTROLLER)
    assert process
    process.kill()
    process.wait()
    assert stack.get("/").status_code == 200, "without the controller the machines go on"
    # By a process that ends, as `lab up` does: this one would remain its parent.
    again = f"from lab import daemon; daemon.start({CONTROLLER!r}, 'lab.controller')"
    subprocess.run([sys.executable, "-c", again], cwd=ROOT, check=True)
    metadata = ("curl", "-s", "-o", "/dev/null", "--retry", "60", "--retry-connrefused", "http://169.254.169.254/")
    assert stack.shell("edge", *metadata).returncode == 0, "the new controller does not serve metadata"
    time.sleep(5)  # some rounds of its
    stack.refresh()
    assert {machine["id"] for machine in stack.status["machines"]} == before, "a new controller changes nothing"
    assert stack.get("/items").status_code == 200
    for name in (CONTROLLER, API):
        running = daemon.find(name)
        assert running, f"{name} does not run"
        running.kill()
    second = up()
    assert second.get("/").status_code == 200
    assert not before & {machine["id"] for machine in second.status["machines"]}, "machines of the crashed lab are left"


CRASHES = 'console.error("no such config"); process.exit(3)\n'
LOCAL = 'require("node:http").createServer((q, r) => r.end()).listen(process.env.PORT, "127.0.0.1")\n'


@pytest.mark.parametrize(
    ("server", "first", "reason"),
    [
        (CRASHES, "no such config", "the app exits each time that it is started"),
        (LOCAL, "the app listens on 127.0.0.1:3000 only", "Listen on process.env.HOST (0.0.0.0)"),
    ],
    ids=["exits", "listens on localhost"],
)
def test_an_app_that_cannot_serve_fails_the_up_with_its_own_last_words_first(
    server: str, first: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "package.json").write_text(
        '{"name": "broken", "version": "1.0.0", "scripts": {"start": "node server.js"}}'
    )
    (tmp_path / "server.js").write_text(server)
    began = time.monotonic()
    done = expressway("lab", "up", "--engine", "mocks", "--app", str(tmp_path), *ONE_SERVER, seconds=300)
    assert done.returncode == 1, done.stdout
    # 21 s on a machine that does nothing else, of which the app itself gets 6.
    assert time.monotonic() - began < 75
    _, _, said = done.stderr.partition("failed to boot:\n")
    assert said.startswith(first), done.stderr
    assert reason in said.splitlines()[-1], done.stderr
    assert paths.STATE.exists(), "the machines stay for a look"


@pytest.mark.parametrize(
    ("app", "arguments", "mode"),
    [
        ("dependency-command", (), "fork"),
        ("hard-coded-port", ("-c", "expressway:app.port=8080"), "cluster"),
        ("ignores-signals", (), "cluster"),
        ("no-health-path", (), "cluster"),
        ("writes-to-its-folder", (), "cluster"),
    ],
)
def test_an_app_that_makes_no_allowances_runs_unmodified(app: str, arguments: tuple[str, ...], mode: str) -> None:
    stack = up("--app", str(APPS / app), *ONE_SERVER, *arguments)
    assert stack.get("/").status_code == 200
    assert stack.status["app"]["mode"] == mode, stack.status["app"]
    assert (mode == "cluster") or stack.status["app"]["reason"], "status says why it runs as one process"


def test_an_express_app_from_the_npm_registry_runs_unmodified(tmp_path: Path) -> None:
    npm = [str(ROOT / ".venv" / "bin" / "npm"), "pack", FOREIGN_APP, "--silent"]
    environment = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"}
    packed = subprocess.run(
        npm, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    with tarfile.open(tmp_path / packed) as archive:
        archive.extractall(tmp_path, filter="data")
    stack = up("--app", str(tmp_path / "package"), *ONE_SERVER)
    answer = stack.get("/")
    assert answer.status_code == 200
    assert "<title>Node-RED</title>" in answer.text, answer.text[:300]
