"""The proof by histories: a replica that is behind, and faults in random order."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.bench.load import Outcome, Plan, Requests, Sample
from lab.config import LabConfig
from lab.machines.observation import MachineStatus, State
from lab.prove import databases, history
from lab.prove.__main__ import by_lab
from lab.prove.history import End, Kind, Operation, Verdict
from lab.prove.scenario import SCENARIOS, Own, Result
from lab.prove.scenarios import fault_kinds, faults, passwords, replicas
from lab.prove.scenarios.fault_kinds import FAULTS, ONCE, Fault
from lab.prove.scenarios.faults import LOAD
from lab.prove.sessions import Sessions
from lab.prove.stand import Asked, Done, Running, Stand, StandError

CLEAN = Verdict((), (), (), ())
SHARDS = ["db.rds", "db-2.rds", "db-3.rds"]


WRITE = Operation("a", "k", Kind.WRITE, 0, 0, 1, End.ACKNOWLEDGED)
READ = Operation("a", "k", Kind.READ, 0, 1, 2, End.ACKNOWLEDGED)
SAMPLES = [Sample(0, 5, "POST", ""), Sample(1, 5, "GET", ""), Sample(4, 5, "PUT", "")]
PLANTED = [
    ({"k": []}, "1 acknowledged writes are not in the database"),
    ({"k": [0, 0]}, "1 writes were carried out twice"),
    ({"k": [7]}, "1 values that nobody had written"),
]


def behind(verdict: Verdict = CLEAN) -> replicas.Seen:
    """A replica that was out of rotation 1.5 s after it fell behind."""
    looks = [replicas.Look(9.9 + 0.4 * number, number < 4) for number in range(50)]
    return replicas.Seen(Outcome(SAMPLES), verdict, 10.0, looks, 20.1, 1.2, (40, 50))


def test_a_replica_that_is_out_in_time_and_back_again_passes() -> None:
    result = replicas.judged(behind())
    assert result.misses == ()
    assert result.figures == {
        "behind_seconds": 20.1,
        "out_seconds": 1.5,
        "back_seconds": 1.2,
        "replica_reads_before": 40,
        "replica_reads_after": 50,
        "lost": 0,
        "twice": 0,
        "stale_own_reads": 0,
    }


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (behind(history.check([WRITE, replace(READ, value=None)], {"k": [0]})), "1 reads were older"),
        (behind(history.check([WRITE], {})), "1 acknowledged writes are not in the database"),
        (replace(behind(), outcome=Outcome([Sample(0, 5, "GET", "HTTP 404")])), "1 requests failed (HTTP 404 1)"),
        (replace(behind(), behind=9.9), "the replica was 9.9 s behind"),
        (replace(behind(), at=8.4), "out of rotation after 3.1 s"),
        (replace(behind(), looks=behind().looks[:4]), "out of rotation after never"),
        (replace(behind(), looks=[*behind().looks[:20], replicas.Look(30, rotating=True)]), "after never"),
        (replace(behind(), looks=[]), "out of rotation after never"),
        (replace(behind(), scans=(0, 50)), "nobody read from the replica before"),
        (replace(behind(), scans=(40, 0)), "nobody reads from the replica again"),
    ],
)
def test_each_bound_of_a_replica_that_is_behind_can_be_missed(planted: replicas.Seen, said: str) -> None:
    (miss,) = replicas.judged(planted).misses
    assert said in miss


def judged(
    stored: Mapping[str, list[int]],
    found: list[Operation],
    done: Mapping[str, int] = {"nginx_killed": 2, "cache_gone": 1},
    *troubles: str,
    samples: list[Sample] = SAMPLES,
) -> Result:
    return faults.judged(Outcome(samples), found, history.check(found, stored), 7, done, troubles)


def test_faults_that_nobody_lost_a_write_by_pass_and_say_how_to_have_them_again() -> None:
    result = judged({"k": [0]}, [WRITE, READ])
    assert result.misses == ()
    assert result.figures == {
        "seed": 7,
        "minutes": 0.1,
        "faults": 3,
        "faults_nginx_killed": 2,
        "faults_cache_gone": 1,
        "acknowledged_writes": 1,
        "lost": 0,
        "twice": 0,
        "stale_own_reads": 0,
        "failed_get": 0,
        "failed_post": 0,
        "failed_put": 0,
        "writes_gap_seconds": 4.0,
    }


@pytest.mark.parametrize(("stored", "said"), PLANTED)
def test_a_planted_lost_doubled_or_invented_write_fails_the_faults(stored: dict[str, list[int]], said: str) -> None:
    assert said in judged(stored, [WRITE, READ]).misses


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (judged({"k": [0]}, [WRITE, replace(READ, value=None)]), "1 reads were older than their session's own write"),
        (judged({"k": [0]}, [WRITE], {"cache_gone": 1}, "cache_gone: waited"), "cache_gone: waited"),
        (judged({"k": [0]}, [WRITE], {}), "there was no fault"),
        (judged({}, []), "no write was acknowledged"),
        (
            judged({"k": [0]}, [WRITE], samples=[Sample(0, 5, "GET", "another item's answer")]),
            "1 times another item was told",
        ),
    ],
)
def test_each_other_bound_of_the_faults_can_be_missed(result: Result, said: str) -> None:
    assert result.misses == (said,)


def test_a_seed_decides_the_order_and_each_round_has_every_fault_but_those_that_are_done_once() -> None:
    def drawn(seed: int) -> list[tuple[str, float]]:
        draw = faults.Draw(seed, FAULTS, ONCE)
        return [draw.next() for _ in range(3 * len(FAULTS) - 2 * len(ONCE))]

    assert drawn(7) == drawn(7) != drawn(8)
    names = [name for name, _ in drawn(7)]
    assert Counter(names) == {name: 1 if name in ONCE else 3 for name in FAULTS}
    assert Counter(names[: len(FAULTS)]) == dict.fromkeys(FAULTS, 1)
    assert FAULTS.keys() >= ONCE
    assert all(faults.PAUSES[0] <= pause <= faults.PAUSES[1] for _, pause in drawn(7))


@dataclass(frozen=True)
class QuietStand(Stand):
    """A stand whose load is none, and whose machines say what they are told to."""

    told: list[str] = field(default_factory=list[str])
    answers: dict[str, str] = field(default_factory=dict[str, str])

    @asynccontextmanager
    async def load(
        self, plan: Plan = LOAD, requests: Requests | None = None, lead: float = 0.0
    ) -> AsyncGenerator[Running]:
        assert plan == LOAD
        assert isinstance(requests, Sessions)
        assert lead == 0.0
        clock = iter(range(100))
        load: Any = SimpleNamespace(elapsed=lambda: 10.0 * next(clock))
        yield Running(load, Outcome(SAMPLES))

    def machines(self, tier: str) -> list[MachineStatus]:
        states = [State.READY, State.READY]
        return [MachineStatus(f"{tier}-{n}", tier, f"10.0.0.{n}", each, 0, 1, 1, ()) for n, each in enumerate(states)]

    async def inside(self, machine: str, *words: str, given: str = "") -> str:
        self.told.append(words[-1])
        return self.answers.get(machine, "")


def quiet(seconds: float | None = None, seed: int | None = None) -> QuietStand:
    outputs = {"databaseEndpoint": SHARDS[0], "databaseEndpoints": SHARDS}
    return QuietStand("", LabConfig(0, "", {}, {}), outputs, Path(), Path(), asked=Asked(seconds, seed))


def _faults_of(stand: QuietStand, monkeypatch: pytest.MonkeyPatch, ill: str = "") -> tuple[Result, list[str]]:
    done: list[str] = []

    def made(name: str) -> Fault:
        async def fault(scene: fault_kinds.Scene) -> None:
            done.append(name)
            stand.told.append(scene.stand.outputs["databaseEndpoint"])
            if name == ill:
                raise StandError("waited 180 s")

        return fault

    async def drive() -> Result:
        return await faults.faults(stand)

    @asynccontextmanager
    async def nothing(_: Any) -> AsyncGenerator[None]:
        yield

    async def well(*_: Any) -> None:
        done.append("well")

    async def clean(*_: Any) -> Verdict:
        return CLEAN

    monkeypatch.setattr(faults, "FAULTS", {name: made(name) for name in ("one", "two")})
    monkeypatch.setattr(faults, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(faults, "Nodes", lambda _: SimpleNamespace(whole=None))
    monkeypatch.setattr(faults, "_well", well)
    monkeypatch.setattr(faults, "verdict_of", clean)
    monkeypatch.setattr(databases, "standby", nothing)
    return asyncio.run(drive()), done


def test_faults_go_on_for_as_long_as_is_asked_and_each_is_got_over(monkeypatch: pytest.MonkeyPatch) -> None:
    result, done = _faults_of(quiet(40.0, 3), monkeypatch)
    assert result.figures["seed"] == 3
    assert done[::2] == ["well", *(name for name in done[2::2])]
    assert Counter(done) == {"well": 5, "one": 2, "two": 2}
    assert result.figures["faults_one"] == 2


def test_what_does_not_get_well_ends_the_faults_and_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    result, done = _faults_of(quiet(), monkeypatch, ill="two")
    assert "two: waited 180 s" in result.misses
    assert done.count("two") == 1
    assert done[-1] == "two"


def test_a_seed_decides_which_shard_a_fault_befalls_and_each_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, other = (quiet(300.0, seed) for seed in (3, 3, 4))
    for stand in (first, again, other):
        _faults_of(stand, monkeypatch)
    assert first.told == again.told != other.told
    assert Counter(first.told).keys() == set(SHARDS)


def test_what_the_shards_have_together_is_held_against_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"db.rds": ["k-0"], "db-2.rds": ["l-0"], "db-3.rds": []}
    sessions = Sessions(40)
    sessions.history += [WRITE, replace(WRITE, key="l")]

    async def names(stand: Stand, machine: str) -> list[str]:
        assert machine == f"primary of {stand.outputs['databaseEndpoint']}"
        return stored[stand.outputs["databaseEndpoint"]]

    def primary(stand: Stand) -> Any:
        return SimpleNamespace(id=f"primary of {stand.outputs['databaseEndpoint']}")

    monkeypatch.setattr(databases, "names", names)
    monkeypatch.setattr(databases, "primary", primary)
    assert asyncio.run(replicas.verdict_of(quiet(), sessions)) == CLEAN
    stored["db-3.rds"] = stored["db.rds"]
    assert asyncio.run(replicas.verdict_of(quiet(), sessions)).twice == ("k",)
    stored |= {"db.rds": [], "db-3.rds": []}
    assert asyncio.run(replicas.verdict_of(quiet(), sessions)).lost == (WRITE,)


def test_a_command_is_told_which_shard_only_where_there_are_several() -> None:
    assert [databases.named(each) for each in databases.every(quiet())] == [["--shard", f"{n}"] for n in range(3)]
    assert databases.named(replace(quiet(), outputs={"databaseEndpoint": "a", "databaseEndpoints": ["a"]})) == []


def _ready(*rotating: bool) -> str:
    each = [{"parts": {"database": {"replicas": [{"inRotation": one}]}}} for one in rotating]
    return "".join(json.dumps(one) + "\n" for one in each)


def test_a_replica_is_in_rotation_when_every_answer_of_every_server_says_so() -> None:
    stand = quiet()
    stand.answers.update({"app-0": _ready(True, True), "app-1": _ready(True, False)})
    assert asyncio.run(databases.in_rotation(stand)) == [True, True, True, False]
    assert not asyncio.run(databases.all_in_rotation(stand))
    stand.answers["app-1"] = _ready(True, True)
    assert asyncio.run(databases.all_in_rotation(stand))
    stand.answers["app-1"] = "curl: (7)"
    assert not asyncio.run(databases.all_in_rotation(stand))
    stand.answers.clear()
    assert not asyncio.run(databases.all_in_rotation(stand))


def test_a_replica_that_is_held_back_goes_on_whatever_happens() -> None:
    stand = quiet()

    async def run() -> None:
        async with databases.replay_paused(stand, stand.machines("database")[0]):
            raise OSError("meanwhile")

    with pytest.raises(OSError, match="meanwhile"):
        asyncio.run(run())
    assert stand.told == ["--command=select pg_wal_replay_pause()", "--command=select pg_wal_replay_resume()"]


def test_who_needs_the_same_of_the_stack_has_one_lab_and_who_needs_nothing_is_first() -> None:
    found = by_lab(list(SCENARIOS.values()))
    assert [own for own, _ in found[:2]] == [Own(), replicas.OWN]
    assert [one.name for one in found[1][1]] == ["replica-behind", "faults"]
    assert sum(len(ones) for _, ones in found) == len(SCENARIOS)


def test_a_password_is_changed_by_the_command_line_and_followed_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[Any] = []
    done = Done(0, '{"secret": "arn"}', "", 0.0)

    async def expressway(*words: str) -> Any:
        assert words == ("db", "rotate-password", "--json")
        return done

    told = {"SecretString": json.dumps({"username": "u", "password": "p"})}
    secrets = SimpleNamespace(get_secret_value=lambda SecretId: told if SecretId == "arn" else {})  # noqa: N803
    outputs = {"databaseEndpoint": "a", "databaseEndpoints": ["a"]}
    stand: Any = SimpleNamespace(expressway=expressway, aws=lambda _: secrets, outputs=outputs)
    running: Any = SimpleNamespace(note=lambda _: None)
    monkeypatch.setattr(passwords.rotation, "settled", lambda expected, _: followed.append(expected))
    asyncio.run(passwords.rotate(stand, running))
    assert followed == [[":p@"]]
    done = replace(done, status=1)
    with pytest.raises(StandError, match="rotate-password ended with 1"):
        asyncio.run(passwords.rotate(stand, running))


def _restored(stored: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done about a copy that has these names, of a write that was acknowledged and one that began later."""
    done: list[str] = []

    @asynccontextmanager
    async def taken_away(_: Any, name: str) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            done.append(f"{name} taken away")

    async def archived(_: Any, at: datetime) -> float:
        done.append("archived")
        return 0.0

    async def at_time(_: Any, name: str, at: datetime) -> float:
        assert abs(at.timestamp() - time.time()) < 5
        done.append(f"{name} restored")
        return 0.0

    async def names(_: Any, machine: str) -> list[str]:
        done.append(f"{machine} read")
        return stored

    monkeypatch.setattr(fault_kinds, "MORE_SECONDS", 0.0)
    monkeypatch.setattr(
        fault_kinds, "copies", SimpleNamespace(taken_away=taken_away, archived=archived, at_time=at_time)
    )
    monkeypatch.setattr(databases, "names", names)
    now = time.monotonic()
    before = replace(WRITE, key="before", began=now - 9, ended=now - 8)
    later = replace(WRITE, key="later", began=now + 8, ended=now + 9)
    scene: Any = SimpleNamespace(
        stand=None, running=SimpleNamespace(note=lambda _: None), sessions=SimpleNamespace(history=[before, later])
    )
    asyncio.run(fault_kinds.FAULTS["database_restored"](scene))
    return done


