"""Hash slots as text, shared out and moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.api import hash_slots


def test_slots_are_shared_out_in_one_range_each() -> None:
    shared = hash_slots.share(["0001", "0002", "0003"])
    assert {shard: hash_slots.show(slots) for shard, slots in shared.items()} == {
        "0001": "0-5460",
        "0002": "5461-10922",
        "0003": "10923-16383",
    }


@given(st.sets(st.integers(0, hash_slots.COUNT - 1), max_size=200))
def test_text_and_slots_are_the_same(slots: set[int]) -> None:
    assert hash_slots.parse(hash_slots.show(slots)) == slots


def test_what_is_no_text_of_slots_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        hash_slots.parse("0-5460,all")


@given(st.integers(1, 12), st.integers(1, 12))
def test_every_slot_has_one_shard_and_no_more_move_than_have_to(before: int, after: int) -> None:
    old, new = ([f"{number:04}" for number in range(1, count + 1)] for count in (before, after))
    present = hash_slots.share(old)
    spread = hash_slots.spread(present, new)
    assert sorted(slot for slots in spread.values() for slot in slots) == list(range(hash_slots.COUNT))
    sizes = {len(slots) for slots in spread.values()}
    assert max(sizes) - min(sizes) <= 1, sizes
    stayed = sum(len(slots & spread.get(shard, set())) for shard, slots in present.items())
    assert stayed >= sum(min(len(slots), len(spread.get(shard, ()))) for shard, slots in present.items())
