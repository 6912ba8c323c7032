"""What machines of both tiers measure, and how they tell it: to Prometheus, and to a CloudWatch that may be away."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from expressway_machine.calls import CLOUDWATCH
from expressway_metrics import cloudwatch, host, scrape, service
from expressway_metrics.cloudwatch import Backlog, Period, Teller, data
from expressway_metrics.host import Host
from expressway_metrics.model import Reading, Value, counter, gauge, since
from prometheus_client import CollectorRegistry, generate_latest

from tests.paths import ROOT

GIB = 2**30
HOST = Host(25.0, 0.5, 2 * GIB, GIB, 40.0, 1_000, 500)


def period(number: int, *values: Value) -> Period:
    return Period(1_000.0 + 10 * number, values or (Value.of("CPU", "Percent", number),))


def test_the_machine_is_told_of_in_both_ways() -> None:
    found = host.reading(Host(30.0, 1.5, 2 * GIB, GIB // 2, 41.0, 5_000, 1_500), HOST)
    assert {each.name: dict(each.counts) for each in found.values} == {
        "CPU": {30.0: 1},
        "Memory": {75.0: 1},
        "Disk": {41.0: 1},
        "Network": {5_000.0: 1},
    }, "bytes of the period, in both directions"
    samples = {sample.name: sample.value for family in found.families for sample in family.samples}
    assert samples["expressway_cpu_ratio"] == 0.3
    assert samples["expressway_memory_used_bytes"] == 1.5 * GIB
    assert samples["expressway_network_received_bytes_total"] == 5_000


def test_what_others_had_of_the_cpus_is_what_was_busy_and_not_with_its_own() -> None:
    before = replace(HOST, own_cpu=100.0, cpus=2, at=50.0)
    now = replace(HOST, cpu_percent=90.0, own_cpu=106.0, cpus=2, at=60.0)
    assert host.stolen(now, before) == pytest.approx(60.0), "6 of 20 s are 30 %"
    told = {each.name: dict(each.counts) for each in host.reading(now, before).values}
    assert list(told["CPUSteal"]) == [pytest.approx(60.0)]
    assert host.stolen(replace(now, own_cpu=119.0), before) == 0.0, "two clocks that differ a little"
    assert host.stolen(replace(now, own_cpu=1.0), before) is None, "counted anew"
    assert host.stolen(replace(now, own_cpu=None), before) is None


def test_what_the_machine_ran_for_is_the_kernels_count(tmp_path: Path) -> None:
    (tmp_path / "hybrid").write_text("usage_usec 9000000\nuser_usec 2000000\nsystem_usec 1500000\nnice_usec 0\n")
    (tmp_path / "v1").write_text("nr_periods 0\n")
    places = [tmp_path / "absent", tmp_path / "v1", tmp_path / "hybrid"]
    assert host.own_cpu(places) == 3.5, "usage has steal in it"
    assert host.own_cpu(places[:2]) is None


def test_a_container_may_have_a_part_of_its_hosts_cpus_and_says_how_much_of_that_it_used(tmp_path: Path) -> None:
    before = replace(HOST, own_cpu=100.0, cpus=2, at=50.0, limit=0.5)
    now = replace(HOST, cpu_percent=90.0, own_cpu=103.0, cpus=2, at=60.0, limit=0.5)
    assert host.used(now, before) == pytest.approx(60.0), "3 of the 5 s that it may have, whatever the host does"
    assert host.used(replace(now, own_cpu=106.0), before) == 100.0, "its share of a period more"
    assert host.used(replace(now, limit=None), before) == 90.0, "a machine of its own"
    assert host.used(replace(now, own_cpu=None), before) == 90.0
    told = {each.name: dict(each.counts) for each in host.reading(now, before).values}
    assert list(told["CPU"]) == [pytest.approx(60.0)]
    assert "CPUSteal" not in told, "what others have is none of its own"


def test_a_limit_is_what_the_kernel_says_of_the_machines_group(tmp_path: Path) -> None:
    one, two, free = (tmp_path / name for name in ("one", "two", "free"))
    for place in (one, two, free):
        place.mkdir()
    (one / "cpu.max").write_text("30000 20000\n")
    (two / "cpu.cfs_quota_us").write_text("4000\n")
    (two / "cpu.cfs_period_us").write_text("20000\n")
    (free / "cpu.max").write_text("max 100000\n")
    assert host.limit([tmp_path / "absent", one]) == 1.5
    assert host.limit([tmp_path / "absent", two]) == 0.2
    assert host.limit([free]) is None
    (two / "cpu.cfs_quota_us").write_text("-1\n")
    assert host.limit([two]) is None
    assert host.limit([tmp_path / "absent"]) is None, "a machine of its own"


def test_this_machine_can_be_read() -> None:
    found = host.read()
    assert 0 < found.memory_available < found.memory_total
    assert 0 <= found.cpu_percent <= 100
    assert 0 < found.disk_percent <= 100


def test_a_counter_that_begins_anew_is_not_negative() -> None:
    assert (since(5, 8), since(5, 3), since(0, 0)) == (3, 3, 0)


def test_cloudwatch_is_told_by_the_group_alone_with_a_resolution_of_seconds() -> None:
    (metric,) = data("shop", [Period(1_764_000_000.0, [Value.of("EventLoopLag", "Milliseconds", 2.0, 7.5, 2.0)])])
    assert metric["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": "shop"}], "no machine, no worker: a price"
    assert (metric["Values"], metric["Counts"]) == ([2.0, 7.5], [2, 1])
    assert (metric["Unit"], metric["StorageResolution"]) == ("Milliseconds", 1)
    assert metric["Timestamp"] == 1_764_000_000.0


def test_a_metric_that_has_no_value_is_not_told() -> None:
    assert data("shop", [period(0, Value("ResponseTime", "Milliseconds", {}))]) == []


def test_all_that_is_kept_fits_into_one_call() -> None:
    backlog = Backlog()
    for number in range(100):
        backlog.add(period(number, *(Value.of(f"metric-{each}", "Count", 1) for each in range(30))))
    assert len(data("shop", backlog.waiting())) <= 1_000, "CloudWatch takes no more at once"


def test_the_oldest_is_lost_and_counted_when_too_much_waits() -> None:
    backlog = Backlog(most=3)
    for number in range(5):
        backlog.add(period(number, *(Value.of(name, "Count", 1) for name in ("a", "b"))))
    assert [each.began for each in backlog.waiting()] == [1_020.0, 1_030.0, 1_040.0]
    assert backlog.dropped == 4


def test_what_was_told_is_forgotten_although_some_of_it_was_lost_meanwhile() -> None:
    backlog = Backlog(most=2)
    backlog.add(period(0))
    backlog.add(period(1))
    told = backlog.waiting()
    backlog.add(period(2))
    backlog.told(told)
    assert [each.began for each in backlog.waiting()] == [1_020.0]


class Away:
    """A CloudWatch that comes and goes."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.told: list[list[float]] = []

    def tell(self, periods: Sequence[Period]) -> None:
        if self.error:
            raise self.error
        self.told.append([each.began for each in periods])


