"""The month's bill: what is counted, at which price, and what is left out."""

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from doctor_examples import tier, wanted

import settings
from cli.doctor.wanted import wanted as wanted_of
from operate.doctor import Cache, Database, Estimate, Logs
from operate.doctor.cost import KIT_METRICS, METRICS, REFERENCE, estimate, hours, table
from tests.paths import ROOT


def lines(cost: Estimate) -> dict[str, tuple[int, float]]:
    return {item.name: (item.count, round(item.month, 2)) for item in cost.items}


def test_a_node_of_valkey_costs_a_fifth_less() -> None:
    of = {engine: Cache("", "cache.t4g.micro", 1, engine) for engine in ("redis", "valkey")}
    redis, valkey = (lines(estimate(wanted(cache=each)))["cache node, cache.t4g.micro"][1] for each in of.values())
    assert valkey == pytest.approx(0.8 * redis, abs=0.01)


def test_dev_is_counted_item_by_item() -> None:
    cost = estimate(wanted())
    assert lines(cost) == {
        "edge, t3.small": (1, 15.18),
        "app server, t3.small": (2, 30.37),
        "disk, 10 GB gp3": (3, 2.4),
        "database, db.t4g.micro": (1, 11.68),
        "database storage, 20 GB gp3": (1, 2.3),
        "cache node, cache.t4g.micro": (1, 11.68),
        "NAT gateway": (1, 32.85),
        "public address": (2, 7.3),
        "secret": (2, 0.8),
    }
    assert cost.month == pytest.approx(114.56, abs=0.01)
    assert cost.most_month - cost.month == pytest.approx(2 * (15.184 + 0.8)), "two more machines and their disks"


def test_standbys_cost_what_the_first_one_costs() -> None:
    cost = lines(estimate(wanted(database=Database("17", "db.m7g.large", 100, multi_az=True, connections="8 of 78"))))
    assert cost["database, db.m7g.large"] == (2, round(2 * 0.168 * 730, 2))
    assert cost["database storage, 100 GB gp3"] == (2, 23.0)
    assert lines(estimate(wanted(cache=Cache("7.1", "cache.t4g.micro", 2))))["cache node, cache.t4g.micro"][0] == 2


def test_replicas_cost_what_their_source_costs() -> None:
    one, three = (
        lines(estimate(wanted(database=Database("17", "db.m7g.large", 100, multi_az=False, replicas=number))))
        for number in (0, 2)
    )
    for item in ("database, db.m7g.large", "database storage, 100 GB gp3"):
        assert (one[item][0], three[item][0]) == (1, 3)
    shards = Database("17", "db.m7g.large", 100, multi_az=True, replicas=2, shards=3)
    assert (shards.instances, shards.copies) == (9, 12), "each shard has a standby, its replicas have none"


def test_storage_costs_more_once_it_has_grown_and_insights_by_a_price_that_is_not_here() -> None:
    growing = Database("17", "db.t4g.micro", 20, multi_az=True, max_storage_gb=100, insights="advanced")
    cost, before = estimate(wanted(database=growing)), estimate(wanted(database=replace(growing, max_storage_gb=None)))
    assert lines(cost)["database storage, 80 GB more when it grows"] == (0, 0.0)
    assert cost.month == before.month
    assert cost.most_month - before.most_month == pytest.approx(2 * 80 * 0.115)
    assert cost.unknown == ("Database Insights, advanced mode",)
    standard = estimate(wanted(database=replace(growing, insights="standard")))
    assert standard.unknown == (), "a week of it is free of charge"


