"""The history checker: what can't be is found, and what can is not."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from lab.prove.history import End, Kind, Operation, Verdict, by_key, check, name_of, until

CLEAN = Verdict((), (), (), ())


def write(value: int, began: float, ended: float, end: End = End.ACKNOWLEDGED, session: str = "a") -> Operation:
    return Operation(session, "k", Kind.WRITE, value, began, ended, end)


def read(value: int | None, began: float, ended: float, session: str = "a") -> Operation:
    return Operation(session, "k", Kind.READ, value, began, ended, End.ACKNOWLEDGED)


FIRST, SECOND = write(0, 0, 1), write(1, 2, 3)
UNKNOWN = End.UNKNOWN


def test_what_was_written_last_is_there_and_read() -> None:
    assert check([FIRST, read(0, 1, 2), SECOND, read(1, 3, 4)], {"k": [1]}) == CLEAN


@pytest.mark.parametrize("there", [[], [0]])
def test_an_acknowledged_write_that_is_not_there_at_the_end_is_lost(there: list[int]) -> None:
    found = check([FIRST, SECOND], {"k": there})
    assert found.lost == ((SECOND,) if there else (FIRST, SECOND))
    assert check([FIRST, SECOND], {}).lost == (FIRST, SECOND)


@pytest.mark.parametrize(
    "other",
    [write(1, 2, 3, session="b"), write(1, 0.5, 3, session="b"), write(1, 0, 9, UNKNOWN, "b"), write(1, 5, 6)],
)
def test_a_later_a_concurrent_and_an_unknown_write_may_be_there_instead(other: Operation) -> None:
    assert check([FIRST, other], {"k": [1]}) == CLEAN


def test_of_concurrent_writes_each_may_be_the_last() -> None:
    both = [write(0, 0, 2), write(1, 1, 3, session="b")]
    assert check(both, {"k": [0]}) == check(both, {"k": [1]}) == CLEAN


def test_a_write_that_nobody_knows_the_end_of_may_never_come_true() -> None:
    assert check([FIRST, write(1, 2, 3, UNKNOWN)], {"k": [0]}) == CLEAN
    assert check([write(0, 0, 1, UNKNOWN)], {}) == CLEAN


def test_an_item_that_is_there_twice_was_written_twice() -> None:
    assert check([FIRST], {"k": [0, 0]}) == replace(CLEAN, twice=("k",))
    assert check([FIRST, SECOND], {"k": [0, 1]}).twice == ("k",)
    assert check([write(0, 0, 1, UNKNOWN)], {"k": [0, 0]}).twice == ("k",)


@pytest.mark.parametrize("told", [0, None])
def test_a_session_that_is_told_something_older_than_its_own_write_read_a_stale_value(told: int | None) -> None:
    stale = read(told, 3, 4)
    assert check([FIRST, SECOND, stale], {"k": [1]}) == replace(CLEAN, stale=(stale,))


def test_an_older_value_of_somebody_else_is_stale_too() -> None:
    stale = read(0, 3, 4, "b")
    assert check([FIRST, replace(SECOND, session="b"), stale], {"k": [1]}).stale == (stale,)


@pytest.mark.parametrize(
    "history",
    [
        [FIRST, SECOND, read(0, 3, 4, "b")],
        [FIRST, SECOND, read(None, 3, 4, "b")],
        [FIRST, write(1, 2, 3, UNKNOWN), read(0, 4, 5)],
        [FIRST, replace(SECOND, end=UNKNOWN, session="b"), write(2, 4, 5), read(1, 5, 6)],
        [FIRST, write(1, 0.5, 3, session="b"), read(1, 4, 5)],
    ],
    ids=["another's write", "another's item", "an unknown write", "a late one", "a concurrent one"],
)
def test_what_is_no_older_than_the_own_acknowledged_write_is_not_stale(history: list[Operation]) -> None:
    assert check(history, {"k": [2 if len(history) > 3 else 1]}).stale == ()


def test_a_value_that_nobody_wrote_or_not_yet_or_in_vain_is_found() -> None:
    assert check([FIRST, read(7, 1, 2)], {"k": [0]}).unwritten == ("k-7",)
    assert check([FIRST, read(1, 1, 1.5), SECOND], {"k": [1]}).unwritten == ("k-1",)
    refused = replace(SECOND, end=End.FAILED)
    assert check([FIRST, refused, read(1, 3, 4)], {"k": [0]}).unwritten == ("k-1",)
    assert check([FIRST, refused], {"k": [1]}).unwritten == ("k-1",)


def test_an_item_whose_only_write_failed_is_not_there() -> None:
    assert check([write(0, 0, 1, End.FAILED)], {"k": [0]}).unwritten == ("k-0",)


def test_a_database_of_a_moment_has_what_was_acknowledged_by_then_and_nothing_that_began_later() -> None:
    done = [FIRST, SECOND, read(1, 2.5, 4), read(1, 3.5, 4)]
    for when, there in ((0.5, []), (0.5, [0]), (1, [0]), (1.5, [0]), (2.5, [0]), (2.5, [1]), (3, [1]), (9, [1])):
        assert check(until(done, when), {"k": there}) == CLEAN, (when, there)
    assert check(until(done, 1.5), {}).lost == (FIRST,)
    assert check(until(done, 3), {"k": [0]}).lost == (SECOND,)
    assert check(until(done, 1.5), {"k": [1]}).unwritten == ("k-1",)
    assert check(until([write(0, 2, 3)], 1), {"k": [0]}).unwritten == ("k-0",), "made later"


def test_a_read_that_failed_tells_nothing() -> None:
    failed = replace(read(None, 3, 4), end=End.FAILED)
    assert check([FIRST, SECOND, failed], {"k": [1]}) == CLEAN


def test_items_are_told_by_their_names_and_others_are_left_out() -> None:
    assert by_key([name_of("run-1", 0), name_of("run-1", 12), name_of("run-2", 3), "of another load", "x-y"]) == {
        "run-1": [0, 12],
        "run-2": [3],
    }


@dataclass
class Database:
    """A log of writes, which copies have read up to some point; a session's reads are at least as far as its writes."""

    log: list[tuple[float, str, int]] = field(default_factory=list[tuple[float, str, int]])

    def value(self, key: str, length: int) -> int | None:
        return next((value for _, each, value in reversed(self.log[:length]) if each == key), None)

    def stored(self) -> dict[str, list[int]]:
        return {key: [value] for _, key, _ in self.log if (value := self.value(key, len(self.log))) is not None}


