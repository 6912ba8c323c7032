"""The release's command: once for each deploy, on one machine, and no machine starts a release whose command failed."""

import getpass
import json
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from expressway_app import command, paths
from expressway_app.artifact import Release
from expressway_app.command import CommandError, Run

BUCKET = "shop-artifacts"
RELEASE = Release("abc123", "k", "0" * 64, deploy="d-1")
FIRST = Release("abc123", "k", "0" * 64)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "USER", getpass.getuser())
    monkeypatch.setattr(paths, "HOME", tmp_path)
    (tmp_path / "app").mkdir()
    return tmp_path


def run(s3: Any, machine: str, release: Release = RELEASE) -> Run:
    return Run(s3, BUCKET, release, machine, pause=0.01)


def once(s3: Any, machine: str, folder: Path, text: str, release: Release = RELEASE) -> None:
    command.run_once(
        run(s3, machine, release), text, folder, folder, lambda: ({"GREETING": "hi", "TOKEN": "s3cr3t"}, ["s3cr3t"])
    )


def told(s3: Any, identifier: str = "d-1") -> dict[str, Any]:
    return json.loads(s3.get_object(Bucket=BUCKET, Key=f"deploys/commands/{identifier}.json")["Body"].read())


def test_one_machine_runs_it_in_the_app_and_the_others_go_on_when_it_is_done(s3: Any, folder: Path) -> None:
    text = "echo $GREETING $TOKEN in $(basename $PWD) of $(whoami); echo once >> runs"
    for machine in ("i-1", "i-2", "i-1"):
        once(s3, machine, folder, text)
    assert (folder / "app/runs").read_text() == "once\n"
    assert (told(s3)["state"], told(s3)["by"]) == ("done", "i-1")
    assert told(s3)["log"] == [f"hi *** in app of {getpass.getuser()}"], "the app's environment, and no secret of it"


def test_a_command_that_fails_fails_on_every_machine_with_its_last_lines(s3: Any, folder: Path) -> None:
    for machine in ("i-1", "i-2"):
        with pytest.raises(CommandError, match=r"ended with 3|failed on i-1") as caught:
            once(s3, machine, folder, "echo no such table; exit 3")
        assert caught.value.log == ["no such table"]
    once(s3, "i-3", folder, "true", Release("abc124", "k", "0" * 64, deploy="d-2"))


def test_a_stack_whose_first_release_failed_tries_again_on_a_later_machine(
    s3: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CommandError):
        once(s3, "i-1", folder, "false", FIRST)
    with pytest.raises(CommandError, match="failed on i-1"):
        once(s3, "i-2", folder, "true", FIRST)
    later = time.time() + command.DEAD + 1
    monkeypatch.setattr(command.time, "time", lambda: later)
    once(s3, "i-3", folder, "true", FIRST)
    assert told(s3, "abc123")["state"] == "done"


def test_a_machine_that_dies_over_it_is_followed_by_another(
    s3: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = run(s3, "i-1")
    assert dead.claim(), "it is the first"
    monkeypatch.setattr(command, "DEAD", 0.05)
    once(s3, "i-2", folder, "true")
    assert (told(s3)["state"], told(s3)["by"]) == ("done", "i-2")
    assert not dead.renew(), "it hears of it, and ends what it runs"


def test_who_waits_does_not_wait_for_ever(s3: Any) -> None:
    assert run(s3, "i-1").claim()
    with pytest.raises(CommandError, match="did not end"):
        run(s3, "i-2").claim(limit=0.1)


def test_a_program_that_was_killed_over_it_runs_it_again(s3: Any, folder: Path) -> None:
    assert run(s3, "i-1").claim()
    once(s3, "i-1", folder, "true")
    assert told(s3)["state"] == "done"


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    s3: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, begun = run(s3, "i-1"), folder / "app/begun"
    assert one.claim()
    began = time.monotonic()
    # The time goes on, and fast, once it has begun; what it leaves running would be waited for.
    ticks = count()
    clock = SimpleNamespace(time=time.time, monotonic=lambda: float(next(ticks)) if begun.exists() else 0.0)
    monkeypatch.setattr(command, "time", clock)
    monkeypatch.setattr(command, "GRACE", 45.0)
    text = "echo began; sleep 90 & touch begun; sleep 90"
    with pytest.raises(CommandError, match="more than 1 s") as caught:
        command.execute(text, folder, folder, {}, [], one, limit=1, period=0.1)
    assert time.monotonic() - began < 30
    assert caught.value.log == ["began"]


def test_a_secret_that_cannot_be_read_fails_the_command_for_all(s3: Any, folder: Path) -> None:
    def environ() -> Any:
        raise command.SecretError("secret shop/key: not there")

    with pytest.raises(CommandError, match="not there"):
        command.run_once(run(s3, "i-1"), "true", folder, folder, environ)
    assert told(s3)["state"] == "failed", "nobody waits for a machine that never began"
