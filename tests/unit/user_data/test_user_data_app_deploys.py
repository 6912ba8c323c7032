"""Deploys in place: what is installed when the tag says so, and what runs afterwards, whatever goes wrong."""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from expressway_app import artifact, current, deploys, health, journal, paths, releases, reload, requests, start
from expressway_app.current import Refreshed
from expressway_app.report import Reporter, last
from expressway_machine import config, host
from expressway_machine.readiness import Answer
from moto import mock_aws

BUCKET, POINTER, HASH = "shop-artifacts", "/shop/release", "a" * 64
START = {"mode": "cluster", "script": "server.js", "args": [], "npm_script": None, "reason": ""}


class Machine:
    """An app server without its PM2: what was asked of that is kept, and releases in `broken` don't get ready."""

    def __init__(self, ssm: Any) -> None:
        self.ssm = ssm
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.runs = ""
        self.interrupted = False

    def release(self, name: str, **manifest: Any) -> str:
        """Make a release; what is fetched by its key."""
        folder = paths.RELEASES.with_name("bucket") / name
        folder.mkdir(parents=True)
        (folder / "expressway.json").write_text(
            json.dumps({"name": "shop", "start": START, "wait_ready": False, "node": 24} | manifest)
        )
        return name

    def point(self, name: str) -> None:
        """Move the pointer."""
        value = json.dumps({"release_id": name, "key": name, "sha256": HASH})
        self.ssm.put_parameter(Name=POINTER, Value=value, Type="String", Overwrite=True)

    def workers(self, variables: dict[str, str], _app: Any, *, parallel: int) -> None:
        """PM2's reload."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.asked.append(f"reload {variables['RELEASE_ID']}")
        self.runs = variables["RELEASE_ID"]
        if self.runs in self.broken:
            raise reload.ReloadError(f"worker 0 of {self.runs} doesn't start")

    def systemctl(self, *command: str, **_named: Any) -> None:
        """A restart of the service, before which it writes its environment."""
        assert command == ("systemctl", "restart", "expressway-app.service")
        self.runs = paths.release() or ""
        self.asked.append(f"restart {self.runs}")
        current.workers_run_with(refreshed().digest)
        paths.STARTED.write_text(current.digest_of(paths.ECOSYSTEM))

    def wait(self, _app: Any) -> None:
        """Until ready."""
        if self.runs in self.broken:
            raise start.StartError(f"{self.runs} exits each time")


def refreshed() -> Refreshed:
    return Refreshed({"RELEASE_ID": paths.release() or ""})


def fetch(_s3: Any, _bucket: str, key: str, sha256: str, target: Path, owner: str, mark: str) -> bool:
    if target.is_dir():
        return False
    source = target.parent.with_name("bucket") / key
    if not source.is_dir():
        raise artifact.ArtifactError(f"s3://{BUCKET}/{key} has SHA-256 f, not {sha256}")
    shutil.copytree(source, target)
    (target / mark).write_text(sha256)
    return True


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine on which release `one` was installed at boot, and is ready."""
    for name in ("STATE", "REPORT", "SECRETS", "WORKERS", "STARTED", "RELOADING", "ECOSYSTEM"):
        monkeypatch.setattr(paths, name, tmp_path / "run" / getattr(paths, name).name)
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(paths, "RELEASES", tmp_path / "releases")
    monkeypatch.setattr(artifact, "fetch", fetch)
    monkeypatch.setattr(releases, "_version", lambda _runtime: "v24.1.0\n")
    monkeypatch.setattr(current, "refresh", lambda *_args: refreshed())
    monkeypatch.setattr(journal, "read", lambda _since: ["the app's last words"])
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        made = Machine(boto3.client("ssm", region_name="us-east-1"))
        monkeypatch.setattr(reload, "workers", made.workers)
        monkeypatch.setattr(host, "run", made.systemctl)
        monkeypatch.setattr(start, "wait_until_ready", made.wait)
        releases.make_current(releases.fetch(None, {"bucket": BUCKET}, named(made.release("one"))))
        paths.ECOSYSTEM.write_text(
            releases.ecosystem(paths.RELEASES / "one", paths.RUNTIMES / ("0123456789abcdef" * 4))
        )
        made.systemctl("systemctl", "restart", "expressway-app.service")
        made.asked.clear()
        deploys.followed(None, "one")
        yield made


@pytest.fixture
def follower(machine: Machine, app_machine: config.Machine) -> deploys.Follower:
    class Clients:
        def get(self, service: str) -> Any:
            return boto3.client(service, region_name="us-east-1")

    clients: Any = Clients()
    return deploys.Follower(app_machine, "i-1", Reporter(app_machine, "i-1", clients.get("s3")), clients)


