"""A shard that is added among faults: a move that one of them ends is given again, and none is left undone."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.prove.scenarios import shard_faults
from lab.prove.scenarios.fault_kinds import FAULTS, ONCE
from lab.prove.scenarios.shard_faults import KINDS
from lab.prove.stand import Asked, Done, Stand, StandError

MOVED = {"keys_moved": 33, "keys_all": 100}
SHARDS = ["db.rds", "db-2.rds", "db-3.rds"]


class Moves(Stand):
    """A stand whose commands end as they are told to."""

    async def expressway(self, *words: str, seconds: float = 600) -> Done:
        assert words[:3] == ("db", "add-shard", "--json")
        self.outputs["told"].append(words[3:])
        status, said = self.outputs["ends"](len(self.outputs["told"]))
        return Done(status, json.dumps(said), "another process moves keys now", 0.0)


def scene(
    monkeypatch: pytest.MonkeyPatch, ends: Callable[[int], tuple[int, dict[str, int]]]
) -> tuple[Any, list[tuple[str, ...]], list[str]]:
    """A scene with such a stand, the words of its moves, and what befell them."""
    told, befell = list[tuple[str, ...]](), list[str]()

    def noted(name: str) -> Any:
        async def fault(_: Any) -> None:
            befell.append(name)

        return fault

    monkeypatch.setattr(shard_faults, "FAULTS", {name: noted(name) for name in FAULTS})
    monkeypatch.setattr(shard_faults, "UNDER_WAY_SECONDS", 0.01)
    outputs = {"ends": ends, "told": told, "databaseEndpoint": SHARDS[1], "databaseEndpoints": SHARDS}
    stand = Moves("", Any, outputs, Path(), Path(), asked=Asked())  # pyright: ignore[reportArgumentType]
    return SimpleNamespace(stand=stand, running=SimpleNamespace(note=lambda _: None)), told, befell


def test_a_move_that_is_ended_is_given_again_and_every_move_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    made, told, befell = scene(monkeypatch, lambda number: (int(number in (1, 2, 4)), MOVED))
    asyncio.run(KINDS["shard_added"](made))
    assert told == [(), (), (), ("--undo",), ("--undo",), (), ("--finish",)]
    assert befell == ["database_off", "app_server_off", "reconciler_killed"]


@pytest.mark.parametrize("keys", [27, 40])
def test_another_share_of_the_keys_than_a_third_is_a_trouble(keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _, _ = scene(monkeypatch, lambda _: (0, MOVED | {"keys_moved": keys}))
    with pytest.raises(StandError, match=f"{keys}.0% of the keys moved"):
        asyncio.run(KINDS["shard_added"](made))


def test_a_move_that_never_goes_through_is_a_trouble_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _, befell = scene(monkeypatch, lambda _: (1, {}))

    async def until(_: Any, true: Callable[[], Any], what: str, pause: float = 0.25) -> float:
        assert not await true()
        raise StandError(f"waited 180 s for {what}")

    monkeypatch.setattr(Stand, "until", until)
    with pytest.raises(StandError, match="add-shard --json ended with 1: another process moves keys now"):
        asyncio.run(KINDS["shard_added"](made))
    assert befell == ["database_off"], "what it did is got over first"


def test_of_passwords_it_is_the_first_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def fault(which: Any) -> None:
        seen.append(which.stand.outputs["databaseEndpoint"])

    made, _, _ = scene(monkeypatch, lambda _: (0, MOVED))
    monkeypatch.setattr(shard_faults, "FAULTS", {"password_changed": fault})
    monkeypatch.setattr(shard_faults, "replace", lambda which, stand: SimpleNamespace(stand=stand))  # pyright: ignore[reportUnknownLambdaType]
    asyncio.run(KINDS["password_changed"](made))
    assert seen == SHARDS[:1]


def test_each_kind_of_fault_that_such_a_stack_can_have_is_drawn() -> None:
    without_a_cache_or_replicas = {"cache_primary_off", "cache_gone", "cache_slow", "misses", "replica_behind"}
    assert KINDS.keys() - FAULTS.keys() == {"shard_added"}
    assert FAULTS.keys() - KINDS.keys() == without_a_cache_or_replicas | {"database_restored", "deploy"}
    assert KINDS.keys() >= ONCE