def test_metrics_cost_what_they_are_and_what_each_machine_tells() -> None:
    cost = estimate(wanted(metrics=True))
    assert lines(cost)["metric"] == (METRICS, 13.5)
    assert lines(estimate(wanted(metrics=True, certificate=True)))["metric"] == (METRICS + 1, 13.8)
    [telling] = [item for item in cost.items if item.name.startswith("a machine's telling")]
    assert (telling.count, telling.most, round(telling.month, 2)) == (3, 5, 7.88)
    table = (ROOT / "docs/monitoring.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    told = sum(row[0].count("`") // 2 * (2 if row[3] == "both" else 1) for row in rows)
    assert told == METRICS + KIT_METRICS + 1, "the guide's table, with a certificate"
    [kit] = [item for item in cost.items if item.name.startswith("metric of the kit")]
    assert (kit.count, kit.most, round(kit.most_month, 2)) == (0, KIT_METRICS, 2.1), (
        "no setting says whether it is there"
    )
    assert sum(row[0].startswith("`Kit") for row in rows) == KIT_METRICS


def test_alarms_cost_by_how_often_they_look_and_a_dashboard_what_it_does() -> None:
    emails = {"alarm_emails": ["team@example.com"], "dashboard": True}
    dev = settings.from_file(ROOT / "Pulumi.dev.yaml")
    watched = dev.model_copy(update={"monitoring": dev.monitoring.model_copy(update=emails)})
    cost = lines(estimate(wanted_of(watched, ROOT)))
    assert (cost["alarm, each 10 s"], cost["alarm, each minute"]) == ((13, 3.9), (11, 1.1))
    assert cost["dashboard"] == (1, 3.0)
    assert not {"alarm, each 10 s", "alarm, each minute", "dashboard"} & set(lines(estimate(wanted_of(dev, ROOT))))


def test_logs_have_their_price_beside_the_sum_which_no_setting_says() -> None:
    cost = estimate(wanted(logs=True, every_request=True))
    assert cost.logs == Logs(0.5, 0.03, 0.3)
    assert cost.month == estimate(wanted()).month
    assert estimate(wanted(logs=True)).logs == Logs(0.5, 0.03, None), "errors alone are told"
    assert estimate(wanted()).logs is None
    dev = settings.from_file(ROOT / "Pulumi.dev.yaml")
    errors = dev.model_copy(update={"monitoring": dev.monitoring.model_copy(update={"access_logs": "errors"})})
    assert [wanted_of(each, ROOT).every_request for each in (dev, errors)] == [True, False]


def test_without_nat_each_app_server_pays_for_an_address() -> None:
    cost = estimate(wanted(nat=False))
    assert "NAT gateway" not in lines(cost)
    [addresses] = [item for item in cost.items if item.name == "public address"]
    assert (addresses.count, addresses.most) == (3, 5)


def test_a_gateway_in_each_zone_has_an_address_of_its_own() -> None:
    cost = lines(estimate(wanted(zones=3, nat_per_zone=True)))
    assert (cost["NAT gateway"][0], cost["public address"][0]) == (3, 4)


def test_what_has_no_price_is_named_and_not_counted() -> None:
    cost = estimate(wanted(app=tier("app", 2, 4, instance_type="u7i-12tb.224xlarge")))
    assert cost.unknown == ("app server, u7i-12tb.224xlarge",)
    assert cost.month == pytest.approx(estimate(wanted()).month - 2 * 15.184)


def test_a_region_without_prices_is_shown_at_another_ones() -> None:
    cost = estimate(replace(wanted(), region="eu-west-1"))
    assert (cost.region, cost.month) == (REFERENCE, estimate(wanted()).month)


def test_every_price_has_a_date_and_a_source() -> None:
    assert hours() == 730
    for region, kinds in table().items():
        for kind, entry in kinds.items():
            assert entry["source"].startswith("https://aws.amazon.com/"), f"{region}.{kind}"
            assert isinstance(entry["read"], date), f"{region}.{kind}"
            assert all(price > 0 for price in entry["prices"].values()), f"{region}.{kind}"
    assert estimate(wanted()).oldest == min(entry["read"] for entry in table()[REFERENCE].values())


GUIDE = {
    "edge": "edge",
    "app server": "app servers",
    "disk": "their disks",
    "database": "database",
    "cache": "cache",
    "NAT": "NAT gateways",
    "public": "public addresses",
    "secret": "secrets",
    "metric": "metrics",
    "a machine's telling": "metrics",
}
"""How the guide calls what the doctor counts, by how the doctor's name begins."""


@pytest.mark.parametrize(("stack", "column"), [("dev", 0), ("staging", 0), ("prod", 1)])
def test_the_guide_has_what_the_doctor_adds_up(stack: str, column: int) -> None:
    guide = (ROOT / "docs/aws.md").read_text().partition("### What a month costs")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in guide.splitlines() if line.startswith("| ")][1:]
    shown = {name: int(months[column].strip("*").split()[-1]) for name, *months in rows}
    together = shown.pop("together")
    settled = settings.from_file(ROOT / f"Pulumi.{stack}.yaml").model_copy(update={"region": REFERENCE})
    cost = estimate(wanted_of(settled, ROOT))
    months = Counter[str]()
    for item in cost.items:
        row = next(row for name, row in GUIDE.items() if item.name.startswith(name))
        months[row] += item.month  # pyright: ignore[reportArgumentType], a counter of dollars
    assert shown == {name: round(month) for name, month in months.items()}
    assert together == 5 * round(cost.month / 5)
