"""The proof that a database can be had as it was: what is compared, and that each bound can be missed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lab.bench.load import Outcome, Sample
from lab.prove.scenarios import restore
from lab.prove.scenarios.restore import Paused, Seen, judged, moment
from lab.prove.stand import StandError

THEN = Seen(1000.25, 10_500, "5eb6")
NOW = Seen(1009.0, 5_620, "9a71")
COPIES = {"by-time": replace(THEN, at=1020.0), "by-snapshot": replace(THEN, at=1025.0)}
ANSWERED = Outcome([Sample(0.0, 5, "GET", "")])


def test_the_moment_is_a_whole_second_in_which_nobody_wrote() -> None:
    assert moment(THEN, replace(THEN, at=1001.5)) == datetime.fromtimestamp(1001, UTC)
    with pytest.raises(StandError):
        moment(THEN, replace(THEN, at=1000.9))
    for changed in (replace(THEN, at=1005.0, rows=10_501), replace(THEN, at=1005.0, checksum="5eb7")):
        with pytest.raises(StandError, match="the table changed"):
            moment(THEN, changed)


def test_a_copy_has_to_have_the_rows_and_the_checksum_of_the_moment() -> None:
    assert judged(ANSWERED, THEN, NOW, COPIES, {}).misses == ()
    for wrong in (replace(THEN, rows=10_499), replace(THEN, checksum="5eb7"), NOW):
        for which in COPIES:
            (miss,) = judged(ANSWERED, THEN, NOW, COPIES | {which: wrong}, {}).misses
            assert miss.startswith(f"{which} has "), miss
    assert judged(ANSWERED, THEN, replace(THEN, at=1009.0), COPIES, {}).misses, "nothing was lost that was restored"


def test_a_request_of_the_live_site_that_fails_is_a_miss() -> None:
    failed = Outcome([Sample(0.0, 5, "GET", "HTTP 502")])
    assert judged(failed, THEN, NOW, COPIES, {}).misses
    assert judged(Outcome(), THEN, NOW, COPIES, {}).misses, "without any request nothing is shown"


def test_the_load_goes_on_with_reads_while_nobody_is_to_write() -> None:
    load = Paused(50, Outcome())
    load._readable.append(("one", 1))  # pyright: ignore[reportPrivateUsage]
    assert {load.next(number)[0] for number in range(50)} == {"GET", "POST"}
    load.writing = False
    assert {load.next(number)[0] for number in range(50)} == {"GET"}
    load.writing = True
    assert {load.next(number)[0] for number in range(50)} == {"GET", "POST"}


def test_what_is_looked_at_is_looked_at_in_one_statement() -> None:
    assert restore._STATE.count("select") == 1  # pyright: ignore[reportPrivateUsage]
