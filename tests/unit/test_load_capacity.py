"""From a measured run to what another rate takes: what a request costs, where a stack stops, what is to be had."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from load_runs import SIZES, computing
from load_runs import run as database_bound

from components.planning.connections import database_connections
from lab.api.catalogue import vcpus
from lab.api.cpu_credits import rate as credits_rate
from operate import sizes
from operate.doctor import cost
from operate.load import capacity, report, saved
from operate.load.capacity import CapacityError, fit, measured, predict, within
from operate.load.check import Checked
from operate.load.model import Bottleneck, Reading, Run, Sizes, Step
from operate.load.proposal import MOST, Budget, Proposal, propose


def test_a_line_is_found_through_what_was_measured() -> None:
    line = fit([(10, 9.1), (20, 13.9), (40, 24.0)])
    assert line.idle == pytest.approx(4, abs=0.3)
    assert line.each == pytest.approx(0.5, abs=0.01)
    assert line.rate(54) == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize(
    "points",
    [[(10.0, 50.0)], [(10.0, 50.0), (10.0, 50.0)], [(10.0, 60.0), (20.0, 50.0)], [(10.0, 10.0), (20.0, 50.0)]],
)
def test_points_that_tell_no_slope_have_all_of_it_from_requests(points: list[tuple[float, float]]) -> None:
    """One point, a fall, or less than nothing without requests: never fewer percents than were seen."""
    line = fit(points)
    assert line.idle == 0
    assert all(line.percent(x) >= y for x, y in points[-1:])


def test_a_run_says_what_a_request_costs_each_tier() -> None:
    seen = measured(computing())
    assert (seen.servers, seen.workers, seen.pool) == (2, 2, 5)
    assert (seen.app.idle, seen.app.each) == (pytest.approx(4), pytest.approx(0.5))
    assert seen.edge is not None
    assert seen.edge.each == pytest.approx(0.02)
    assert seen.cache is not None
    assert not seen.cache.loaded


def test_servers_do_as_much_as_those_that_were_measured_each() -> None:
    """The run stopped between 320 and 400 on two: 358, so 179 on one."""
    seen = measured(computing())
    assert predict(seen, 1).rps == pytest.approx(178.9, abs=0.1)
    assert predict(seen, 3).rps == pytest.approx(536.7, abs=0.1)
    assert predict(seen, 3).tier == "app"


def test_a_server_does_no_more_than_it_has_cpu_for() -> None:
    """340 was kept up with, and 700 came next: two servers have 100 % each at 384, and the middle is 488."""
    seen = measured(computing(rates=(40, 100, 160, 240, 340, 700)))
    assert predict(seen, 1).rps == pytest.approx(192, rel=0.01)


@pytest.mark.parametrize("resource", ["worker cpu", "database pool"])
def test_where_no_machine_s_cpu_stopped_it_the_rates_alone_tell(resource: str) -> None:
    run = computing(rates=(40, 100, 160, 240, 340, 700))
    other = replace(run, bottleneck=replace(run.bottleneck, resource=resource))
    assert measured(other).stops == pytest.approx(math.sqrt(340 * 700))


def test_a_prediction_is_right_where_the_stack_is_as_it_says() -> None:
    """Predicted from one server, against a run at four."""
    rates = (20, 40, 80, 120, 150, 170, 190, 200)
    one = measured(computing(servers=1, rates=rates))
    four = computing(servers=4, rates=tuple(4 * each for each in rates))
    assert predict(one, 4).rps == pytest.approx(capacity.stops(four.steps), rel=0.05)


def test_another_tier_ends_it_sooner_than_more_servers_help() -> None:
    """The database, with 3 % and 0.05 % for each request, is at 90 % at 1,740/s."""
    found = predict(measured(computing()), 50)
    assert (found.tier, found.rps) == ("database", pytest.approx(1740, rel=0.01))


def test_a_tier_that_stopped_the_run_stops_every_number_of_servers() -> None:
    seen = measured(replace(database_bound(), sizes=SIZES))
    assert predict(seen, 1).rps == predict(seen, 9).rps == pytest.approx(240, rel=0.01)
    assert predict(seen, 9).tier == "database"


def test_what_others_had_of_shared_cpus_is_no_cost_of_a_request() -> None:
    run = computing()
    stolen = tuple(
        replace(
            step,
            readings=(
                *(replace(each, value=each.value + 20) if each.resource == "cpu" else each for each in step.readings),
                Reading("app", "cpu steal", 20, "percent"),
                Reading("edge", "cpu steal", 20, "percent"),
            ),
        )
        for step in run.steps
    )
    seen = measured(replace(run, steps=stolen))
    assert (seen.app.idle, seen.app.each) == (pytest.approx(4), pytest.approx(0.5))
    assert seen.shared


def test_p95_is_held_up_to_a_rate_between_two_steps() -> None:
    run = computing()
    by_rate = {step.offered_rps: step.p95 for step in run.steps}
    assert within(run, by_rate[240]) == 240
    assert 160 < within(run, (by_rate[160] + by_rate[240]) / 2) < 240
    assert within(run, 60_000) == 320, "no further than it kept up"


@pytest.mark.parametrize(
    ("run", "p95", "told"),
    [
        (computing(), 5.0, "no number of servers has a p95 of 5 ms: the lightest step has more (40 requests/s"),
        (computing(sizes=None), 100.0, "the run doesn't say which machines it ran on"),
        (computing(each=0.001), 100.0, "the app servers had 4.22 % of their CPU at most"),
        (
            replace(computing(), bottleneck=Bottleneck("external", "waiting", (), ())),
            100.0,
            "the stack stopped at 320 requests/s for external, waiting, which no number or size of machines mends",
        ),
        (
            replace(computing(), bottleneck=Bottleneck("database", "locks", (), ())),
            100.0,
            "the stack stopped at 320 requests/s for database, locks",
        ),
        (
            replace(computing(), steps=tuple(replace(each, readings=()) for each in computing().steps)),
            100.0,
            "the run has no reading of the app servers' CPU",
        ),
        (replace(computing(), steps=()), 100.0, "no number of servers has a p95 of 100 ms"),
        (
            replace(computing(), steps=tuple(replace(each, answered_rps=1.0) for each in computing().steps)),
            100.0,
            "the stack kept up with no rate of the run",
        ),
    ],
)
def test_a_run_that_can_not_tell_says_so_in_one_line(run: Run, p95: float, told: str) -> None:
    with pytest.raises(CapacityError) as refused:
        propose(run, 2000, p95)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


def test_a_limit_that_no_machine_mends_is_no_matter_below_it() -> None:
    run = replace(computing(), bottleneck=Bottleneck("external", "waiting", (), ()))
    assert "which no machine mends" in " ".join(propose(run, 300, 100).notes)


def test_a_plan_has_servers_enough_for_target_tracking_and_no_more() -> None:
    """A server of the measured type is at 60 % with (60 - 4) / 0.5 = 112/s; 2,000/s take 18 of them."""
    found = propose(computing(), 2000, 100)
    assert found.server == pytest.approx(112)
    assert found.why == "60 % of its CPU, where target tracking holds it"
    for choice in found.servers:
        assert choice.percent <= choice.limit <= 60
        has = sizes.size(choice.type)
        assert has is not None
        assert not has.arm, "the artifact is for x86"
        assert has.memory / has.vcpus >= 4
        # One fewer would be above its limit.
        assert choice.percent * choice.count / (choice.count - 1) > choice.limit - has.vcpus
    months = [each.month or 0 for each in found.servers]
    assert months == sorted(months), "the cheapest first"
    assert months[0] > 0


def test_there_are_two_servers_however_little_is_asked() -> None:
    assert propose(computing(), 1, 100).servers[0].count == 2


@pytest.mark.parametrize(("lower", "higher"), list(pairwise((10, 100, 500, 1000, 2000, 4000))))
def test_more_requests_never_cost_less(lower: float, higher: float) -> None:
    def month(rate: float) -> float:
        return sum(each.month or 0 for each in propose(computing(), rate, 100).machines)

    assert month(lower) <= month(higher)


def test_a_stricter_time_takes_more_servers() -> None:
    run = computing()
    slow = propose(run, 2000, 200)
    quick = propose(run, 2000, run.steps[0].p95 + 1)
    assert quick.server < slow.server
    assert quick.why.startswith("a p95 of ")
    assert (quick.servers[0].month or 0) > (slow.servers[0].month or 0)


def test_of_a_burstable_type_only_what_it_has_for_ever_counts() -> None:
    """A t3.small's baseline is 20 %: (20 - 4) / 0.5 = 32/s."""
    run = computing(sizes=replace(SIZES, app_type="t3.small"))
    found = propose(run, 2000, 100)
    assert found.server == pytest.approx(32)
    assert "t3.small has for ever" in found.why
    for choice in (*found.servers, found.edge):
        has = sizes.size(choice.type)
        assert has is not None
        assert choice.percent <= choice.limit <= has.baseline, choice


