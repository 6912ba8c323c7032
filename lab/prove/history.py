"""What sessions did and what they were told, and whether a database that loses nothing could have told it. Pure.

A key is one item. Its values are numbers, each of which is written once; so whatever is read, or is there at the end,
tells which write it comes from. A write may have any order among those that were under way at the same time, and one
whose end nobody knows may come true at any later time, or never.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf


class Kind(StrEnum):
    """What was asked for."""

    READ = "read"
    WRITE = "write"


class End(StrEnum):
    """What became of it. `FAILED`: it is known that nothing was done. `UNKNOWN`: it may have been done, or may yet."""

    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a session did. A session does one after the other."""

    session: str
    key: str
    kind: Kind
    value: int | None
    """What was to be written, or was read; None where a read was told that there is nothing, or wasn't told."""
    began: float
    ended: float
    """By one clock for all sessions, in seconds: before it was sent, and after its answer was there."""
    end: End

    @property
    def done_by(self) -> float:
        """When it was done at the latest."""
        return self.ended if self.end is End.ACKNOWLEDGED else inf


@dataclass(frozen=True)
class Verdict:
    """What can't be. All empty: nothing is wrong."""

    lost: tuple[Operation, ...]
    """Acknowledged writes that the database doesn't have, and none that may have come after them."""
    twice: tuple[str, ...]
    """Keys that are there more than once."""
    stale: tuple[Operation, ...]
    """Reads that were told something older than their own session's last acknowledged write."""
    unwritten: tuple[str, ...]
    """Values that were read, or are there at the end, and that nobody had written by then: key and value."""


def check(history: Sequence[Operation], stored: Mapping[str, Sequence[int]]) -> Verdict:
    """Judge it. `stored` has, by key, the value of each item that the database has at the end."""
    writes = _Writes(history)
    reads = [each for each in history if each.kind is Kind.READ and each.end is End.ACKNOWLEDGED]
    read_too_early = {
        _named(each.key, each.value)
        for each in reads
        if each.value is not None and not writes.by_then(each.key, each.value, each.ended)
    }
    there = {_named(key, value) for key in writes.keys for value in stored.get(key, ()) if not writes.find(key, value)}
    return Verdict(
        lost=tuple(each for key in writes.keys for each in writes.missing(key, stored.get(key, ()))),
        twice=tuple(key for key in writes.keys if len(stored.get(key, ())) > 1),
        stale=tuple(_stale(history, writes)),
        unwritten=tuple(sorted(read_too_early | there)),
    )


def until(history: Sequence[Operation], when: float) -> list[Operation]:
    """As a database of that moment has to have it: what began later wasn't done, what ended later may have been."""

    def then(each: Operation) -> End:
        if each.began > when:
            return End.FAILED
        return End.UNKNOWN if each.ended > when and each.end is End.ACKNOWLEDGED else each.end

    return [replace(each, end=then(each)) for each in history]


def by_key(names: Iterable[str]) -> dict[str, list[int]]:
    """The values of each key, of names that are `name_of` one; others are somebody else's."""
    found: dict[str, list[int]] = defaultdict(list)
    for each in names:
        key, _, value = each.rpartition("-")
        if key and value.isdecimal():
            found[key].append(int(value))
    return dict(found)


def name_of(key: str, value: int) -> str:
    """What an item with this value is called."""
    return f"{key}-{value}"


_named = name_of


class _Writes:
    """All writes that may have been done."""

    def __init__(self, history: Sequence[Operation]) -> None:
        writes = [each for each in history if each.kind is Kind.WRITE]
        done = [each for each in writes if each.end is not End.FAILED]
        self._found = {(each.key, each.value): each for each in done}
        self._acknowledged: dict[str, list[Operation]] = {each.key: [] for each in writes}
        for each in done:
            if each.end is End.ACKNOWLEDGED:
                self._acknowledged[each.key].append(each)

    @property
    def keys(self) -> Iterable[str]:
        return self._acknowledged

    def find(self, key: str, value: int | None) -> Operation | None:
        return self._found.get((key, value))

    def by_then(self, key: str, value: int, when: float) -> bool:
        found = self.find(key, value)
        return found is not None and found.began <= when

    def missing(self, key: str, there: Sequence[int]) -> list[Operation]:
        """Those that had come after what is there, or all, where nothing is."""
        ends = [found.done_by for value in there if (found := self.find(key, value))]
        newest = max(ends, default=-inf)
        return [each for each in self._acknowledged[key] if each.began >= newest]


def _stale(history: Sequence[Operation], writes: _Writes) -> Iterable[Operation]:
    own: dict[tuple[str, str], Operation] = {}
    for each in sorted(history, key=lambda one: one.began):
        if each.end is not End.ACKNOWLEDGED:
            continue
        place = each.session, each.key
        if each.kind is Kind.WRITE:
            own[place] = each
        elif place in own:
            source = writes.find(each.key, each.value)
            older = source.done_by <= own[place].began if source else each.value is None
            if older:
                yield each
