"""How the app follows secrets that change: what is read, written and remembered, when, and what is said."""

import contextlib
import json
import socket
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from expressway_app import current, environment, follow, paths
from expressway_app.current import Refreshed
from expressway_app.reload import ReloadError
from moto import mock_aws

LOGIN = {"username": "app", "password": "first"}
OWNERS_OWN = 0o600
OWNER_AND_GROUP = 0o640


@pytest.fixture
def machine(app_machine: dict[str, Any]) -> dict[str, Any]:
    app_machine["database"]["secret"], app_machine["cache"]["secret"] = "login", "token"
    app_machine["apm"] = None
    app_machine["database"]["pooler"] = "none"
    return app_machine


@pytest.fixture
def manager() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        for name, value in (("login", json.dumps(LOGIN)), ("token", "t1"), ("shop/api-key", "k1")):
            client.create_secret(Name=name, SecretString=value)
        yield client


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app server's places, under this test's own directory; no such user has to exist."""
    run = tmp_path / "run"
    for name in (
        "ENVIRONMENT",
        "CURRENT",
        "SERVICES",
        "SECRETS",
        "WORKERS",
        "STARTED",
        "RELOADING",
        "LOCK",
        "REFRESH",
        "ECOSYSTEM",
    ):
        monkeypatch.setattr(paths, name, run / getattr(paths, name).name)
    monkeypatch.setattr(paths, "RELEASES", tmp_path / "releases")
    (tmp_path / "releases").mkdir()
    (tmp_path / "releases/current").symlink_to("/srv/releases/abc123")
    monkeypatch.setattr("shutil.chown", lambda *_args, **_named: None)
    return run


def handed() -> dict[str, str]:
    return json.loads(paths.CURRENT.read_text())


def rotate(manager: Any, password: str) -> None:
    manager.put_secret_value(SecretId="login", SecretString=json.dumps(LOGIN | {"password": password}))


def test_a_new_version_reaches_both_files_and_is_named_without_its_value(machine: dict[str, Any], manager: Any) -> None:
    current.refresh(machine, manager, "i-1", starting=True)
    rotate(manager, "second")

    refreshed = current.refresh(machine, manager, "i-1")

    assert refreshed.changed == ("DATABASE_DIRECT_URL", "DATABASE_REPLICA_URLS", "DATABASE_URL"), "and nothing else"
    assert "app:second@" in handed()["DATABASE_URL"]
    assert "app:second@" in paths.ENVIRONMENT.read_text(), "a worker that starts now has it"
    assert current.refresh(machine, manager, "i-1").changed == (), "a second look has no news"


def test_only_root_and_the_app_can_read_what_is_written(machine: dict[str, Any], manager: Any) -> None:
    current.refresh(machine, manager, "i-1", starting=True)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (paths.ENVIRONMENT, paths.SECRETS, paths.WORKERS)}
    assert set(modes.values()) == {OWNERS_OWN}, modes
    assert stat.S_IMODE(paths.CURRENT.stat().st_mode) == OWNER_AND_GROUP


def test_what_measures_the_services_can_read_their_addresses_and_no_other_secret(
    machine: dict[str, Any], manager: Any
) -> None:
    current.refresh(machine | {"metrics": False}, manager, "i-1")
    assert not paths.SERVICES.exists()
    current.refresh(machine | {"metrics": True}, manager, "i-1")
    assert stat.S_IMODE(paths.SERVICES.stat().st_mode) == OWNER_AND_GROUP
    assert json.loads(paths.SERVICES.read_text()).keys() == {"DATABASE_URL", "REDIS_URL"}
    rotate(manager, "second")
    current.refresh(machine | {"metrics": True}, manager, "i-1")
    assert "app:second@" in json.loads(paths.SERVICES.read_text())["DATABASE_URL"], "a new password is followed"


def test_a_version_that_cannot_be_read_changes_nothing_and_holds_up_no_other(
    machine: dict[str, Any], manager: Any
) -> None:
    current.refresh(machine, manager, "i-1")
    rotate(manager, "second")
    manager.put_secret_value(SecretId="token", SecretBinary=b"\x00")

    refreshed = current.refresh(machine, manager, "i-1")

    assert "second" in refreshed.variables["DATABASE_URL"]
    assert ":t1@" in refreshed.variables["REDIS_URL"], "the last good one"
    assert [problem for problem in refreshed.unreadable if "token is binary" in problem], refreshed.unreadable


@pytest.mark.parametrize("value", ["not json: s3cret", '{"username": "app"}', "[]"])
def test_a_login_that_is_none_is_never_handed_on(value: str, machine: dict[str, Any], manager: Any) -> None:
    current.refresh(machine, manager, "i-1")
    manager.put_secret_value(SecretId="login", SecretString=value)

    refreshed = current.refresh(machine, manager, "i-1")

    assert "first" in refreshed.variables["DATABASE_URL"]
    assert not [problem for problem in refreshed.unreadable if "s3cret" in problem], "a value ended in the log"


def test_a_version_that_is_only_pending_is_not_taken(machine: dict[str, Any], manager: Any) -> None:
    before = current.refresh(machine, manager, "i-1")
    manager.put_secret_value(
        SecretId="login", SecretString=json.dumps(LOGIN | {"password": "second"}), VersionStages=["AWSPENDING"]
    )
    assert current.refresh(machine, manager, "i-1").digest == before.digest, "RDS may not have set it yet"


def test_a_start_while_a_secret_is_out_of_reach_takes_its_last_good_value(
    machine: dict[str, Any], manager: Any
) -> None:
    current.refresh(machine, manager, "i-1", starting=True)
    manager.delete_secret(SecretId="token", ForceDeleteWithoutRecovery=True)
    assert ":t1@" in current.refresh(machine, manager, "i-1", starting=True).variables["REDIS_URL"]


def test_a_first_start_waits_for_every_secret(machine: dict[str, Any], manager: Any) -> None:
    manager.delete_secret(SecretId="token", ForceDeleteWithoutRecovery=True)
    with pytest.raises(environment.SecretError, match="secret token"):
        current.refresh(machine, manager, "i-1", starting=True)
    assert not paths.ENVIRONMENT.exists(), "no half of an environment"


def test_who_looked_first_does_not_write_last(machine: dict[str, Any], manager: Any) -> None:
    """A start and a look at the same time: the one that asked before the rotation must not undo the other."""
    asked, rotated = threading.Event(), threading.Event()

    class Slow:
        def get_secret_value(self, **named: Any) -> Any:
            answer = manager.get_secret_value(**named)
            asked.set()
            rotated.wait(5)
            return answer

    first = threading.Thread(target=current.refresh, args=(machine, Slow(), "i-1"))
    first.start()
    assert asked.wait(5), "it holds the old value now"
    rotate(manager, "second")
    second = threading.Thread(target=current.refresh, args=(machine, manager, "i-1"))
    second.start()
    time.sleep(0.2)
    rotated.set()
    first.join(5)
    second.join(5)
    assert "second" in handed()["DATABASE_URL"]


class Workers:
    """PM2's workers: what they run with, and what goes wrong."""

    def __init__(self) -> None:
        self.passwords: list[str] = []
        self.fault = ""
        self.busy = threading.Event()
        self.busy.set()

    def reload(self, variables: Mapping[str, str]) -> None:
        if self.fault:
            raise ReloadError(self.fault)
        self.passwords.append(variables["DATABASE_URL"].split(":")[2].partition("@")[0])
        self.busy.wait(5)


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def follower(machine: dict[str, Any], manager: Any, workers: Workers) -> follow.Follower:
    current.refresh(machine, manager, "i-1", starting=True)
    return follow.Follower(lambda: current.refresh(machine, manager, "i-1"), workers.reload)


