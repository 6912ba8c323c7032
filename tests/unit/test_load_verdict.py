"""Which tier limits: runs with a planted bottleneck, each against the figures that such a stack has."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from operate.load import mix
from operate.load import run as runs
from operate.load.model import Bottleneck, Reading, Sizes, Statement, Step
from operate.load.verdict import judge

Figures = dict[str, float]

LIGHT: Figures = {
    "edge cpu": 4, "edge cpu steal": 0, "edge connections": 1, "edge dropped connections": 0,
    "edge errors of its own": 0,
    "app machines": 2, "app workers": 4, "app cpu": 9, "app cpu steal": 0, "app worker cpu": 12,
    "app garbage collection": 1, "app event loop lag": 12, "app memory": 40, "app requests in flight": 1,
    "database cpu": 6, "database round trip": 1.1, "database connections": 11, "database pool": 4,
    "database pool in use": 0.4, "database waiting for locks": 0,
    "cache cpu": 1, "cache round trip": 0.4, "cache memory": 30, "cache hit rate": 95, "cache evictions": 0,
    "generator cpu": 10, "generator lateness": 1,
}  # fmt: skip
"""Of a stack at 40 requests a second."""
LIMITS = {"lateness": 50.0, "requests in flight": 5000.0}
LIMITED = ("cpu", "memory", "worker cpu", "connections", "garbage collection")
COUNTED = ("errors of its own", "dropped connections")
"""In a second."""
UNITS = {"round trip": "milliseconds", "lateness": "milliseconds", "event loop lag": "milliseconds"}
TIERS = ("edge", "app", "database", "cache", "generator")

SLOW = (
    Statement("SELECT * FROM orders WHERE note LIKE $1", 900, 81_000.0, 0.8),
    Statement("UPDATE orders SET seen = $1", 90, 8_100.0, 0.08),
    Statement("SELECT 2", 90, 4_050.0, 0.04),
)


def readings(figures: Figures) -> tuple[Reading, ...]:
    found: list[Reading] = []
    for name, value in figures.items():
        tier, _, resource = name.partition(" ")
        limit = 100.0 if resource in LIMITED else LIMITS.get(resource) if tier == "generator" else None
        found.append(Reading(tier, resource, float(value), UNITS.get(resource, "percent"), limit))  # pyright: ignore[reportArgumentType]
    return tuple(found)


def step(rate: float, figures: Figures, statements: tuple[Statement, ...] = ()) -> Step:
    return Step(
        rate, 0.0, 30.0, int(30 * rate), {}, rate, 10, 20, 30, 40, 50, readings=readings(figures), statements=statements
    )


def run(over: Figures, knee: Figures | None = None, statements: tuple[Statement, ...] = ()) -> list[Step]:
    """Kept up with 40 and 200 requests/s, and not with 240 and 300: there is what was planted."""
    beyond = LIGHT | over
    half = {name: (value + beyond[name]) / 2 for name, value in LIGHT.items()}
    return [
        step(40, LIGHT),
        step(200, half | (knee or {})),
        step(240, beyond, statements),
        step(300, beyond, statements),
    ]


PLANTED: dict[str, tuple[tuple[str, str], Figures]] = {
    "the app's CPU": (
        ("app", "cpu"),
        {"app cpu": 97, "app worker cpu": 96, "app requests in flight": 60, "database cpu": 20, "edge cpu": 15},
    ),
    "the app's CPU, before an edge that dropped a connection in ten seconds": (
        ("app", "cpu"),
        {"app cpu": 97, "app requests in flight": 60, "edge connections": 39, "edge dropped connections": 0.1},
    ),
    "one worker on two CPUs": (
        ("app", "worker cpu"),
        {"app cpu": 52, "app worker cpu": 99, "app workers": 2, "app requests in flight": 80, "database cpu": 15},
    ),
    "a slow query": (
        ("database", "cpu"),
        {"database cpu": 97, "app cpu": 31, "app worker cpu": 40, "app requests in flight": 90,
         "database pool": 20, "database pool in use": 20, "database round trip": 9},
    ),
    "too small a pool": (
        ("database", "pool"),
        {"database cpu": 12, "app cpu": 30, "app worker cpu": 35, "app requests in flight": 120,
         "database pool": 4, "database pool in use": 3.9},
    ),
    "too small a pool of the app's, behind a PgBouncer that has opened more": (
        ("database", "pool"),
        {"app requests in flight": 49, "database pool": 6, "database pool in use": 3.8, "database clients": 4,
         "database clients waiting": 0},
    ),
    "too small a pool of PgBouncer's": (
        ("database", "pool"),
        {"app requests in flight": 120, "database pool": 12, "database pool in use": 11.6, "database clients": 40,
         "database clients waiting": 27},
    ),
    "a slow call of another service, and few of PgBouncer's connections that are enough": (
        ("external", "waiting"),
        {"app requests in flight": 480, "database pool": 3.5, "database pool in use": 2.9, "database clients": 40,
         "database clients waiting": 2},
    ),
    "too few connections of the database": (
        ("database", "connections"),
        {"database connections": 98, "database pool": 90, "database pool in use": 30, "app requests in flight": 60},
    ),
    "a lock": (
        ("database", "locks"),
        {"database waiting for locks": 17, "database pool": 20, "database pool in use": 19,
         "app requests in flight": 90},
    ),
    "a full cache": (
        ("cache", "memory"),
        {"cache memory": 99.5, "cache evictions": 120, "cache hit rate": 41, "database cpu": 96, "app cpu": 50,
         "database pool": 20, "database pool in use": 19, "app requests in flight": 70},
    ),
    "a slow cache": (
        ("cache", "round trip"),
        {"cache round trip": 60, "app requests in flight": 90, "app cpu": 20, "database cpu": 8},
    ),
    "a cache whose core is full": (
        ("cache", "cpu"),
        {"cache cpu": 99, "cache round trip": 30, "app requests in flight": 90, "app cpu": 40},
    ),
    "a slow disk of the database": (
        ("database", "round trip"),
        {"database round trip": 70, "database cpu": 15, "app requests in flight": 90},
    ),
    "an edge with few connections": (
        ("edge", "connections"),
        {"edge connections": 97, "edge dropped connections": 14, "edge errors of its own": 9, "app cpu": 25},
    ),
    "an edge one of whose workers has no connection left": (
        ("edge", "connections"),
        {"edge connections": 86, "edge errors of its own": 59, "app cpu": 25, "app requests in flight": 56},
    ),
    "the edge's CPU": (("edge", "cpu"), {"edge cpu": 98, "app cpu": 40}),
    "a slow call of another service": (
        ("external", "waiting"),
        {"app requests in flight": 480, "app cpu": 22, "app worker cpu": 27},
    ),
    "the generator": (("generator", "cpu"), {"generator cpu": 99, "generator lateness": 400, "app cpu": 60}),
    "a generator that is late": (("generator", "lateness"), {"generator lateness": 300, "app cpu": 30}),
    "nothing that was measured": (("none", ""), {"app cpu": 40}),
}  # fmt: skip

OF_A_SHARED_HOST: dict[str, tuple[tuple[str, str], Figures]] = {
    # Two cores for all: the edge and the app servers see them full, and others have the rest of them.
    "the app's CPU": (("app", "cpu"), {"app cpu steal": 72, "edge cpu steal": 88, "database cpu": 15, "cache cpu": 3}),
    "the CPU of the one app server, which has nearly all of it": (
        ("app", "cpu"),
        {"app machines": 1, "app cpu steal": 9, "edge cpu steal": 97, "app worker cpu": 88, "database cpu": 1},
    ),
    "a slow query": (("database", "cpu"), {"app cpu steal": 90, "edge cpu steal": 95, "database cpu": 65}),
    "the edge": (("edge", "cpu"), {"app cpu steal": 92, "edge cpu steal": 40, "database cpu": 8}),
    "one worker of one machine": (
        ("app", "worker cpu"),
        {"app machines": 1, "app workers": 1, "app worker cpu": 92, "app cpu steal": 50, "edge cpu steal": 85,
         "database cpu": 10},
    ),
    "a slow call of another service, while something else has the CPUs": (
        ("external", "waiting"),
        {"app cpu steal": 95, "edge cpu steal": 97, "database cpu": 5, "app requests in flight": 300},
    ),
}  # fmt: skip


def named(found: Bottleneck) -> tuple[str, str]:
    return found.tier, found.resource


@pytest.mark.parametrize("planted", PLANTED)
def test_what_was_planted_is_named(planted: str) -> None:
    wanted, figures = PLANTED[planted]
    found = judge(run(figures), 200.0)
    assert named(found) == wanted, found
    assert found.evidence
    assert found.next


@pytest.mark.parametrize("planted", OF_A_SHARED_HOST)
def test_machines_that_share_cpus_are_told_apart_by_what_each_has_of_them(planted: str) -> None:
    wanted, figures = OF_A_SHARED_HOST[planted]
    full = {"app cpu": 100.0, "edge cpu": 100.0, "app requests in flight": 70.0, "app worker cpu": 45.0}
    assert named(judge(run(full | figures), 200.0)) == wanted


@pytest.mark.parametrize("of_its_own", [{}, {"edge cpu steal": 60, "app cpu": 90, "edge cpu": 97}])
def test_machines_with_cpus_of_their_own_are_told_by_how_full_these_are(of_its_own: Figures) -> None:
    """Also where one of them lacks credits, so that others have a share of its CPUs."""
    found = judge(run({"edge cpu": 98, "app cpu": 96, "app machines": 1, "database cpu": 70} | of_its_own), 200.0)
    assert named(found) == ("edge", "cpu")
    assert not [each for each in found.evidence if "share" in each]


@pytest.mark.parametrize("planted", PLANTED)
def test_without_a_light_step_it_is_named_all_the_same(planted: str) -> None:
    wanted, figures = PLANTED[planted]
    found = judge([step(240, LIGHT | figures)], None)
    assert named(found) == wanted, found


def test_a_verdict_has_figures_the_statements_and_what_would_add_nothing() -> None:
    found = judge(run(PLANTED["a slow query"][1], statements=SLOW), 200.0)
    assert found.evidence == (
        "The database's CPU is at 97 % at 240 requests/s, and was at 6 % at 40.",
        "3 statements take 92 % of the time of all; the first: SELECT * FROM orders WHERE note LIKE $1 "
        "(900 calls, 90 ms each).",
    )
    assert found.next[0].startswith("Give the slowest statement an index")
    assert "An app server more would add nothing: the app's CPU is at 31 %." in found.next
    assert not [each for each in found.next if "A larger database would add nothing" in each]


def test_a_pool_that_the_app_holds_between_fast_statements_names_none_of_them() -> None:
    fast = (Statement("COMMIT", 733, 0.78, 0.24), Statement("BEGIN", 733, 0.6, 0.18))
    found = judge(run(PLANTED["too small a pool"][1], statements=fast), 200.0)
    assert named(found) == ("database", "pool")
    assert not [each for each in found.evidence if "COMMIT" in each]


def test_cpus_that_something_else_has_are_told_and_the_app_is_blamed_where_it_is_late_for_want_of_them() -> None:
    """As the lab had it beside other people's programs: 30 ms of CPU a request, and a third of it to be had."""
    noisy: Figures = {"app machines": 1, "app cpu": 100, "app cpu steal": 75.6, "edge cpu": 100, "edge cpu steal": 99.1,
             "app worker cpu": 33.7, "app requests in flight": 0, "database cpu": 0.156, "cache cpu": 0.249,
             "cache machine cpu": 0.125, "generator cpu": 1}  # fmt: skip
    found = judge(run(noisy), 200.0)
    assert named(found) == ("none", "")
    assert found.evidence == (
        "The stack did not keep up with 240 requests/s, and something else had its CPUs.",
        "The machines share them, and they are all in use: of them have the app 24 %, the generator 1 %, the edge "
        "0.9 %, and others 73 %.",
    )
    assert "nothing else uses these CPUs" in found.next[0]

    late = judge(run(noisy | {"app event loop lag": 346}), 200.0)
    assert named(late) == ("app", "cpu"), "it would have taken more of them"
    assert late.evidence == (
        "The machines share their CPUs, which are all in use; of them have the app 24 %, the generator 1 %, the edge "
        "0.9 %, and others 73 %.",
        "What the slowest worker is late by is at 346 ms at 240 requests/s, and was at 12 ms at 40.",
    )
    waiting = judge(run(noisy | {"app cpu steal": 88, "app event loop lag": 346, "app requests in flight": 300}), 200.0)
    assert named(waiting) == ("external", "waiting"), "it had little of them, and so it waits for something else"