def test_a_copy_of_a_moment_under_load_has_what_was_acknowledged_and_is_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = fault_kinds.COPY
    assert _restored(["before-0", "somebody-0"], monkeypatch) == [
        "archived",
        f"{copy} restored",
        f"db-{copy} read",
        f"{copy} taken away",
    ]


@pytest.mark.parametrize(
    ("stored", "said"),
    [([], "1 acknowledged writes are not"), (["before-0", "later-0"], "1 values that nobody had written")],
)
def test_a_copy_with_less_or_with_what_came_later_is_a_trouble(
    stored: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StandError, match=said):
        _restored(stored, monkeypatch)


def test_a_wrong_answer_to_one_of_many_reads_at_once_is_a_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[tuple[int, bytes]] = []

    class Client:
        def __init__(self, _: str) -> None:
            self._left = list(answers)

        async def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
            return (201, b'{"id": 7, "name": "misses"}') if method == "POST" else self._left.pop()

        def close(self) -> None:
            pass

    monkeypatch.setattr(fault_kinds, "Client", Client)
    scene: Any = SimpleNamespace(stand=SimpleNamespace(url=""), running=SimpleNamespace(note=lambda _: None))
    answers = fault_kinds.TOGETHER * [(200, b'{"name": "misses"}')]
    asyncio.run(fault_kinds.FAULTS["misses"](scene))
    for wrong in ((503, b"{}"), (200, b'{"name": "another"}')):
        answers[3] = wrong
        with pytest.raises(StandError, match=f"1 of {fault_kinds.TOGETHER} reads at once had a wrong answer"):
            asyncio.run(fault_kinds.FAULTS["misses"](scene))
