"""A process that the fleet has once: never two machines knowingly, and another one within a minute."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from expressway_app import leases, paths, pm2
from expressway_app.leases import Leases

BUCKET = "shop-artifacts"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Cut:
    """S3 for a machine that may be cut off from it."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        if self.cut:
            raise EndpointConnectionError(endpoint_url="https://s3")
        return getattr(self.s3, name)


class Machine:
    """A machine of the fleet with a /run of its own."""

    def __init__(self, name: str, folder: Path, s3: Any, clock: Clock) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.s3 = Cut(s3)
        self.ended: list[str] = []
        self.name, self.clock = name, clock
        self.start()

    def start(self) -> None:
        """Its daemon, anew."""
        self.leases = Leases(self.s3, BUCKET, self.name, self.ended.append, self.clock)

    def look(self, *names: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(paths, "LEASES", self.folder)
            self.leases.look(names or ("clock",))

    @property
    def runs(self) -> bool:
        return (self.folder / "clock").exists()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fleet(tmp_path: Path, s3: Any, clock: Clock) -> list[Machine]:
    return [Machine(name, tmp_path, s3, clock) for name in ("i-1", "i-2")]


def test_one_machine_runs_it_and_goes_on_to(fleet: list[Machine], clock: Clock) -> None:
    for _ in range(20):
        for machine in reversed(fleet) if clock.now else fleet:
            machine.look()
        assert [machine.runs for machine in fleet] == [True, False]
        clock.now += leases.PERIOD


def test_when_its_machine_is_gone_another_one_runs_it_within_a_minute(fleet: list[Machine], clock: Clock) -> None:
    gone, other = fleet
    for machine in fleet:
        machine.look()
    left = clock.now
    while not other.runs:
        clock.now += leases.PERIOD
        other.look()
    assert leases.THEIRS <= clock.now - left <= 60
    gone.look()
    assert (gone.runs, gone.ended) == (False, ["clock"]), "it was not gone: it hears of it, and gives way"


def test_a_machine_that_is_cut_off_ends_it_before_another_one_begins(fleet: list[Machine], clock: Clock) -> None:
    cut, other = fleet
    for machine in fleet:
        machine.look()
    cut.s3.cut = True
    ended = began = None
    while began is None and clock.now < 100:
        clock.now += 1
        if clock.now % leases.PERIOD == 0:
            cut.look()
            other.look()
        ended = ended if ended or cut.runs else clock.now
        began = clock.now if other.runs else None
    assert cut.ended == ["clock"]
    assert ended is not None
    assert began is not None
    assert ended + pm2.KILL_TIMEOUT_MS / 1000 <= began, "PM2 may take as long to end it"


def test_a_daemon_that_is_started_anew_goes_on_with_what_it_had(fleet: list[Machine], clock: Clock) -> None:
    first, other = fleet
    first.look()
    first.start()
    clock.now += leases.PERIOD
    first.look()
    other.look()
    assert (first.runs, other.runs, first.ended) == (True, False, [])


def test_a_daemon_that_was_away_for_too_long_ends_what_it_cannot_be_sure_of(fleet: list[Machine], clock: Clock) -> None:
    first, other = fleet
    first.look()
    other.look()
    clock.now += leases.THEIRS + 1
    other.look()
    first.start()
    first.s3.cut = True
    first.look()
    assert (first.runs, other.runs) == (False, True)


def test_a_process_that_the_release_no_longer_has_is_given_up(fleet: list[Machine]) -> None:
    fleet[0].look()
    fleet[0].look("other")
    assert fleet[0].ended == ["clock"]


def test_two_machines_that_ask_at_once_do_not_both_get_it(fleet: list[Machine], s3: Any) -> None:
    first, second = fleet

    class Late(Cut):
        def get_object(self, **named: Any) -> Any:
            try:
                return s3.get_object(**named)
            finally:
                first.look()  # comes in between

    second.leases = Leases(Late(s3), BUCKET, "i-2", second.ended.append, second.clock)
    second.look()
    assert [machine.runs for machine in fleet] == [True, False]
    assert json.loads(s3.get_object(Bucket=BUCKET, Key="leases/clock.json")["Body"].read())["by"] == "i-1"


def test_the_times_leave_a_process_time_to_end() -> None:
    assert leases.OURS + leases.PERIOD + pm2.KILL_TIMEOUT_MS / 1000 <= leases.THEIRS
    assert leases.THEIRS + 2 * leases.PERIOD <= 60, "a minute is what is promised"