def test_a_pool_that_slow_statements_hold_is_told_so_first() -> None:
    found = judge(run(PLANTED["too small a pool"][1], statements=SLOW), 200.0)
    assert found.next[0] == "Make the slowest statement faster: it holds its connection all the time."
    assert found.evidence[0] == (
        "3.9 of the app's 4 connections to the database are in use on average, at 240 requests/s."
    )
    assert found.next[-1] == "A larger database would add nothing: its CPU is at 12 %."


def test_it_is_told_whose_pool_is_too_small_the_apps_or_pgbouncers() -> None:
    own = judge(run(PLANTED["too small a pool of the app's, behind a PgBouncer that has opened more"][1]), 200.0)
    assert own.evidence[0] == ("3.8 of the app's 4 connections to PgBouncer are in use on average, at 240 requests/s.")
    assert own.next[0] == (
        "Let each worker's pool have more connections (the pool's `max`), as long as PgBouncer has some left."
    )
    shared = judge(run(PLANTED["too small a pool of PgBouncer's"][1]), 200.0)
    assert shared.evidence[:2] == (
        "11.6 of PgBouncer's 12 connections to the database are in use on average, at 240 requests/s.",
        "27 of the app's 40 connections to PgBouncer wait for one of them.",
    )
    assert "database.poolSize" in shared.next[0]
    assert not [each for each in shared.next if "the pool's `max`" in each], "more clients wait the longer"
    assert not [each for each in shared.next if "A larger database would add nothing" in each], "it takes more of them"