@dataclass
class Simulator:
    """Sessions at once on a few keys. Some writes end without an answer: done, done later, or never."""

    random: random.Random
    database: Database = field(default_factory=Database)
    history: list[Operation] = field(default_factory=list[Operation])
    heeded: bool = True
    """A copy that is read is never further behind than the session's own writes."""

    def run(self, count: int = 400) -> Verdict:
        events: list[tuple[float, Callable[[], None]]] = []
        reached: dict[str, float] = {}
        for session in (f"s{number}" for number in range(8)):
            now = self.random.random()
            for number in range(count // 8):
                began, done = now, now + self.random.expovariate(1)
                now = done + self.random.expovariate(1)
                key = f"k{self.random.randrange(4)}"
                if self.random.random() < 0.5:
                    self._write(events, reached, Operation(
                        session, key, Kind.WRITE, 1000 * int(session[1:]) + number, began, now, End.ACKNOWLEDGED
                    ), done)  # fmt: skip
                else:
                    self._read(events, reached, session, key, (began, done, now))
                now += self.random.expovariate(2)
        for _, event in sorted(events, key=lambda each: each[0]):
            event()
        return check(self.history, self.database.stored())

    def _write(
        self, events: list[tuple[float, Callable[[], None]]], reached: dict[str, float], made: Operation, done: float
    ) -> None:
        assert made.value is not None
        value = made.value
        chance = self.random.random()
        if chance < 0.1:
            made = replace(made, end=self.random.choice([End.UNKNOWN, End.FAILED]))
            done = done + self.random.choice([0, 20, 1e9]) if made.end is End.UNKNOWN else 1e9
        else:
            events.append((made.ended, lambda: reached.update({made.session: done})))
        if done < 1e9:
            events.append((done, lambda: self.database.log.append((done, made.key, value))))
        self.history.append(made)

    def _read(
        self,
        events: list[tuple[float, Callable[[], None]]],
        reached: dict[str, float],
        session: str,
        key: str,
        times: tuple[float, float, float],
    ) -> None:
        began, done, ended = times
        lag = self.random.choice([0, 0, 1, 5])

        def look() -> None:
            least = reached.get(session, 0.0) if self.heeded else 0.0
            upto = max(least, done - lag)
            length = sum(when <= upto for when, _, _ in self.database.log)
            value = self.database.value(key, length)
            self.history.append(Operation(session, key, Kind.READ, value, began, ended, End.ACKNOWLEDGED))

        events.append((done, look))


def simulated(seed: int, *, heeded: bool = True) -> Simulator:
    return Simulator(random.Random(seed), heeded=heeded)  # noqa: S311, the same each time


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_database_does_that_loses_nothing_passes(seed: int) -> None:
    simulator = simulated(seed)
    assert simulator.run() == CLEAN
    ends = {each.end for each in simulator.history}
    assert ends == set(End), "nothing was unknown, so this proves less"


@pytest.mark.parametrize("seed", range(10))
def test_copies_that_heed_nobodys_writes_are_found_out(seed: int) -> None:
    assert simulated(seed, heeded=False).run().stale


@pytest.mark.parametrize("seed", range(10))
def test_a_failover_that_loses_the_end_of_the_log_is_found_out(seed: int) -> None:
    simulator = simulated(seed)
    simulator.run()
    lost = simulator.database.log[-12:]
    del simulator.database.log[-12:]
    found = check(simulator.history, simulator.database.stored())
    assert found.lost
    assert {(each.key, each.value) for each in found.lost} <= {(key, value) for _, key, value in lost}
