"""Each alarm of the table by its planted fault, from the metric to the message; and none in a healthy hour."""

from collections.abc import Iterator

import pytest

from components.planning import Alarm, Watched, alarms
from tests.plan.alarm_clock import Clock, Values, lab_services

WATCHED = Watched(
    edge_type="t3.small",
    certificate=True,
    app_type="t3.small",
    fewest_servers=2,
    database_class="db.t4g.micro",
    replicas=("near",),
    cache_type="cache.t4g.micro",
    cache_nodes=2,
)
ALARMS = alarms(WATCHED)

AWAY, MINUTE, HOUR = 60, 60, 3600
GIB = 2**30

# Metric: its value in a healthy stack under load, and with the fault.
FAULTS = {
    "ErrorShare": (0.5, 30),
    "ResponseTime": (500, 2500),
    "Servers": (2, 1),
    "UnhealthyServers": (0, 1),
    "ListAge": (2, 35),
    "Retries": (0, 80),
    "CertificateDays": (60, 13),
    "CPU": (65, 97),
    "Memory": (60, 95),
    "Disk": (30, 93),
    "EventLoopLag": (40, 900),
    "KitBypassRate": (0, 100),
    "CPUCreditBalance": (90, 0),
    "FreeStorageSpace": (12 * GIB, 1 * GIB),
    "CPUUtilization": (40, 97),
    "DatabaseConnections": (30, 75),
    "ReplicaLag": (0, 45),
    "Evictions": (0, 4),
    "DatabaseMemoryUsagePercentage": (55, 96),
    "EngineCPUUtilization": (20, 95),
    "ReplicationLag": (0, 45),
}
HEALTHY: Values = {(each.of, each.namespace, each.metric): FAULTS[each.metric][0] for each in ALARMS}


@pytest.fixture
def clock() -> Iterator[Clock]:
    with lab_services():
        yield Clock(ALARMS)


def raised(heard: list[tuple[float, dict[str, str]]]) -> dict[str, float]:
    """When each alarm was told to be raised."""
    return {each["AlarmName"]: at for at, each in heard if each["NewStateValue"] == "ALARM"}


def longest(alarm: Alarm) -> int:
    """Seconds from the fault to the message at the most."""
    if alarm.metric == "CPUCreditBalance":
        return HOUR + 5 * MINUTE
    if alarm.period * alarm.periods > MINUTE:
        return alarm.period * alarm.periods + MINUTE
    # AWS's own come once a minute: that minute's end, and what an ended period is given to be told of.
    return 60 if alarm.namespace == "Expressway" else 64


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda each: each.key)
def test_a_planted_fault_is_told_within_a_minute_with_what_to_do_and_so_is_its_end(alarm: Alarm, clock: Clock) -> None:
    assert raised(clock.run(5 * MINUTE, HEALTHY)) == {}
    clock.run(1, HEALTHY)  # just after a minute has begun, the worst moment
    planted = clock.now
    fault = {**HEALTHY, (alarm.of, alarm.namespace, alarm.metric): FAULTS[alarm.metric][1]}
    heard = clock.run(longest(alarm), fault)
    found = raised(heard)
    assert set(found) == {alarm.key}, "its alarm, and no other"
    assert found[alarm.key] - planted <= longest(alarm)
    assert [each["AlarmDescription"] for _, each in heard if each["AlarmName"] == alarm.key] == [alarm.text]
    over = {each["AlarmName"]: each["NewStateValue"] for _, each in clock.run(6 * MINUTE, HEALTHY)}
    assert over == {alarm.key: "OK"}


def test_an_edge_that_tells_nothing_any_more_is_missed(clock: Clock) -> None:
    clock.run(2 * MINUTE, HEALTHY)
    silent = {key: value for key, value in HEALTHY.items() if key[0] != "edge"}
    planted = clock.now
    found = raised(clock.run(2 * MINUTE, silent))
    assert set(found) == {"edge-heartbeat", "edge-servers"}, "what is not there is none of the others' business"
    assert max(found.values()) - planted <= AWAY


def test_machines_that_are_new_and_have_no_credits_yet_raise_nothing(clock: Clock) -> None:
    new = {key: 0 if key[2] == "CPUCreditBalance" else value for key, value in HEALTHY.items()}
    assert raised(clock.run(20 * MINUTE, new)) == {}


def test_a_healthy_hour_under_load_raises_nothing_though_each_metric_has_bad_moments(clock: Clock) -> None:
    ours = [each for each in ALARMS if each.namespace == "Expressway"]
    heard: list[tuple[float, dict[str, str]]] = []
    for round_ in range(HOUR // 20):
        alarm = ours[round_ % len(ours)]
        # Ten seconds of a boot, a garbage collection, a request that was slow.
        heard += clock.run(10, {**HEALTHY, (alarm.of, alarm.namespace, alarm.metric): FAULTS[alarm.metric][1]})
        heard += clock.run(10, HEALTHY)
    assert raised(heard) == {}


def test_every_metric_with_an_alarm_has_a_fault_here() -> None:
    assert {each.metric for each in ALARMS} == set(FAULTS)