def round_of(follower: follow.Follower) -> None:
    follower.look()
    follower.catch_up()
    follower.wait()


def test_workers_are_reloaded_once_for_a_change_and_never_without_one(
    follower: follow.Follower, workers: Workers, manager: Any
) -> None:
    round_of(follower)
    assert workers.passwords == [], "they started with what is there"
    rotate(manager, "second")
    for _ in range(3):
        round_of(follower)
    assert workers.passwords == ["second"]


def test_two_rotations_between_two_looks_are_one_reload(
    follower: follow.Follower, workers: Workers, manager: Any
) -> None:
    for password in ("second", "third"):
        rotate(manager, password)
        follower.look()
    round_of(follower)
    assert workers.passwords == ["third"]


def test_a_rotation_during_a_reload_is_handed_on_at_once_and_reloaded_next(
    follower: follow.Follower, workers: Workers, manager: Any
) -> None:
    workers.busy.clear()
    rotate(manager, "second")
    follower.look()
    follower.catch_up()

    rotate(manager, "third")
    follower.look()
    follower.catch_up()
    assert "third" in handed()["DATABASE_URL"], "who reads the file doesn't wait for the reload"
    workers.busy.set()
    follower.wait()
    round_of(follower)

    assert workers.passwords == ["second", "third"], "never two reloads at once, and none is left out"


def test_a_rotation_while_the_machine_boots_is_caught_up_with(
    follower: follow.Follower, workers: Workers, manager: Any
) -> None:
    """Between the start of the workers and the follower's first look."""
    rotate(manager, "second")
    round_of(follower)
    assert workers.passwords == ["second"]