def test_the_policys_own_target_counts() -> None:
    assert propose(computing(sizes=replace(SIZES, target_cpu=40)), 2000, 100).server == pytest.approx(72)
    assert propose(computing(sizes=replace(SIZES, target_cpu=None)), 2000, 100).server == pytest.approx(112), "60"


def test_connections_are_those_of_all_pools_and_twice_while_rolling() -> None:
    found = propose(computing(), 2000, 100)
    budget, servers = found.connections, found.servers[0]
    assert budget is not None
    has = sizes.size(servers.type)
    assert has is not None
    assert budget.usual == servers.count * max(2, has.vcpus) * 5
    assert budget.rolling == 2 * budget.usual
    assert found.database is not None
    assert budget.most == database_connections(found.database.type)
    named = propose(computing(), 2000, 100, pool=20).connections
    assert named is not None
    assert named.usual == 4 * budget.usual


def test_a_database_is_large_enough_for_its_connections() -> None:
    """db.m7g.large takes 901, of which 90 % may be used; 60 to each worker are more than that while rolling."""
    small = propose(computing(), 500, 100, pool=5)
    large = propose(computing(), 500, 100, pool=60)
    assert small.database is not None
    assert large.database is not None
    assert large.connections is not None
    assert large.connections.fits
    assert (large.database.month or 0) > (small.database.month or 0)


