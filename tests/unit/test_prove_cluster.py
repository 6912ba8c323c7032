"""The proof of a cache in cluster mode: each of its bounds can be missed, and whose nodes something is done to."""

from dataclasses import replace
from typing import Any

import pytest

from lab.api import hash_slots
from lab.bench.load import Outcome, Sample
from lab.machines.observation import MachineStatus, State
from lab.prove import shard_nodes
from lab.prove.scenario import SCENARIOS
from lab.prove.scenarios import cache, cluster
from lab.prove.shard_nodes import ShardNodes
from lab.prove.stand import StandError
from tests.unit.test_prove_data import CacheStand, cache_stand, seen

THREE = hash_slots.share(["0001", "0002", "0003"])
KEYS = {"0001": 30, "0002": 40, "0003": 35}


def outcome(failure: str = "") -> Outcome:
    return Outcome([Sample(0, 5, "GET", failure)])


def test_slots_that_move_unnoticed_pass() -> None:
    result = cluster.judged(outcome(), THREE, KEYS, 21.04)
    assert result.misses == ()
    assert result.figures == {
        "slots_moved": 5461,
        "keys_on_new_shard": 35,
        "keys_all": 105,
        "reshard_seconds": 21.0,
    }


@pytest.mark.parametrize(
    ("failure", "slots", "keys", "said"),
    [
        ("an older value", THREE, KEYS, "1 requests failed (an older value 1)"),
        ("", THREE | {"0003": THREE["0003"] - {16383}}, KEYS, "16383 of 16384 slots have a shard"),
        ("", hash_slots.share(["0001", "0002"]) | {"0003": set[int]()}, KEYS, "0001 50.0%, 0002 50.0%, 0003 0.0%"),
        ("", THREE, KEYS | {"0003": 0}, "a shard has no key"),
    ],
)
def test_each_bound_can_be_missed(failure: str, slots: dict[str, set[int]], keys: dict[str, int], said: str) -> None:
    (miss,) = cluster.judged(outcome(failure), slots, keys, 20).misses
    assert said in miss


def test_two_shards_that_stayed_two_are_no_resharding() -> None:
    misses = cluster.judged(outcome(), hash_slots.share(["0001", "0002"]), {"0001": 1, "0002": 1}, 20).misses
    assert "there are 2 shards" in misses


def test_the_other_shard_may_keep_the_database_from_noticing() -> None:
    quiet = replace(seen(), meanwhile=70.0)
    assert any("nobody missed the cache" in miss for miss in cache.judged(quiet).misses)
    assert cache.judged(quiet, noticed=False).misses == ()


def test_both_have_a_lab_with_two_shards() -> None:
    for name in ("cluster-primary", "cluster-reshard"):
        assert SCENARIOS[name].own.settings == ("expressway:cache.shards=2",)
    assert list(SCENARIOS).index("cluster-reshard") > list(SCENARIOS).index("cluster-primary"), "it leaves a third one"


def stand(monkeypatch: pytest.MonkeyPatch, *running: str) -> CacheStand:
    """Two shards whose first one has failed over; of its nodes so many run."""
    nodes = [
        {"id": f"n-{shard}-{number}", "shard": shard, "role": "primary" if number == first else "replica"}
        for shard, first in (("0001", 2), ("0002", 1))
        for number in (1, 2)
    ]

    def control(_lab: Any, _method: str, path: str) -> Any:
        assert path == "replication-groups"
        return [{"nodes": nodes}]

    monkeypatch.setattr(shard_nodes, "control", control)
    made = cache_stand()
    made.cache[:] = [MachineStatus(f"cache-n-{one}", "cache", "", State.READY, 0.0, 1, 1.0, ()) for one in running]
    return made


def test_something_is_done_to_the_first_shard_s_primary_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    every = ("0001-1", "0001-2", "0002-1", "0002-2")
    primary, replicas = ShardNodes(stand(monkeypatch, *every)).roles()
    assert (primary.id, [one.id for one in replicas]) == ("cache-n-0001-2", ["cache-n-0001-1"])
    with pytest.raises(StandError, match=r"cache\.replicas=1"):
        ShardNodes(stand(monkeypatch, *every[1:])).roles()