def test_a_database_without_connections_left_has_a_pooler_advised_unless_there_is_one() -> None:
    few = PLANTED["too few connections of the database"][1]
    assert "database.pooler" in judge(run(few), 200.0).next[0]
    behind = judge(run(few | {"database clients": 40.0}), 200.0)
    assert named(behind) == ("database", "connections")
    assert "database.poolSize" in behind.next[0]
    assert "database.pooler" not in behind.next[0]


def test_an_edge_that_has_no_connection_left_to_tell_so_is_known_by_what_it_closed() -> None:
    """As the lab had it: Nginx answers its own machine's collector no more than others."""
    told = {name: value for name, value in LIGHT.items() if not name.startswith("edge") or "cpu" in name}
    closed = {"connection reset by peer": 696, "EOF": 33, "HTTP 500": 17}
    silent = replace(step(240, told | {"app requests in flight": 50.0}), failures=closed, answered_rps=165)
    found = judge([step(60, LIGHT), silent], 60.0)
    assert named(found) == ("edge", "connections")
    assert found.evidence[0].startswith("The connections of 729 of 7,200 requests were closed without an answer")
    assert named(judge([step(60, LIGHT), replace(silent, failures={"EOF": 3})], 60.0)) == ("external", "waiting")
    # It was asked at the step's end, and not at its beginning.
    once = step(240, told | {"edge connections": 42.0, "app requests in flight": 50.0})
    assert named(judge([step(60, LIGHT), replace(once, failures=closed)], 60.0)) == ("edge", "connections")
    telling = replace(step(240, LIGHT | {"app requests in flight": 50.0}), failures=closed)
    assert named(judge([step(60, LIGHT), telling], 60.0)) == ("external", "waiting"), "it says that it has some left"


