"""Whether the app's servers fit into the database's connections, by the arithmetic alone."""

import dataclasses

import pytest

from components import planning
from components.planning import Budget

SURE = {
    "db.t4g.micro": 78, "db.t3.small": 191, "db.t3.medium": 405, "db.m7g.large": 811, "db.r6g.large": 1622,
    "db.c6gd.medium": 191, "db.r7g.16xlarge": 5000, "db.m7g.metal": None, "db.serverless": None,
}  # fmt: skip


def test_what_can_be_planned_with_is_what_a_class_takes_without_the_memory_that_rds_keeps() -> None:
    assert {each: planning.sure_connections(each) for each in SURE} == SURE


def test_a_number_of_ones_own_counts_and_a_formula_is_rdss_to_reckon() -> None:
    assert planning.sure_connections("db.t4g.micro", {"max_connections": "300", "work_mem": "8192"}) == 300
    assert planning.sure_connections("db.unknown.large", {"max_connections": "77"}) == 77
    formula = {"max_connections": "LEAST({DBInstanceClassMemory/9531392},5000)"}
    assert planning.sure_connections("db.t4g.micro", formula) == 78


def test_workers_are_one_for_each_vcpu_and_two_at_least() -> None:
    types = {
        "t3.small": 2, "t2.micro": 2, "c7g.medium": 2, "m7i.large": 2, "c7g.xlarge": 4, "m7i.2xlarge": 8,
        "m7i-flex.4xlarge": 16, "m7i.metal-24xl": 96,
    }  # fmt: skip
    assert {each: planning.workers(each) for each in types} == types


def test_four_servers_of_four_workers_fit_into_a_hundred_connections_while_rolling() -> None:
    budget = Budget(most=100, servers=4, workers=4)
    assert budget.size == 9
    assert budget.used == 2 * 4 * (9 + 1) + 15 == 95
    assert (
        budget.line
        == "2 x 4 servers while rolling x (9 in its pool + 1 to measure) + 15 kept = 95 of max_connections 100"
    )
    assert budget.check() == []


@pytest.mark.parametrize("most", [60, 78, 100, 405, 811, 5000])
@pytest.mark.parametrize("servers", [1, 2, 4, 12, 50, 400])
@pytest.mark.parametrize("pooler", ["pgbouncer", "none"])
def test_the_pool_that_follows_is_the_largest_that_fits(most: int, servers: int, pooler: str) -> None:
    budget = Budget(most, servers, pooler, workers=4)
    if budget.fitting < 1:
        assert not dataclasses.replace(budget, pool_size=1).fits
        return
    assert dataclasses.replace(budget, pool_size=budget.fitting).fits
    assert not dataclasses.replace(budget, pool_size=budget.fitting + 1).fits


def refused(budget: Budget) -> tuple[str, str]:
    (finding,) = budget.check()
    assert budget.line in finding.rule
    return finding.path, finding.remedy


def test_a_pool_that_does_not_fit_is_refused_with_the_largest_that_does() -> None:
    path, mend = refused(Budget(100, 4, pool_size=20))
    assert (path, mend) == (
        "poolSize",
        "Set poolSize to at most 9, or lower maxSize to 2, or take a larger instanceClass for the database.",
    )
    assert Budget(100, 4, pool_size=9).fits
    assert Budget(100, 2, pool_size=20).fits


def test_more_servers_than_a_pool_of_two_each_allows_are_refused() -> None:
    path, mend = refused(Budget(100, 30))
    assert path == "maxSize"
    assert mend.startswith("Lower maxSize to 14, or ")
    assert Budget(100, 14).fits
    assert not Budget(100, 15).fits


def test_without_a_pooler_each_worker_counts_with_what_its_client_opens() -> None:
    path, mend = refused(Budget(100, 4, "none", workers=4))
    assert path == "pooler"
    assert "set pooler to pgbouncer" in mend
    assert "poolSize to at most 2, which DATABASE_POOL_SIZE tells the app" in mend
    assert Budget(100, 4, "none", pool_size=2, workers=4).used == 2 * 4 * (4 * 2 + 1) + 15


def test_servers_beyond_all_connections_have_no_pool_size_for_a_mend() -> None:
    path, mend = refused(Budget(78, 200, pool_size=3))
    assert path == "maxSize"
    assert "poolSize" not in mend
