"""What is kept of databases beside their machines: how far the WAL reaches, and what is removed of it."""

import os
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.controller import backups
from lab.controller.backups import Archives, BackupError, last_in_a_row, older, take
from lab.controller.plan import Base
from lab.machines.access import MachineError

FIRST = "000000010000000000000003"
LABEL = f"START WAL LOCATION: 0/3000028 (file {FIRST})\nCHECKPOINT LOCATION: 0/3000080\nBACKUP METHOD: streamed\n"


def wal(number: int, timeline: int = 1, log: int = 0) -> str:
    return f"{timeline:08X}{log:08X}{number:08X}"


def test_wal_reaches_as_far_as_there_is_no_gap() -> None:
    assert last_in_a_row([wal(2), wal(3), wal(4), wal(5)], FIRST) == wal(5)
    assert last_in_a_row([wal(3), wal(4), wal(6)], FIRST) == wal(4), "what is beyond a gap can't be reached"
    assert last_in_a_row([wal(4), wal(5)], FIRST) is None, "nor without the first one"
    assert last_in_a_row([wal(3), f"{wal(4)}.partial", f".{wal(4)}"], FIRST) == wal(3), "which is not whole"
    assert last_in_a_row([wal(0xFF), wal(0, log=1), wal(1, log=1)], wal(0xFF)) == wal(1, log=1)


def test_wal_goes_on_from_one_timeline_to_the_next() -> None:
    names = [wal(3), wal(4), f"{wal(5)}.partial", "00000002.history", wal(5, 2), wal(6, 2)]
    assert last_in_a_row(names, FIRST) == wal(6, 2)
    assert last_in_a_row([wal(3), wal(4), wal(4, 2)], FIRST) == wal(4, 2), "it has all of the one that it left"


def test_wal_is_older_on_whatever_timeline_and_histories_stay() -> None:
    names = [wal(1), wal(2, 2), f"{wal(2)}.partial", f"{wal(2)}.00000028.backup", "00000002.history", wal(3), wal(4)]
    assert set(older(names, FIRST)) == {wal(1), wal(2, 2), f"{wal(2)}.partial", f"{wal(2)}.00000028.backup"}


class Told:
    """The API, as far as it is told something."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def tell(self, path: str, what: Any) -> None:
        self.calls.append((path, what))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two bases of a database, and WAL from before them up to a time."""
    for base in ("old", "new", ".being-taken", ".cut-short"):
        (tmp_path / "db-A/base" / base).mkdir(parents=True)
    (tmp_path / "db-A/base/old/backup_label").write_text(LABEL)
    (tmp_path / "db-A/wal").mkdir()
    for number in range(1, 6):
        (tmp_path / "db-A/wal" / wal(number)).touch()
        os.utime(tmp_path / "db-A/wal" / wal(number), (1000 + number, 1000 + number))
    return tmp_path


KEPT = {
    "resource": "db-A",
    "database": "main",
    "archived": True,
    "bases": ["old", "new", "being-taken"],
    "first": "old",
}


def look(folder: Path, *kept: Any, now: float = 100.0) -> tuple[list[tuple[str, Any]], set[str]]:
    """What is told, and what is left."""
    told: Any = Told()
    Archives(told, folder).look(kept, now)
    left = {str(each.relative_to(folder)) for each in folder.rglob("*")}
    return told.calls, left


def test_the_api_hears_the_time_before_which_all_is_kept(folder: Path) -> None:
    told: Any = Told()
    archives = Archives(told, folder)
    for now in (100.0, 100.5, 110.0):
        archives.look([KEPT], now)
    assert told.calls == [("db-backups/db-A/archived", {"until": 1004.0})], "a second before the last, and once"
    (folder / "db-A/wal" / wal(6)).touch()
    os.utime(folder / "db-A/wal" / wal(6), (1066, 1066))
    archives.look([KEPT], 120.0)
    assert told.calls[1:] == [("db-backups/db-A/archived", {"until": 1065.0})]


def test_what_is_older_than_the_oldest_base_is_removed_and_bases_that_nobody_has(folder: Path) -> None:
    _, left = look(folder, KEPT)
    assert {Path(each).name for each in left if "/wal/" in each} == {wal(3), wal(4), wal(5)}
    assert {Path(each).name for each in left if each.count("/") == 2 and "/base/" in each} == {
        *("old", "new", ".being-taken"),
    }


def test_without_a_base_that_is_complete_no_wal_is_removed_and_nothing_can_be_restored(folder: Path) -> None:
    told, left = look(folder, {**KEPT, "first": None})
    assert told == []
    assert f"db-A/wal/{wal(1)}" in left


def test_a_database_that_keeps_no_backups_has_its_snapshots_and_no_wal(folder: Path) -> None:
    told, left = look(folder, {**KEPT, "archived": False, "first": None})
    assert told == []
    assert "db-A/base/old/backup_label" in left
    assert "db-A/wal" not in left


def test_nothing_stays_of_a_database_that_nobody_knows(folder: Path) -> None:
    assert look(folder) == ([], set())
    assert look(folder / "not-there", KEPT) == ([], set())


BASE = Base("b4", "db-A", "db-main", 5432, archived=True)


def test_a_base_is_complete_when_the_server_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[list[str]] = []

    def run(machine: str, command: list[str], machines: Path) -> Any:
        ran.append([machine, *command])
        return type("Done", (), {"returncode": 0, "stdout": "1790000000.25\n", "stderr": ""})

    monkeypatch.setattr(backups.access, "run", run)
    told: Any = Told()
    take(told, BASE, tmp_path)
    assert told.calls == [("db-backups/b4", {"ended": 1790000000.25})]
    assert ran[0][0] == "db-main"
    assert ran[0][-5:-1] == ["/var/lib/lab-backups/db-A", "b4", "5432", "yes"]


def machine_that(monkeypatch: pytest.MonkeyPatch, *, runs: bool, **ended: Any) -> None:
    """One on which the command has `ended` so; or that does not run."""

    def run(machine: str, _command: list[str], _machines: Path) -> Any:
        if not runs:
            raise MachineError(f"machine {machine} does not run")
        return type("Done", (), ended)

    monkeypatch.setattr(backups.access, "run", run)


@pytest.mark.parametrize("runs", [True, False])
def test_a_base_that_can_not_be_taken_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: bool
) -> None:
    machine_that(monkeypatch, runs=runs, returncode=1, stdout="", stderr="no space left\n")
    told: Any = Told()
    with pytest.raises(BackupError, match="no space left" if runs else "does not run"):
        take(told, BASE, tmp_path)
    assert told.calls == [("db-backups/b4", {"ended": None})]


@pytest.mark.parametrize("runs", [True, False])
def test_a_base_of_a_database_that_is_gone_ends_without_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: bool
) -> None:
    machine_that(monkeypatch, runs=runs, returncode=0, stdout="1790000000.25\n", stderr="")

    def refuse(status: int) -> Any:
        def tell(_path: str, _what: Any) -> None:
            answer = requests.Response()
            answer.status_code = status
            answer.raise_for_status()

        return type("Refusing", (), {"tell": staticmethod(tell)})

    take(refuse(404), BASE, tmp_path)
    with pytest.raises(requests.HTTPError, match="500"):
        take(refuse(500), BASE, tmp_path)