def test_a_reload_that_was_cut_short_is_finished_by_the_next_look(
    follower: follow.Follower, workers: Workers, manager: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rotate(manager, "second")
    workers.fault = "worker 1 isn't ready with the new environment"
    round_of(follower)
    assert "worker 1 isn't ready" in capsys.readouterr().out, "the journal says why"
    workers.fault = ""
    round_of(follower)
    assert workers.passwords == ["second"]


def test_a_follower_that_was_killed_half_way_is_followed_by_one_that_finishes(
    machine: dict[str, Any], manager: Any, workers: Workers
) -> None:
    current.refresh(machine, manager, "i-1", starting=True)
    rotate(manager, "second")
    killed = follow.Follower(lambda: current.refresh(machine, manager, "i-1"), workers.reload)
    killed.look()

    round_of(follow.Follower(lambda: current.refresh(machine, manager, "i-1"), workers.reload))

    assert workers.passwords == ["second"], "the file was written; the workers had not been reloaded"


def test_a_problem_is_said_when_it_begins_and_when_it_ends(
    follower: follow.Follower, manager: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.put_secret_value(SecretId="token", SecretBinary=b"\x00")
    for _ in range(3):
        round_of(follower)
    assert capsys.readouterr().out.count("secret token is binary") == 1, "not each minute"
    manager.put_secret_value(SecretId="token", SecretString="t2")
    round_of(follower)
    assert "every secret can be read again" in capsys.readouterr().out


def test_the_app_starts_without_the_secret_of_its_apm_agent_which_follows_when_it_is_there(
    machine: dict[str, Any], manager: Any
) -> None:
    agent = {"vendor": "newrelic", "service": "shop", "environment": "dev", "secret": "licence", "endpoint": None}
    machine["apm"] = agent
    without = current.refresh(machine, manager, "i-1", starting=True)
    assert "NEW_RELIC_LICENSE_KEY" not in without.variables
    assert "secret licence" in without.unreadable[0]
    manager.create_secret(Name="licence", SecretString="key-1")
    found = current.refresh(machine, manager, "i-1")
    assert found.variables["NEW_RELIC_LICENSE_KEY"] == "key-1"
    assert {"EXPRESSWAY_APM", "NEW_RELIC_LICENSE_KEY"} <= set(found.changed), "workers are reloaded with it"
    assert found.variables["NODE_OPTIONS"] == without.variables["NODE_OPTIONS"], "which no reload could change"


def test_the_journal_never_has_a_value(
    follower: follow.Follower, manager: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rotate(manager, "s3cret-value")
    round_of(follower)
    said = capsys.readouterr().out
    assert "DATABASE_URL" in said, "what changed"
    assert "s3cret-value" not in said


def test_machines_spread_over_the_minute_and_each_keeps_its_second() -> None:
    slots = [follow.slot(f"i-{number:017x}") for number in range(600)]
    assert set(slots) == set(range(follow.PERIOD)), "every second has its machines"
    assert max(map(slots.count, set(slots))) < 30, "and none has many more than ten of these 600"
    assert slots == [follow.slot(f"i-{number:017x}") for number in range(600)]


@pytest.mark.parametrize(("now", "seconds"), [(120.0, 30.0), (150.0, 60.0), (149.5, 0.5), (151.0, 59.0)])
def test_the_next_look_is_at_the_machine_s_second_and_never_more_than_a_minute_away(now: float, seconds: float) -> None:
    assert follow.until(30, now) == seconds


def test_who_keeps_asking_in_vain_is_answered_less_and_less_often() -> None:
    pace, now, looks = follow.Pace(), 0.0, 0
    while now < 3600:
        now += pace.wait(now)
        pace.looked(now, news=False)
        looks += 1
    assert looks < 130, "an app with a wrong password of its own must not cost a call a second"
    pace.looked(now, news=True)
    assert pace.wait(now) == follow.SHORTEST_PAUSE, "what changed once may change again"


class Looks:
    """A follower that counts, and finds news at the second look."""

    def __init__(self) -> None:
        self.count = 0
        self.reloads = 0

    def look(self) -> bool:
        self.count += 1
        return self.count == 2

    def catch_up(self) -> None:
        self.reloads += 1


def test_an_app_that_asks_is_hung_up_on_after_a_look_and_nothing_is_reloaded() -> None:
    looks = Looks()
    second = int(time.time() + 30) % follow.PERIOD
    threading.Thread(target=follow.run, args=(looks, follow.listen(), second), daemon=True).start()
    assert stat.S_IMODE(paths.REFRESH.stat().st_mode) == 0o660, "root and the app"

    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(5)]
        for client in clients:
            client.connect(str(paths.REFRESH))
            client.settimeout(5)
        assert [client.recv(1) for client in clients] == [b""] * 5, "hung up on"

    assert 2 <= looks.count <= 3, f"the first look, and one or two for five that asked: {looks.count}"
    assert looks.reloads == 1, "only the first look was in this machine's time"


def test_a_look_takes_what_it_found_even_when_a_later_one_fails(
    machine: dict[str, Any], manager: Any, workers: Workers
) -> None:
    answers: list[Any] = [current.refresh(machine, manager, "i-1"), OSError("no such file")]

    def refresh() -> Refreshed:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    follower = follow.Follower(refresh, workers.reload)
    assert follower.look()
    assert not follower.look()
    follower.catch_up()
    follower.wait()
    assert workers.passwords == ["first"]