REFUSED = ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "PutMetricData")


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://monitoring"),
        REFUSED,
        OSError("away"),
    ],
)
def test_five_minutes_without_cloudwatch_are_told_in_one_call_with_two_lines_in_the_journal(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    there, backlog = Away(), Backlog(most=30)
    teller = Teller(lambda: there.tell, backlog)

    def pass_on(number: int) -> None:
        backlog.add(period(number))
        teller.tell()

    pass_on(0)
    there.error = error
    for number in range(1, 34):
        pass_on(number)
    there.error = None
    pass_on(34)
    pass_on(35)
    assert [len(each) for each in there.told] == [1, 30, 1]
    assert there.told[1][0] == 1_050.0, "the newest thirty"
    assert backlog.dropped == 4
    begins, ends = capsys.readouterr().out.splitlines()
    assert begins.startswith("expressway: CloudWatch can't be told, five minutes are kept: ")
    assert ends == "expressway: CloudWatch is told again; lost meanwhile: 4 metrics"


def test_who_is_to_be_told_is_asked_until_it_is_known() -> None:
    there, answers = Away(), iter([OSError("no group yet"), None])

    def connect() -> Any:
        if error := next(answers):
            raise error
        return there.tell

    backlog = Backlog()
    teller = Teller(connect, backlog)
    backlog.add(period(0))
    teller.tell()
    teller.tell()
    assert there.told == [[1_000.0]], "and then what was kept"


def test_adding_never_waits_for_a_cloudwatch_that_hangs() -> None:
    asked, hangs, given_up = threading.Event(), threading.Event(), list[bool]()

    def tell(_periods: Sequence[Period]) -> None:
        asked.set()
        given_up.append(not hangs.wait(20))

    teller = Teller(lambda: tell, Backlog(most=3))
    teller.start()
    teller.add(period(0))
    assert asked.wait(20), "it hangs from here on"
    for number in range(1, 100):
        teller.add(period(number))
        assert given_up == []
    hangs.set()


def test_the_group_is_what_auto_scaling_has_tagged_the_machine_with(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(service.Calls, "__call__", lambda _self, *given: told.append(given))
    tags = {"aws:autoscaling:groupName": "shop-app-1"}
    monkeypatch.setattr(service.metadata, "tag", tags.get)
    service.connect(service.Calls("us-east-1"))([period(0)])
    ((called, operation, given),) = told
    assert (called, operation, given["Namespace"]) == (CLOUDWATCH, "PutMetricData", "Expressway")
    assert given["MetricData"][0]["Dimensions"][0]["Value"] == "shop-app-1"
    tags.clear()
    with pytest.raises(OSError, match="in no Auto Scaling group"):
        service.connect(service.Calls("us-east-1"))


def test_a_scrape_has_every_series_in_prometheus_text_format() -> None:
    latest = scrape.Latest()
    registry = CollectorRegistry()
    registry.register(latest)
    latest.families = [
        gauge("expressway_lag_seconds", "Lag.", [({"process": 'a"b', "worker": "0"}, 0.5)]),
        counter("expressway_requests", "Requests.", [({}, 3)]),
        gauge("expressway_unknown", "Nothing is known.", []),
    ]
    assert generate_latest(registry).decode().splitlines() == [
        "# HELP expressway_lag_seconds Lag.",
        "# TYPE expressway_lag_seconds gauge",
        'expressway_lag_seconds{process="a\\"b",worker="0"} 0.5',
        "# HELP expressway_requests_total Requests.",
        "# TYPE expressway_requests_total counter",
        "expressway_requests_total 3.0",
        "# HELP expressway_unknown Nothing is known.",
        "# TYPE expressway_unknown gauge",
    ]


class StopError(Exception):
    """Ends a loop that never ends."""


class Clock:
    """Time that passes while it is waited for."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.looks = 0

    def wait(self, until: float) -> None:
        assert until > self.now, "the next period is to come"
        self.now = until + 0.01

    def look(self, now: float) -> Reading:
        self.looks += 1
        if self.looks > 3:
            raise StopError
        return Reading([], [Value.of("Looks", "Count", self.looks)])


@pytest.mark.parametrize(("start", "first"), [(1_000.5, 1_000.0), (1_007.0, 1_010.0)])
def test_each_period_is_told_once_and_one_that_was_cut_short_is_not(
    start: float, first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(start)
    added: list[Period] = []
    served: list[bool] = []
    monkeypatch.setattr(service.config, "load", lambda: {"region": "us-east-1", "metrics": {"scraped": True}})
    monkeypatch.setattr(service, "serve", lambda _latest, *, scraped: served.append(scraped))
    monkeypatch.setattr(service.Teller, "start", lambda _: None)
    monkeypatch.setattr(service.Teller, "add", lambda _, period: added.append(period))
    monkeypatch.setattr(service.time, "time", lambda: clock.now)
    with pytest.raises(StopError):
        service.run(clock)
    assert [each.began for each in added] == [first + 10 * number for number in range(3 if first < start else 2)]
    assert {"CPU", "Looks"} <= {value.name for value in added[0].values}
    assert served == [True]


def test_no_more_is_kept_than_five_minutes_and_one_call_takes_all_of_it() -> None:
    assert cloudwatch.KEPT_PERIODS * 10 == 300
    guide = (ROOT / "docs/monitoring.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in guide.splitlines()[2:]]
    for tier in ("app", "edge"):
        metrics = sum(row[0].count("`") // 2 for row in rows if row[3] in (tier, "both"))
        assert metrics * cloudwatch.KEPT_PERIODS <= 1000, f"CloudWatch takes no more of the {tier} in one call"
