"""The proof of a shard that is added: each of its bounds can be missed, and it has a lab and an app of its own."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import settings
from artifact import inspect
from lab.bench.load import Outcome, Sample
from lab.engine import stack_config
from lab.prove import __main__ as proof
from lab.prove import releases
from lab.prove.scenario import SCENARIOS, Own, Result, Scenario
from lab.prove.scenarios import shards
from lab.prove.stand import Running, StandError
from tests.paths import ROOT

MOVED = {"keys_moved": 33, "keys_all": 100, "rows": 33, "longest_wait_ms": 40, "seconds": 12.0}
STORED = [["a"], ["b"], ["c"]]


def running(failure: str = "") -> Any:
    outcome = Outcome([Sample(0, 5, "POST", failure)], acknowledged={"a": 1, "b": 2, "c": 3})
    return Running(SimpleNamespace(), outcome)  # pyright: ignore[reportArgumentType]


def test_a_move_that_nobody_notices_passes() -> None:
    result = shards.judged(running(), STORED, (), MOVED)
    assert result.misses == ()
    assert (result.figures["keys_moved"], result.figures["keys_all"], result.figures["lost"]) == (33, 100, 0)


@pytest.mark.parametrize(
    ("failure", "stored", "unread", "keys", "said"),
    [
        ("HTTP 503", STORED, (), 33, "1 requests failed (HTTP 503 1)"),
        ("", [["a"], ["b"], ["x"]], (), 33, "1 acknowledged writes are in no database"),
        ("", [["a"], ["b"], ["c", "a"]], (), 33, "1 writes are there twice"),
        ("", STORED, ("a",), 33, "1 acknowledged writes are not given back"),
        ("", [["a", "c"], ["b"], []], (), 33, "rows on 2 of 3 shards"),
        ("", STORED, (), 27, "27.0% of the keys moved"),
        ("", STORED, (), 40, "40.0% of the keys moved"),
    ],
)
def test_each_bound_can_be_missed(
    failure: str, stored: list[list[str]], unread: tuple[str, ...], keys: int, said: str
) -> None:
    (miss,) = shards.judged(running(failure), stored, unread, MOVED | {"keys_moved": keys}).misses
    assert said in miss


@pytest.mark.parametrize("name", ["shards", "faults-shards"])
def test_its_app_can_be_built_and_its_settings_are_sound(name: str, tmp_path: Path) -> None:
    own = SCENARIOS[name].own
    app = inspect(own.app(tmp_path))
    assert (app.options.shards, app.options.release) == ({"items": "key"}, "node prepare.js")
    values = stack_config.load(ROOT, ROOT / "Pulumi.lab.yaml", (*proof.SETTINGS, *own.settings))
    found = settings.parse(values, stack="lab", base=ROOT, source="the proof's settings")
    assert (found.database.shards, found.connections.fits) == (shards.SHARDS, True)


def test_a_scenario_with_a_lab_of_its_own_gets_that_and_the_others_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(_stand: Any) -> Result:
        raise NotImplementedError

    labs: list[tuple[str, bool]] = []

    @contextmanager
    def lab(app: Path, given: tuple[str, ...], *, here: bool) -> Generator[None]:
        labs.append((app.name, "x=1" in given))
        assert not here
        if "x=2" in given:
            raise StandError("it did not come up")
        yield

    def prove(_ready: Any, chosen: list[Scenario], _pictures: Any, *, short: bool) -> list[Any]:
        assert not short
        return [one.name for one in chosen]

    def ready(*_: Any) -> Any:
        return SimpleNamespace(alarms_suspended=nullcontext)

    monkeypatch.setattr(proof.stand, "lab", lab)
    monkeypatch.setattr(proof.stand, "find", ready)
    monkeypatch.setattr(proof, "prove", prove)
    monkeypatch.setattr(releases, "make", lambda _app, into, _version: into / "plain")  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    one, two, alone, broken = (
        Scenario(name, name, "0 failed", run, None, own)
        for name, own in (
            ("one", Own()),
            ("two", Own()),
            ("alone", Own(("x=1",), lambda into: into / "sharded")),
            ("broken", Own(("x=2",), lambda into: into / "sharded")),
        )
    )
    options = argparse.Namespace(here=False, short=False, seconds=None, seed=None)
    rows = proof._in_their_labs([one, alone, two, broken], tmp_path, None, options)  # pyright: ignore[reportPrivateUsage]
    assert labs == [("plain", False), ("sharded", True), ("sharded", False)]
    assert rows[:3] == ["one", "two", "alone"], "who needs the same shares it"
    assert rows[3]["misses"] == ["it did not come up"], "the rows of those before it are kept"
    with pytest.raises(StandError):
        proof._in_their_labs([broken], tmp_path, None, options)  # pyright: ignore[reportPrivateUsage]
