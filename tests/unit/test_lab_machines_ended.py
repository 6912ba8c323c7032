"""What is kept of machines that are gone."""

import os
from pathlib import Path

import pytest

from lab.machines import access, boot, ended
from lab.machines.observation import MachineStatus, State


def status(name: str, state: State = State.FAILED) -> MachineStatus:
    return MachineStatus(name, "edge", "10.0.0.1", state, 0.0, None, None, ())


def home(machines: Path, name: str, said: str) -> Path:
    """The directory of a machine that has printed something."""
    made = machines / name
    output = made / "upper" / boot.OUTPUT
    output.parent.mkdir(parents=True)
    output.write_text(f"{said}, of its user data")
    (made / ended.CONSOLE).write_text(f"{said}, of its console")
    return made


@pytest.fixture
def machines(tmp_path: Path) -> Path:
    return tmp_path / "machines"


def test_what_a_machine_has_said_can_be_read_when_it_is_gone(machines: Path) -> None:
    ended.keep(status("i-1"), home(machines, "i-1", "why it failed"), machines)
    (machines / "i-1").rename(machines / "i-other")
    assert access.logs("i-1", machines) == "why it failed, of its console"
    assert access.boot_failure("i-1", machines) == "why it failed, of its user data"
    assert "nothing" in access.logs("i-2", machines)


def test_one_that_is_there_speaks_for_itself(machines: Path) -> None:
    ended.keep(status("i-1"), home(machines, "i-1", "before"), machines)
    (machines / "i-1" / ended.CONSOLE).write_text("now")
    assert access.logs("i-1", machines) == "now"


@pytest.mark.parametrize(
    ("state", "never_up"),
    [(State.BOOTING, True), (State.FAILED, True), (State.READY, False), (State.OFF, False), (State.DEAD, False)],
)
def test_who_never_came_up_is_told_from_who_came_to_an_end(machines: Path, state: State, never_up: bool) -> None:
    ended.keep(status("i-1", state), home(machines, "i-1", ""), machines)
    (kept,) = ended.all_ended(machines)
    assert (kept.id, kept.tier, kept.never_up) == ("i-1", "edge", never_up)


def test_the_newest_are_kept_and_the_others_forgotten(machines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "KEPT", 3)
    for number in range(6):
        ended.keep(status(f"i-{number}"), home(machines, f"i-{number}", ""), machines)
        at = 1000.0 + number
        os.utime(ended.directory(machines) / f"i-{number}", (at, at))
    assert [each.id for each in ended.all_ended(machines)][-2:] == ["i-4", "i-5"]
    assert len(ended.all_ended(machines)) == 3


def test_without_any_there_is_nothing(machines: Path) -> None:
    assert ended.all_ended(machines) == []