def test_connections_that_no_database_takes_are_told_with_the_pool_that_fits() -> None:
    found = propose(computing(), 2000, 100, pool=500)
    assert found.connections is not None
    assert not found.connections.fits
    assert any("with pools of" in note for note in found.notes)
    budget = Budget(10, 2, 50, 901)
    assert not budget.fits
    assert Budget(10, 2, budget.largest_pool, 901).fits
    assert not Budget(10, 2, budget.largest_pool + 1, 901).fits


def test_a_database_keeps_up_with_the_rate() -> None:
    """At 4,000/s the measured class would be at 203 %: four times its CPUs bring it to 51."""
    found = propose(computing(), 4000, 100).database
    assert found is not None
    has = sizes.size(found.type)
    assert has is not None
    assert has.vcpus >= 8
    assert found.percent == pytest.approx(203 * 2 / has.vcpus, rel=0.01)


def test_what_is_beyond_every_size_is_told() -> None:
    notes = " ".join(propose(computing(), 7000, 100).notes)
    assert "No known database does 7,000 requests/s" in notes
    with pytest.raises(CapacityError, match=f"more than {MOST} app servers"):
        propose(computing(), 900_000, 100)


def test_a_plan_says_how_far_it_is_from_what_was_measured() -> None:
    assert "Measured up to 320 requests/s on 2 app servers" in propose(computing(), 400, 100).notes[0]
    assert "far beyond" not in propose(computing(), 400, 100).notes[0]
    assert "far beyond what was measured" in propose(computing(), 2000, 100).notes[0]
    assert "Measured up to" not in " ".join(propose(computing(), 300, 100).notes)
    assert "The cache was not loaded" in " ".join(propose(computing(), 300, 100).notes)


def test_a_standby_is_paid_for() -> None:
    one = propose(computing(), 500, 100).database
    two = propose(computing(sizes=replace(SIZES, multi_az=True)), 500, 100).database
    assert one is not None
    assert two is not None
    assert (two.count, two.month) == (2, 2 * (one.month or 0))