@pytest.fixture
def follow(follower: deploys.Follower) -> Callable[[str], bool]:
    return follower.follow


def named(name: str, sha256: str = HASH) -> artifact.Release:
    return artifact.Release(name, name, sha256)


def report() -> tuple[Any, ...]:
    return tuple(last()[key] for key in ("state", "release", "deploy"))


def test_a_release_that_is_started_alike_is_reloaded_and_one_that_is_not_restarts_the_service(
    machine: Machine, follow: Callable[[str], bool]
) -> None:
    machine.point(machine.release("two"))
    assert follow("d-1")
    assert (machine.asked, report()) == (["reload two"], ("ready", "two", "d-1"))
    machine.point(machine.release("three", start=START | {"script": "other.js"}))
    assert follow("d-2")
    assert (machine.asked[1:], report()) == (["restart three"], ("ready", "three", "d-2")), "PM2 keeps what it has read"


@pytest.mark.parametrize("manifest", [{}, {"wait_ready": True}])
def test_a_release_that_does_not_get_ready_gives_way_to_the_one_before(
    manifest: dict[str, Any], machine: Machine, follow: Callable[[str], bool]
) -> None:
    machine.point(machine.release("bad", **manifest))
    machine.broken.add("bad")
    assert not follow("d-1")
    assert (machine.runs, report()) == ("one", ("failed", "one", "d-1"))
    assert "bad" in last()["reason"]
    assert "release one runs again" in last()["reason"]
    assert last()["log"] == ["the app's last words"]
    assert deploys.state() == deploys.State("d-1", "one"), "it is not tried again, and the next one goes back to `one`"


def test_a_release_that_cannot_be_had_changes_nothing(machine: Machine, follow: Callable[[str], bool]) -> None:
    machine.point("corrupt")
    assert not follow("d-1")
    assert (machine.asked, report()) == ([], ("failed", "one", "d-1"))
    assert "SHA-256" in last()["reason"]
    assert "runs again" not in last()["reason"], "it never stopped"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [({"node": 26}, "built for Node 26, and this machine has Node 24"), ({"start": 1}, "TypeError")],
)
def test_a_release_that_is_not_for_this_machine_is_refused_as_it_runs(
    manifest: dict[str, Any], words: str, machine: Machine, follow: Callable[[str], bool]
) -> None:
    machine.point(machine.release("other", **manifest))
    assert not follow("d-1")
    assert words in last()["reason"]
    assert machine.runs == "one"


def test_a_deploy_that_was_cut_short_is_finished_by_the_next_start(
    machine: Machine, follow: Callable[[str], bool]
) -> None:
    machine.point(machine.release("two"))
    machine.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        follow("d-1")
    assert (paths.release(), machine.runs) == ("two", "one"), "switched, and not reloaded"
    machine.interrupted = False
    assert follow("d-1")
    assert (machine.asked, report()) == (["reload two"], ("ready", "two", "d-1"))


def test_a_deploy_that_was_cut_short_and_then_fails_goes_back_to_what_was_ready(
    machine: Machine, follow: Callable[[str], bool]
) -> None:
    machine.point(machine.release("bad"))
    machine.broken.add("bad")
    machine.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        follow("d-1")
    machine.interrupted = False
    assert not follow("d-1")
    assert (machine.runs, report()) == ("one", ("failed", "one", "d-1"))


def test_a_deploy_of_what_runs_touches_no_worker(machine: Machine, follow: Callable[[str], bool]) -> None:
    machine.point("one")
    assert follow("d-1")
    assert (machine.asked, report()) == ([], ("ready", "one", "d-1"))


def test_a_deploy_is_followed_once_and_a_tag_that_cannot_be_read_changes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploys, "PERIOD", 0.01)
    seen: list[str] = []
    answers: list[dict[str, str] | OSError] = [
        {},
        OSError("no answer"),
        *({deploys.TAG: each} for each in ("d-1", "d-1", "d-2", "", "d-2")),
    ]

    def read(keys: Collection[str]) -> dict[str, str]:
        assert set(keys) == {deploys.TAG}
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def follow(deploy: str) -> None:
        seen.append(deploy)
        deploys.followed(deploy, "one")

    tags = requests.Tags([deploys.TAG], read)
    for _ in range(7):
        tags.look()
        deploys.run(tags, lambda: None, follow, lambda: None, lambda: None, rounds=1)
    assert seen == ["d-1", "d-2"]