def test_an_edge_with_connections_left_and_an_app_that_is_away_is_no_edge_with_few() -> None:
    few: Figures = {"edge connections": 86, "app requests in flight": 56}
    assert named(judge(run(few | {"edge errors of its own": 1}), 200.0)) != ("edge", "connections")
    assert named(judge(run(few | {"edge errors of its own": 59, "edge connections": 20}), 200.0)) != (
        "edge", "connections",
    )  # fmt: skip


def test_what_was_so_in_the_light_step_limits_nothing() -> None:
    always = {"app requests in flight": 40.0, "database pool in use": 3.9, "cache evictions": 5.0}
    steps = [step(each.offered_rps, LIGHT | always | {"app cpu": 97}) for each in run({})]
    assert named(judge(steps, 200.0)) == ("app", "cpu")
    steps = [step(each.offered_rps, LIGHT | always) for each in run({})]
    assert named(judge(steps, 200.0)) == ("none", ""), "long polls, for one, are in flight at any rate"


def test_a_cache_that_always_was_slow_is_named_once_that_is_what_is_short() -> None:
    steps = [step(each.offered_rps, LIGHT | {"cache round trip": 60.0}) for each in run({})]
    assert named(judge(steps, 200.0)) == ("cache", "round trip"), "a PING takes less than a millisecond"


def test_what_is_advised_is_never_said_to_add_nothing() -> None:
    found = judge(run(PLANTED["an edge with few connections"][1]), 200.0)
    assert "take a larger edge" in found.next[0]
    assert not [each for each in found.next if each.startswith("A larger edge would add nothing")]


def test_a_stack_that_kept_up_is_limited_by_nothing_and_what_comes_next_is_named() -> None:
    found = judge(run(PLANTED["the app's CPU"][1])[:2], 200.0)
    assert named(found) == ("none", "")
    assert found.evidence[0] == "The stack kept up with all rates, up to 200 requests/s."
    assert found.evidence[1] == "Closest to its limit is the app's worker cpu, of which 54 % is used."