def loaded(tier: str, at: float, sizes: Sizes) -> Run:
    """At each of the nodes of a tier's shards, `at` percent for one request a second, the last one a tenth more."""
    nodes = sizes.cache_nodes if tier == "cache" else sizes.database_shards

    def of(step: Step) -> tuple[Reading, ...]:
        own = tuple(
            Reading(
                cast(Any, tier),
                "cpu",
                2 + at * step.offered_rps * (1.1 if node == nodes - 1 else 1),
                "percent",
                100,
                f"{node}",
            )
            for node in range(nodes)
        )
        return (*(each for each in step.readings if each.tier != tier), *own)

    run = computing(sizes=sizes)
    return replace(run, steps=tuple(replace(each, readings=of(each)) for each in run.steps))


def test_a_cluster_takes_more_shards_of_as_many_nodes() -> None:
    """Two shards of a primary and a replica: the busiest node has 2 + 0.055 % of a core for one, so 60 % at 1,055/s."""
    two = replace(SIZES, cache_nodes=4, cache_shards=2)
    found = propose(loaded("cache", 0.05, two), 2000, 100)
    assert found.cache is not None
    assert (found.cache.shards, found.cache.count) == (4, 8)
    assert found.cache.percent == pytest.approx(2 + 0.055 * 2000 * 2 / 4)
    hourly = cost.table()["us-east-1"]["cache"]["prices"][found.cache.type]
    assert found.cache.month == pytest.approx(8 * hourly * cost.hours())
    notes = " ".join(found.notes)
    assert "The cache has 4 shards of 2 nodes" in notes
    assert "Raise cache.shards to 4" in notes
    assert "writes go to one" not in notes, "each shard has a primary"
    names = {item.name: item for item in cost.estimate(found.wanted(two)).items}
    assert names[f"cache node, {found.cache.type}"].count == 8
    enough = propose(loaded("cache", 0.05, two), 1000, 100)
    assert enough.cache is not None
    assert (enough.cache.shards, enough.cache.count) == (2, 4)
    assert "Raise cache.shards" not in " ".join(enough.notes)


def test_a_cache_without_shards_takes_replicas_by_the_busiest_of_its_nodes() -> None:
    pair = propose(loaded("cache", 0.05, replace(SIZES, cache_nodes=2)), 2000, 100)
    assert pair.cache is not None
    assert (pair.cache.shards, pair.cache.count) == (None, 4), "two have 112 % of a core each at that rate"
    assert pair.cache.percent == pytest.approx(2 + 0.055 * 2000 * 2 / 4)
    assert "4 cache nodes help as far as the app reads from replicas" in " ".join(pair.notes)
    beyond = propose(loaded("cache", 0.05, SIZES), 8000, 100)
    assert beyond.cache is not None
    assert beyond.cache.count == 1, "ElastiCache has six at most of what is no cluster"
    assert "No known cache does 8,000 requests/s" in " ".join(beyond.notes)


def test_a_cluster_of_more_nodes_than_elasticache_makes_is_not_planned() -> None:
    wide = replace(SIZES, cache_nodes=60, cache_shards=10)
    found = propose(loaded("cache", 0.05, wide), 2000, 100)
    assert found.cache is not None
    assert (found.cache.shards, found.cache.count) == (10, 60), "20 shards of 6 would be 120"
    assert "No known cache does" in " ".join(found.notes)


def test_databases_with_a_part_each_are_planned_by_the_busiest_and_all_are_paid_for() -> None:
    three = replace(SIZES, database_shards=3, multi_az=True)
    found = propose(loaded("database", 0.05, three), 2000, 100)
    alone = propose(loaded("database", 0.055 / 1.1, replace(SIZES, multi_az=True)), 2000, 100)
    assert found.database is not None
    assert alone.database is not None
    assert found.database.type == alone.database.type, "each is as busy as the busiest, not as all together"
    assert (found.database.shards, found.database.count) == (3, 6)
    assert found.database.month == pytest.approx(3 * (alone.database.month or 0))
    assert "3 databases have a part of the data each" in " ".join(found.notes)
    bill = {item.name: item for item in cost.estimate(found.wanted(three)).items}
    assert bill[f"database, {found.database.type}"].count == 6