def test_what_comes_is_fetched_once_while_a_deploy_has_the_machine_drained_and_not_for_another_drain(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploys, "PERIOD", 0.01)
    begun: list[str] = []
    told = [
        {},
        {deploys.DRAIN: "mine"},
        *[{deploys.DRAIN: "deploy"}] * 2,
        {deploys.DRAIN: "deploy", deploys.TAG: "d-1"},
        {deploys.TAG: "d-1"},
    ]
    tags = requests.Tags([deploys.TAG, deploys.DRAIN], lambda _keys: told.pop(0))

    def follow(deploy: str) -> None:
        begun.append(deploy)
        deploys.followed(deploy, "one")

    tags.look()
    deploys.run(tags, lambda: begun.append("prepare"), follow, tags.look, lambda: None, rounds=len(told))
    assert begun == ["prepare", "d-1"]


def test_what_was_fetched_before_the_deploy_runs_only_then_and_what_cannot_be_fetched_is_told_only_then(
    machine: Machine, follower: deploys.Follower
) -> None:
    machine.point(machine.release("two"))
    follower.prepare()
    assert (machine.asked, paths.release(), (paths.RELEASES / "two").is_dir()) == ([], "one", True)
    shutil.rmtree(paths.RELEASES.with_name("bucket") / "two")
    assert follower.follow("d-1"), "it is there already"
    machine.point("corrupt")
    follower.prepare()
    assert report() == ("ready", "two", "d-1")
    assert not follower.follow("d-2")


def test_three_releases_stay_on_the_disk_and_those_that_are_needed_always(machine: Machine) -> None:
    import os

    for age, name in enumerate(["five", "four", "three", "two"], start=1):
        (paths.RELEASES / name / "app").mkdir(parents=True)
        os.utime(paths.RELEASES / name, (age, age))
    (paths.RELEASES / ".six.partial").mkdir()
    releases.prune(paths.RELEASES / "five")
    left = {each.name for each in paths.RELEASES.iterdir() if not each.name.startswith(".")}
    assert left == {"current", "one", "five", "two"}, "what runs, what was asked for, and the newest other"


def test_an_id_that_another_release_has_is_refused(machine: Machine) -> None:
    with pytest.raises(artifact.ArtifactError, match="give another release another id"):
        releases.fetch(None, {"bucket": BUCKET}, named("one", hashlib.sha256(b"other").hexdigest()))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def crash(second: float) -> tuple[float, str]:
    return second, "2026-11-25T21:30:27: PM2 log: App [shop:0] will restart in 200ms"


def test_an_app_that_crashes_again_and_again_is_reported_and_that_it_is_well_again(
    machine: Machine, app_machine: config.Machine
) -> None:
    clock, ready = Clock(), Answer(True, "HTTP 200")
    lines = [crash(1010), crash(1011), (1011, "TypeError: x"), crash(1012)]
    answer = Answer(False, "Connection refused")
    reporter = Reporter(app_machine, "i-1", boto3.client("s3", region_name="us-east-1"))
    reporter.write("ready", deploy="d-1")
    watch = health.Watch(
        app_machine["app"],
        reporter,
        lambda since: [text for second, text in lines if since <= second <= clock.now],
        lambda *_args: answer,
        clock,
    )
    watch.look()
    assert last()["state"] == "ready", "one answer that is missing is no crash"
    clock.now = 1013
    watch.look()
    assert (report(), last()["log"]) == (("failed", "one", "d-1"), ["TypeError: x"])
    answer, clock.now = ready, 1020
    watch.look()
    assert last()["state"] == "failed", "it may be between two crashes"
    clock.now = 1042
    watch.look()
    assert report() == ("ready", "one", "d-1")


def test_a_deploy_that_failed_stays_to_be_seen_and_why_it_did_even_longer(
    machine: Machine, app_machine: config.Machine
) -> None:
    clock = Clock()
    reporter = Reporter(app_machine, "i-1", boto3.client("s3", region_name="us-east-1"))
    reporter.write("failed", deploy="d-1", reason="no such table; release one runs again", log=["x"])
    watch = health.Watch(app_machine["app"], reporter, lambda _since: [], lambda *_: Answer(True, "HTTP 200"), clock)
    for _ in range(3):
        watch.look()
        assert last()["state"] == "failed"
        clock.now += 6
    clock.now += 6
    watch.look()
    assert report() == ("ready", "one", "d-1"), "the release before it serves"
    assert (last()["reason"], last()["log"]) == ("no such table; release one runs again", ["x"])