def test_without_readings_nothing_is_guessed() -> None:
    bare = [replace(each, readings=()) for each in run(PLANTED["the app's CPU"][1])]
    assert named(judge(bare, 200.0)) == ("none", "")
    assert "Nothing was read" in judge(bare, 200.0).evidence[1]
    assert named(judge([], None)) == ("none", "")


def test_a_step_whose_readings_are_missing_is_judged_by_the_one_before() -> None:
    steps = run(PLANTED["the app's CPU"][1], knee={"app cpu": 92.0})
    steps[2] = replace(steps[2], readings=())
    assert named(judge(steps, 200.0)) == ("app", "cpu")


def test_credits_that_ran_out_are_told_apart_from_work() -> None:
    found = judge(run({"app cpu": 98, "app cpu steal": 60, "edge cpu": 10, "database cpu": 50}), 200.0)
    assert named(found) == ("app", "cpu"), "its machines alone lack CPUs"
    assert any("T instance" in each for each in found.evidence)


@given(st.sampled_from(sorted(PLANTED)), st.floats(0.0, 1.0), st.sampled_from(TIERS))
def test_tiers_that_do_less_change_no_verdict(planted: str, share: float, tier: str) -> None:
    wanted, figures = PLANTED[planted]
    assume(tier != wanted[0])
    # Only what says how busy it is: a hit rate that falls, or fewer connections, would be another stack.
    busy = ("cpu", "machine cpu", "worker cpu", "memory", "garbage collection", "lateness", "errors of its own")

    def less(each: Reading) -> Reading:
        return replace(each, value=each.value * share) if each.tier == tier and each.resource in busy else each

    steps = [replace(each, readings=tuple(map(less, each.readings))) for each in run(figures)]
    assert named(judge(steps, 200.0)) == wanted


@given(st.sampled_from(sorted(PLANTED)), st.randoms(use_true_random=False), st.floats(0.01, 1000.0))
def test_neither_the_order_nor_the_size_of_the_rates_changes_a_verdict(
    planted: str, chance: random.Random, scale: float
) -> None:
    wanted, figures = PLANTED[planted]

    def mixed(each: Step) -> Step:
        # What is counted in a second is so many times more, too.
        counted = [replace(one, value=one.value * scale) if one.resource in COUNTED else one for one in each.readings]
        shuffled = chance.sample(counted, len(counted))
        rates = {"offered_rps": each.offered_rps * scale, "answered_rps": each.answered_rps * scale}
        sent = round(each.requests * scale)
        return replace(each, readings=tuple(shuffled), requests=sent, **rates)  # pyright: ignore[reportArgumentType]

    steps = chance.sample(found := [mixed(each) for each in run(figures)], len(found))
    assert named(judge(steps, 200.0 * scale)) == wanted


SHARDED = Sizes("us-east-1", "m7i.large", "t3.small", cache_nodes=4, cache_shards=2, database_shards=2)


FULL_CORE: Figures = {"cache cpu": 0, "cache round trip": 30, "app requests in flight": 90, "app cpu": 40}
"""Without what its nodes tell."""


def of_shards(over: Figures, resource: str, first: float, second: float) -> list[Step]:
    """With two shards of two nodes in the cache, and two databases, of which the second of each has its own load."""
    tier, _, name = resource.partition(" ")
    whose = {"cache": {"c-0001-001": first, "c-0001-002": 1, "c-0002-001": second, "c-0002-002": 1}}
    whose["database"] = {"db": first, "db-2": second}
    more = tuple(Reading(cast(Any, tier), name, value, "percent", 100, who) for who, value in whose[tier].items())
    steps = run(over)
    return [*steps[:-2], *(replace(each, readings=(*each.readings, *more)) for each in steps[-2:])]


def test_a_full_core_of_a_cluster_takes_more_shards_and_no_sum_over_nodes_fills_it() -> None:
    found = judge(of_shards(FULL_CORE, "cache cpu", 97, 91), 200.0, SHARDED)
    assert named(found) == ("cache", "cpu")
    assert "Of 2 shards, the busiest, 0001, has 97 %, and the least busy, 0002, has 91 %." in found.evidence
    said = " ".join(found.next)
    assert "More shards (cache.shards, 2 now)" in said
    assert "writes go to each shard's primary" in said
    assert "spread the keys" not in said, "they are"
    assert "which keys" not in said
    half = judge(of_shards({"cache cpu": 0}, "cache cpu", 50, 45), 200.0, SHARDED)
    assert half.tier == "none", "four nodes with half of a core each have no full one"