def test_what_no_class_does_takes_more_databases_where_there_are_several() -> None:
    several = propose(loaded("database", 0.05, replace(SIZES, database_shards=2)), 7000, 100)
    assert several.database is not None
    assert several.database.shards is not None
    assert several.database.shards > 2
    assert several.database.percent <= several.database.limit
    fewer = several.database.shards - 1
    assert several.database.percent * several.database.shards / fewer > several.database.limit, "one less isn't enough"
    assert f"Raise database.shards to {several.database.shards}" in " ".join(several.notes)
    assert "No known database does 7,000" in " ".join(propose(loaded("database", 0.05, SIZES), 7000, 100).notes)


def test_the_bill_is_the_doctors() -> None:
    """What the plan's own machines cost, and what a stack has beside them."""
    found = propose(computing(), 2000, 100)
    bill = cost.estimate(found.wanted(SIZES))
    names = {item.name: item for item in bill.items}
    app = names[f"app server, {found.servers[0].type}"]
    assert (app.count, app.month) == (found.servers[0].count, pytest.approx(found.servers[0].month))
    assert found.database is not None
    assert names[f"database, {found.database.type}"].month == pytest.approx(found.database.month)
    assert "NAT gateway" in names
    assert bill.month > sum(each.month or 0 for each in found.machines)


def test_a_run_comes_back_from_its_json_as_it_was(tmp_path: Path) -> None:
    for run in (computing(), database_bound()):
        file = tmp_path / "run.json"
        file.write_text(json.dumps(run.as_json()))
        assert saved.read(file) == run


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"target": "x", "stack": null, "mix": 3}', '"x"'])
def test_another_file_is_no_run(tmp_path: Path, text: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(saved.SavedRunError, match="this is no run of expressway load --json"):
        saved.read(file)


def test_the_page_has_the_plan_and_the_comparison() -> None:
    run = computing()
    found = propose(run, 2000, 100)
    text = report.page(
        run, found, cost.estimate(found.wanted(SIZES)), compared=[Checked(2, 100, "app", 80, "app, cpu")]
    )
    assert "A plan for 2000 requests/s" in text
    assert found.servers[0].type in text
    assert "+25.0 %" in text
    assert "A plan for" not in report.page(run)


def test_a_plan_is_json() -> None:
    told = json.loads(json.dumps(propose(computing(), 2000, 100).as_json()))
    assert told["connections"]["rolling"] == 2 * told["connections"]["usual"]
    assert told["servers"][0]["tier"] == "app"


@pytest.mark.parametrize(
    ("kind", "has"),
    [
        ("t3.small", (2, 2, 20)),
        ("t4g.2xlarge", (8, 32, 40)),
        ("m7i.large", (2, 8, 100)),
        ("m7g.medium", (1, 4, 100)),
        ("c7i.2xlarge", (8, 16, 100)),
        ("db.r6g.xlarge", (4, 32, 100)),
        ("cache.t4g.micro", (2, 1, 10)),
    ],
)
def test_sizes_are_those_that_aws_publishes(kind: str, has: tuple[int, float, float]) -> None:
    found = sizes.size(kind)
    assert found is not None
    assert (found.vcpus, found.memory, found.baseline) == has


def test_sizes_connections_and_credits_are_the_same_everywhere() -> None:
    """Alarms, the lab's machines and its CPU credits go by the same figures."""
    for kinds in cost.table()["us-east-1"].values():
        for kind in kinds["prices"]:
            found = sizes.size(kind)
            if found is None:
                continue
            assert vcpus(kind) == found.vcpus, kind
            if kind.startswith("db."):
                assert sizes.connections(kind) == database_connections(kind)
            if of := credits_rate(kind):
                assert found.baseline == pytest.approx(100 * of.an_hour / 60 / of.vcpus), kind


def test_every_type_that_has_a_price_has_a_size() -> None:
    missing = {
        kind
        for name in ("instance", "database", "cache")
        for kind in cost.table()["us-east-1"][name]["prices"]
        if sizes.size(kind) is None
    }
    assert missing == {"cache.t2.micro", "cache.t2.small", "cache.t2.medium"}


def test_an_edge_is_large_enough() -> None:
    def percent(found: Proposal) -> float:
        return found.edge.percent

    assert percent(propose(computing(), 2000, 100)) <= 60
    has = sizes.size(propose(computing(), 6000, 100).edge.type)
    assert has is not None
    assert has.vcpus >= 4, "122 % of two CPUs"