def test_a_shard_that_has_much_more_to_do_than_another_is_told_before_more_shards() -> None:
    found = judge(of_shards(FULL_CORE, "cache cpu", 97, 20), 200.0, SHARDED)
    keys, shards = (
        next(place for place, each in enumerate(found.next) if words in each)
        for words in ("what one key takes, no shard more divides", "More shards (cache.shards")
    )
    assert keys < shards


def test_a_full_shard_of_a_cluster_takes_more_shards_or_larger_nodes() -> None:
    planted = PLANTED["a full cache"][1]
    found = judge(of_shards({**planted, "cache memory": 60}, "cache memory", 99, 60), 200.0, SHARDED)
    assert named(found) == ("cache", "memory")
    assert any("memory is at 99 %" in each for each in found.evidence), "of all together, 60 % is in use"
    assert found.next[0].startswith("More shards (cache.shards, 2 now)")
    assert "cache.nodeType" in found.next[1]


def test_a_full_database_of_several_takes_one_shard_more() -> None:
    found = judge(of_shards({"database cpu": 0}, "database cpu", 40, 97), 200.0, SHARDED)
    assert named(found) == ("database", "cpu")
    assert "Of 2 shards, the busiest, db-2, has 97 %, and the least busy, db, has 40 %." in found.evidence
    assert any("expressway db add-shard" in each for each in found.next)


def test_a_run_is_judged_by_what_its_stack_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, beyond = (steps := of_shards(FULL_CORE, "cache cpu", 97, 91))[:-2], steps[-2:]
    done = [*kept, *(replace(each, answered_rps=100.0) for each in beyond)]
    monkeypatch.setattr(runs, "version", lambda _: "12")
    monkeypatch.setattr(runs.Load, "_steps", lambda load: load.steps.extend(done))
    load = runs.Load(Path("vegeta"), "http://192.0.2.1", mix.parse("routes: [{path: /}]", "mix.yaml"))
    found = load.run(sizes=lambda: SHARDED).bottleneck
    assert named(found) == ("cache", "cpu")
    assert any("cache.shards, 2 now" in each for each in found.next)


@pytest.mark.parametrize("resource", ["cache cpu", "database cpu"])
def test_of_a_stack_without_shards_none_are_told(resource: str) -> None:
    over = {**FULL_CORE, resource: 99}
    for sizes in (None, replace(SHARDED, cache_shards=None, database_shards=1)):
        found = judge(run(over), 200.0, sizes)
        assert named(found) == tuple(resource.split())
        assert "shard" not in " ".join((*found.evidence, *found.next))


@given(st.sampled_from(sorted(PLANTED)), st.sampled_from(("edge", "app", "cache")), st.floats(0, 1e9))
def test_readings_that_nobody_knows_change_no_verdict(planted: str, tier: Any, value: float) -> None:
    wanted, figures = PLANTED[planted]
    more = Reading(tier, "something else", value, "count", 100.0)
    steps = [replace(each, readings=(*each.readings, more)) for each in run(figures)]
    assert named(judge(steps, 200.0)) == wanted


@pytest.mark.parametrize(
    ("figures", "sent", "tier"),
    [
        ({"cpu": 20}, 7200, "none"),
        ({"cpu": 90}, 7200, "generator"),
        ({"cpu": 50, "lateness": 60}, 7200, "generator"),
        ({"cpu": 50}, 6500, "generator"),
        ({"cpu": 50, "lateness": 3000, "requests in flight": 5000}, 6500, "none"),
    ],
)
def test_the_generator_is_named_where_it_was_late_by_itself(figures: Figures, sent: int, tier: str) -> None:
    own = {f"generator {name}": value for name, value in figures.items()}
    for others in ({}, LIGHT):
        over = replace(step(240, {**others, **own}), requests=sent, answered_rps=120)
        found = judge([step(40, {**others, "generator cpu": 4}), over], 40.0)
        assert found.tier == tier
        assert "240 requests" in found.evidence[0] or "6,500 of 7,200" in found.evidence[0]
        assert found.next


def test_where_only_the_address_is_known_that_is_said() -> None:
    found = judge([step(40, {"generator cpu": 4}), step(240, {"generator cpu": 9})], 40.0)
    assert found.tier == "none"
    assert "Nothing was read of it" in found.evidence[1]
    assert found.next == ("Name the stack, so that its machines, database and cache can be read.",)
